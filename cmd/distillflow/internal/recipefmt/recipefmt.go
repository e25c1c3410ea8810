// Package recipefmt lays a recipe's YAML out in one way: two spaces a level,
// list items below their key indented, no trailing blanks, single blank lines.
// It works on the text, so that comments, anchors, quotes and the choice between
// flow and block style stay as they are, and it compares what the text means
// before and after.
package recipefmt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ErrSyntax marks a text that is not YAML.
var ErrSyntax = errors.New("not YAML")

// step is the indentation of one level.
const step = 2

// Format gives the text in its one layout. A text that is not YAML is an error.
// Where a layout would change the meaning, which rare forms such as `? key` can
// bring about, less is done; formatting the result again changes nothing.
func Format(src []byte) ([]byte, error) {
	want, err := parse(src)
	if err != nil {
		return nil, err
	}
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	src = bytes.ReplaceAll(src, []byte("\r"), []byte("\n")) // a line break too
	for _, reindent := range []bool{true, false} {
		out := layout(src, want, reindent)
		if same(want, out) && stable(out, reindent) {
			return out, nil
		}
	}
	return src, nil
}

// stable reports whether a second pass leaves the text alone.
func stable(out []byte, reindent bool) bool {
	docs, err := parse(out)
	return err == nil && bytes.Equal(layout(out, docs, reindent), out)
}

// parse reads all documents of a text.
func parse(src []byte) ([]*yaml.Node, error) {
	d, err := yaml.NewLoader(bytes.NewReader(src), yaml.WithUniqueKeys(false))
	if err != nil {
		return nil, fmt.Errorf("reading YAML: %w", err)
	}
	var docs []*yaml.Node
	for {
		n := &yaml.Node{}
		if err := d.Load(n); errors.Is(err, io.EOF) {
			return docs, nil
		} else if err != nil {
			var le *yaml.LoadError
			if errors.As(err, &le) && le.Mark.Line > 0 {
				return nil, fmt.Errorf("line %d, column %d: %s: %w", le.Mark.Line, max(le.Mark.Column, 1), le.Message, ErrSyntax)
			}
			return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
		}
		docs = append(docs, n)
	}
}

// same reports whether a text means what the documents do, and has their
// anchors.
func same(want []*yaml.Node, text []byte) bool {
	got, err := parse(text)
	if err != nil || len(got) != len(want) {
		return false
	}
	for i := range want {
		if !equal(want[i], got[i]) {
			return false
		}
	}
	return true
}

func equal(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.ShortTag() != b.ShortTag() || a.Value != b.Value || a.Anchor != b.Anchor || a.Style != b.Style || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content { // an alias has no content, so this ends
		if !equal(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// line is one line of the text.
type line struct {
	text    string
	want    int  // the indentation it gets as the start of an entry, or -1
	literal bool // inside a block scalar: its blanks mean something
}

type formatter struct{ lines []line }

// layout lays a text out; docs are what it means.
func layout(src []byte, docs []*yaml.Node, reindent bool) []byte {
	f := formatter{}
	for text := range strings.Lines(string(src)) {
		f.lines = append(f.lines, line{text: strings.TrimSuffix(text, "\n"), want: -1})
	}
	for _, d := range docs {
		f.scalars(d)
		if reindent && len(d.Content) == 1 {
			f.node(d.Content[0], 0)
		}
	}
	f.shift()
	return f.join()
}

// scalars marks the lines inside block scalars.
func (f *formatter) scalars(n *yaml.Node) {
	for _, c := range n.Content {
		f.scalars(c)
	}
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 || n.Line < 1 || n.Line > len(f.lines) {
		return
	}
	// What belongs to it is indented deeper than the entry that holds it, whose
	// indentation counts from behind its dashes.
	head := f.lines[n.Line-1].text
	base := len(head) - len(strings.TrimLeft(head, " "))
	if strings.HasPrefix(head[base:], "- ") {
		rest := strings.TrimLeft(head[base:], "- ")
		if !strings.HasPrefix(rest, "|") && !strings.HasPrefix(rest, ">") {
			base = len(head) - len(rest)
		}
	}
	for i := n.Line; i < len(f.lines); i++ {
		t := f.lines[i].text
		if blank := strings.TrimLeft(t, " ") == ""; !blank && indentOf(t) <= base {
			break
		}
		f.lines[i].literal = true
	}
}

// node says what indentation the entries of a block collection get.
func (f *formatter) node(n *yaml.Node, indent int) {
	if n.Style&yaml.FlowStyle != 0 {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			f.entry(n.Content[i].Line, indent)
			f.node(n.Content[i+1], indent+step)
		}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			f.entry(f.dashLine(c.Line), indent)
			f.node(c, indent+step)
		}
	}
}

// dashLine finds the line of an item's dash, which may stand alone above it.
func (f *formatter) dashLine(at int) int {
	for i := at; i >= 1 && i <= len(f.lines); i-- {
		t := strings.TrimLeft(f.lines[i-1].text, " ")
		switch {
		case t == "-" || strings.HasPrefix(t, "- "):
			return i
		case i < at && t != "" && t[0] != '#':
			return at
		}
	}
	return at
}

func (f *formatter) entry(at, indent int) {
	if at >= 1 && at <= len(f.lines) && f.lines[at-1].want < 0 {
		f.lines[at-1].want = indent
	}
}

// shift moves every line: entries to their indentation, what continues an entry
// along with it, and a comment along with the entry below it.
func (f *formatter) shift() {
	delta := 0
	for i := range f.lines {
		l := &f.lines[i]
		if l.want >= 0 {
			old := indentOf(l.text)
			rest := l.text[old:]
			if gap := strings.TrimLeft(strings.TrimPrefix(rest, "-"), " "); strings.HasPrefix(rest, "- ") && gap != "" && gap[0] != '#' {
				rest = "- " + gap
			}
			delta = l.want - old
			l.text = strings.Repeat(" ", l.want) + rest
			continue
		}
		d := delta
		if !l.literal && strings.HasPrefix(strings.TrimLeft(l.text, " "), "#") {
			if next, ok := f.below(i); ok {
				d = next
			}
		}
		l.text = move(l.text, d)
	}
}

// below is how far the first entry below a comment moves, if the comment stands
// at its indentation.
func (f *formatter) below(at int) (int, bool) {
	own := indentOf(f.lines[at].text)
	for _, l := range f.lines[at+1:] {
		t := strings.TrimLeft(l.text, " ")
		if t == "" || t[0] == '#' {
			continue
		}
		if l.want < 0 || indentOf(l.text) != own {
			return 0, false
		}
		return l.want - own, true
	}
	return 0, false
}

func move(text string, by int) string {
	old := indentOf(text)
	if old == len(text) || by == 0 || old == 0 {
		return text // blank, or at the left for a reason (---)
	}
	return strings.Repeat(" ", max(0, old+by)) + text[old:]
}

func indentOf(text string) int { return len(text) - len(strings.TrimLeft(text, " ")) }

// join drops trailing blanks and spare blank lines.
func (f *formatter) join() []byte {
	var b bytes.Buffer
	blanks := 0
	for _, l := range f.lines {
		text := l.text
		if !l.literal {
			text = strings.TrimRight(text, " \t")
		}
		if text == "" && !l.literal {
			blanks++
			continue
		}
		if blanks > 0 && b.Len() > 0 {
			b.WriteByte('\n')
		}
		blanks = 0
		b.WriteString(text)
		b.WriteByte('\n')
	}
	return b.Bytes()
}
