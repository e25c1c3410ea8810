package recipe

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/flow/diag"
)

// A recipe of 100,000 stages spends nearly all its loading time and memory in
// the YAML reader's node tree. Its stages are one block map, which can be cut
// between any two of its keys, so that the pieces are read side by side and a
// piece's nodes are garbage once its values are made. Whatever does not fit this
// plan (an alias into another piece, a flow map, a mistake) makes the whole file
// be read in one go, which is always right.
const (
	chunkedFrom = 1 << 15 // bytes of a file from which on it is cut
	chunkSize   = 1 << 14 // bytes of a piece, about
)

// piece of a file: its text, the number of lines before it, and the column at
// which its keys stand.
type fileChunk struct {
	text  string
	lines int
	col   int
}

// cut splits a recipe into its head with the first stages, further pieces of
// `stages:`, and what follows that section, if anything does; nil where that
// cannot be told from the look of the lines.
func cut(src string) (chunks []fileChunk, tail *fileChunk) {
	for _, marker := range []string{"\n---", "\n...", "\n%"} {
		if strings.Contains(src, marker) {
			return nil, nil
		}
	}
	const before, inside, after = 0, 1, 2
	state, indent := before, 0
	cur := fileChunk{col: 1}
	start, line := 0, 0
	close := func(at, col int) {
		cur.text = src[start:at]
		chunks = append(chunks, cur)
		cur, start = fileChunk{lines: line, col: col}, at
	}
	for at := 0; at < len(src); line++ {
		end := strings.IndexByte(src[at:], '\n')
		if end < 0 {
			end = len(src)
		} else {
			end += at + 1
		}
		text := src[at:end]
		n := 0
		for n < len(text) && text[n] == ' ' {
			n++
		}
		switch rest := text[n:]; {
		case len(rest) == 0 || rest[0] == '#' || rest[0] == '\n' || rest[0] == '\r':
		case state == before:
			if n == 0 && isStagesKey(rest) {
				state = inside
			}
		case state == inside && indent == 0:
			if indent = n; n == 0 {
				return nil, nil
			}
		case state == inside && n < indent:
			if n > 0 {
				return nil, nil
			}
			state = after
			close(at, 1)
		case state == inside && n == indent && isLetter(rest[0]) && at-start >= chunkSize:
			close(at, indent+1)
		}
		at = end
	}
	close(len(src), 0)
	if state == after {
		last := chunks[len(chunks)-1]
		return chunks[:len(chunks)-1], &last
	}
	return chunks, nil
}

func isStagesKey(line string) bool {
	rest, ok := strings.CutPrefix(line, "stages:")
	if !ok {
		return false
	}
	trimmed := strings.TrimLeft(rest, " ")
	return len(trimmed) == 0 || trimmed[0] == '\n' || trimmed[0] == '\r' || trimmed[0] == '#' && len(trimmed) < len(rest)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// readChunked reads src in pieces; nil where it must be read in one.
func (y *yamlReader) readChunked(src string) *Value {
	chunks, tail := cut(src)
	if len(chunks) < 2 {
		return nil
	}
	all := chunks
	if tail != nil {
		all = append(all, *tail)
	}
	readers, maps := make([]*yamlReader, len(all)), make([]*Value, len(all))
	var next atomic.Int64
	var failed atomic.Bool
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(all)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(all) && !failed.Load(); i = int(next.Add(1)) - 1 {
				readers[i] = &yamlReader{file: y.file, baseDir: y.baseDir, sources: y.sources, diags: &diag.List{}, lines: all[i].lines}
				if maps[i] = readers[i].chunk(all[i]); maps[i] == nil {
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() {
		return nil
	}
	root := maps[0]
	last := len(root.Entries) - 1
	if last < 0 || root.Entries[last].Key != "stages" || root.Entries[last].Val.Kind != Map {
		return nil
	}
	stages := root.Entries[last].Val
	for i, r := range readers {
		if y.values += r.values; i > 0 {
			y.values-- // the piece's own map is no value of the file
		}
		*y.diags = append(*y.diags, *r.diags...)
		if i > 0 && (tail == nil || i < len(all)-1) {
			stages.Entries = append(stages.Entries, maps[i].Entries...)
		}
	}
	if y.values > maxValues {
		return nil // the one reader says where
	}
	y.dropDuplicates(stages)
	if tail != nil {
		root.Entries = append(root.Entries, maps[len(all)-1].Entries...)
		y.dropDuplicates(root)
	}
	return root
}

// chunk reads a piece as a document of its own; nil unless it is a block map.
func (y *yamlReader) chunk(c fileChunk) *Value {
	if v := y.quick(c); v != nil {
		return v
	}
	y.values = 0
	loader, err := y.loader(strings.NewReader(c.text))
	if err != nil {
		return nil
	}
	var doc yaml.Node
	if loader.Load(&doc) != nil || len(doc.Content) != 1 {
		return nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode || root.Style&yaml.FlowStyle != 0 || root.Column != c.col || root.Anchor != "" {
		return nil
	}
	for i := 0; i < len(root.Content); i += 2 {
		if k := root.Content[i]; k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			return nil
		}
	}
	v := y.value(root)
	if y.tooMany {
		return nil
	}
	return v
}

// dropDuplicates reports keys of a map made from pieces that occur twice.
func (y *yamlReader) dropDuplicates(v *Value) {
	seen := make(map[string]int, len(v.Entries))
	kept := v.Entries[:0]
	for _, e := range v.Entries {
		if first, dup := seen[e.Key]; dup {
			y.duplicate(e.Key, e.KeyPos, kept[first].KeyPos)
			y.values -= e.Val.size()
			continue
		}
		seen[e.Key] = len(kept)
		kept = append(kept, e)
	}
	v.Entries = kept
}

func (y *yamlReader) duplicate(key string, at, first diag.Pos) {
	n := utf8.RuneCountInString(key)
	y.diags.Add(diag.Errorf(at, "duplicate-key", "duplicate key %q", key).Over(n).
		WithRelated(first.Span(n), "first given here"))
}
