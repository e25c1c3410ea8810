package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/distillflow/distillflow/flow/diag"
)

// Limits on the YAML of one file. They stop documents that would exhaust memory;
// recipes that people or generators write stay far below.
const (
	maxDepth        = 200        // nesting of lists and maps
	maxValues       = 1_000_000  // values after aliases are expanded
	maxMatrixValues = 10_000_000 // values of all legs of matrices
)

// yamlReader turns the YAML of one file into a Value tree.
type yamlReader struct {
	file    string
	baseDir string
	sources *diag.Sources
	diags   *diag.List

	values   int
	tooMany  bool
	anchored map[*yaml.Node]*anchor
}

type anchor struct {
	val  *Value // nil while the node is being read
	size int    // values below it, itself included
}

// read gives the document's root value, or nil when there is none or when the
// text is not YAML; the reasons are in diags.
func (y *yamlReader) read(src []byte, maxBytes int) *Value {
	whole := diag.Pos{File: y.file}
	if len(src) > maxBytes {
		y.diags.Add(diag.Errorf(whole, "limit", "the file is larger than the limit of %d bytes", maxBytes).
			WithHelp("write many similar stages with `matrix:`, and put data into files that stages read"))
		return nil
	}
	y.sources.Add(y.file, src)
	if !y.checkText(src) {
		return nil
	}
	loader, err := y.loader(bytes.NewReader(src))
	if err != nil {
		y.diags.Errorf(whole, "yaml-syntax", "%v", err)
		return nil
	}
	var doc, more yaml.Node
	if err := loader.Load(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			y.diags.Add(y.syntaxError(err))
		}
		return nil
	}
	if len(doc.Content) == 0 {
		return nil
	}
	if err := loader.Load(&more); err == nil {
		y.diags.Errorf(diag.Pos{File: y.file, Line: max(more.Line, 1), Col: max(more.Column, 1)},
			"yaml-syntax", "a second YAML document starts here; a recipe is one document")
	} else if !errors.Is(err, io.EOF) {
		y.diags.Add(y.syntaxError(err))
	}
	v := y.value(doc.Content[0])
	if y.tooMany {
		return nil
	}
	return v
}

func (y *yamlReader) loader(src io.Reader) (*yaml.Loader, error) {
	return yaml.NewLoader(src,
		yaml.WithUniqueKeys(false), // our own check reports all of them, with both places
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
}

// checkText finds what YAML does not allow in a text at all; the YAML reader
// notices it too, but without a position.
func (y *yamlReader) checkText(src []byte) bool {
	if utf8.Valid(src) && bytes.IndexFunc(src, isControl) < 0 {
		return true
	}
	line, col := 1, 1
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		pos := diag.Pos{File: y.file, Line: line, Col: col}
		switch {
		case r == utf8.RuneError && n == 1:
			y.diags.Add(diag.Errorf(pos, "yaml-syntax", "byte 0x%02x is not UTF-8", src[i]).
				WithHelp("save the file as UTF-8"))
			return false
		case isControl(r):
			y.diags.Errorf(pos, "yaml-syntax", "control character U+%04X is not allowed", r)
			return false
		}
		if r == '\n' {
			line, col = line+1, 1
		} else if i > 0 || r != '\ufeff' {
			col++
		}
		i += n
	}
	return true
}

func isControl(r rune) bool { return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0x7f }

func (y *yamlReader) pos(n *yaml.Node) diag.Pos {
	return diag.Pos{File: y.file, Line: n.Line, Col: n.Column}
}

func (y *yamlReader) value(n *yaml.Node) *Value {
	v := &Value{Pos: y.pos(n), BaseDir: y.baseDir}
	y.values++
	if y.values > maxValues {
		if !y.tooMany {
			y.tooMany = true
			y.diags.Errorf(v.Pos, "limit", "the recipe has more than %d values (aliases expanded)", maxValues)
		}
		return v
	}
	if n.Anchor != "" && n.Kind != yaml.AliasNode {
		a := &anchor{}
		if y.anchored == nil {
			y.anchored = map[*yaml.Node]*anchor{}
		}
		y.anchored[n] = a
		before := y.values
		defer func() { a.val, a.size = v, y.values-before+1 }()
	}
	switch n.Kind {
	case yaml.ScalarNode:
		y.scalar(n, v)
	case yaml.SequenceNode:
		v.Kind = List
		v.Items = make([]*Value, 0, len(n.Content))
		for _, c := range n.Content {
			v.Items = append(v.Items, y.value(c))
			if y.tooMany {
				break
			}
		}
	case yaml.MappingNode:
		v.Kind = Map
		y.mapping(n, v)
	case yaml.AliasNode:
		a := y.anchored[n.Alias]
		if a == nil || a.val == nil {
			y.diags.Errorf(v.Pos, "yaml-syntax", "alias *%s is inside its own anchor", n.Value)
			return v
		}
		y.values += a.size - 1
		return a.val // values do not change, so that sharing is safe
	}
	return v
}

func (y *yamlReader) mapping(n *yaml.Node, v *Value) {
	seen := make(map[string]diag.Pos, len(n.Content)/2)
	v.Entries = make([]Entry, 0, len(n.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content) && !y.tooMany; i += 2 {
		k, c := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = &yaml.Node{Kind: k.Alias.Kind, Tag: k.Alias.Tag, Value: k.Alias.Value, Line: k.Line, Column: k.Column, Style: k.Alias.Style}
		}
		kp := y.pos(k)
		if k.Kind != yaml.ScalarNode {
			y.diags.Errorf(kp, "wrong-type", "a key must be a plain word, not a list or map")
			continue
		}
		if k.ShortTag() == "!!merge" {
			merges = append(merges, c)
			continue
		}
		if first, dup := seen[k.Value]; dup {
			n := utf8.RuneCountInString(k.Value)
			y.diags.Add(diag.Errorf(kp, "duplicate-key", "duplicate key %q", k.Value).Over(n).
				WithRelated(first.Span(n), "first given here"))
			continue
		}
		seen[k.Value] = kp
		v.Entries = append(v.Entries, Entry{Key: k.Value, KeyPos: kp, Val: y.value(c)})
	}
	for _, m := range merges {
		mv := y.value(m)
		if y.tooMany {
			return
		}
		list := []*Value{mv}
		if mv.Kind == List {
			list = mv.Items
		}
		for _, one := range list {
			if one.Kind != Map {
				y.diags.Errorf(y.pos(m), "wrong-type", "`<<` merges maps, not %s", article(one.Kind.String()))
				continue
			}
			for _, e := range one.Entries {
				if _, has := seen[e.Key]; !has {
					seen[e.Key] = e.KeyPos
					v.Entries = append(v.Entries, e)
				}
			}
		}
	}
}

func (y *yamlReader) scalar(n *yaml.Node, v *Value) {
	v.Str, v.style = n.Value, styleOf(n)
	fail := func(format string, args ...any) {
		y.diags.Add(diag.Errorf(v.Pos, "wrong-type", format, args...).Over(utf8.RuneCountInString(n.Value)))
	}
	switch tag := n.ShortTag(); tag {
	case "!!null":
		v.Kind = Null
	case "!!bool":
		v.Kind = Bool
		b, err := strconv.ParseBool(strings.ToLower(n.Value))
		if err != nil {
			fail("%q is not a bool; write true or false", n.Value)
		}
		v.Bool = b
	case "!!int":
		v.Kind = Int
		i, msg := parseInt(n.Value)
		if msg != "" {
			fail("%s", msg)
		}
		v.Int = i
	case "!!float":
		if isDigits(strings.TrimLeft(n.Value, "+-")) {
			v.Kind = Int // the YAML reader falls back to float where 64 bits do not suffice
			fail("%s does not fit in an integer of 64 bits", n.Value)
			return
		}
		v.Kind = Float
		f, err := parseFloat(n.Value)
		if err != nil {
			fail("%q is not a number", n.Value)
		}
		v.Float = f
	case "!!str", "!!timestamp": // a date stays the text it is written as
		v.Kind = String
	default:
		v.Kind = String
		fail("YAML tag %s is not supported here", tag)
	}
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789_") == ""
}

// parseInt reads a YAML integer. A leading zero is refused: YAML 1.1 reads 017
// as 15, YAML 1.2 as 17.
func parseInt(s string) (int64, string) {
	digits := strings.TrimLeft(s, "+-")
	if len(digits) > 1 && digits[0] == '0' && isDigits(digits) {
		return 0, fmt.Sprintf("%s is ambiguous: write %s, or 0o%s for octal", s, strings.TrimLeft(digits, "0_"), strings.TrimLeft(digits, "0_"))
	}
	i, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		return 0, fmt.Sprintf("%s does not fit in an integer of 64 bits", s)
	}
	return i, ""
}

func parseFloat(s string) (float64, error) {
	switch strings.ToLower(strings.TrimLeft(s, "+-")) {
	case ".inf":
		if strings.HasPrefix(s, "-") {
			return math.Inf(-1), nil
		}
		return math.Inf(1), nil
	case ".nan":
		return math.NaN(), nil
	}
	return strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
}
