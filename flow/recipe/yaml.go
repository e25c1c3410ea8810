package recipe

import (
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

// Limits on the YAML of one file. They stop documents that are made to exhaust
// memory; recipes that people or generators write stay far below.
const (
	maxDepth  = 200       // nesting of lists and maps
	maxValues = 8_000_000 // values after aliases are expanded
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
// text is no YAML; the reasons are in diags.
func (y *yamlReader) read(src []byte, maxBytes int) *Value {
	whole := diag.Pos{File: y.file}
	if len(src) > maxBytes {
		y.diags.Add(diag.Errorf(whole, "limit", "the file is larger than the limit of %d bytes", maxBytes).
			WithHelp("split the recipe with `extends:`, or generate fewer stages with `matrix:`"))
		return nil
	}
	y.sources.Add(y.file, src)
	if !y.checkText(src) {
		return nil
	}
	loader, err := yaml.NewLoader(strings.NewReader(string(src)),
		yaml.WithUniqueKeys(false), // our own check reports all of them, with both places
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
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
	y.anchored = map[*yaml.Node]*anchor{}
	v := y.value(doc.Content[0])
	if y.tooMany {
		return nil
	}
	return v
}

// checkText finds what YAML does not allow in a text at all; the YAML reader
// notices it too, but without a position.
func (y *yamlReader) checkText(src []byte) bool {
	line, col := 1, 1
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		pos := diag.Pos{File: y.file, Line: line, Col: col}
		switch {
		case r == utf8.RuneError && n == 1:
			y.diags.Add(diag.Errorf(pos, "yaml-syntax", "byte 0x%02x is not UTF-8", src[i]).
				WithHelp("save the file with the encoding UTF-8"))
			return false
		case r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0x7f:
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
			y.diags.Errorf(v.Pos, "yaml-syntax", "alias *%s stands inside its own anchor", n.Value)
			return v
		}
		y.values += a.size - 1
		return a.val // values do not change, so that sharing is safe
	}
	return v
}

func (y *yamlReader) mapping(n *yaml.Node, v *Value) {
	seen := make(map[string]int, len(n.Content)/2) // index in v.Entries
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
			y.diags.Add(diag.Errorf(kp, "duplicate-key", "duplicate key %q", k.Value).Over(utf8.RuneCountInString(k.Value)).
				WithRelated(v.Entries[first].KeyPos.Span(utf8.RuneCountInString(k.Value)), "first given here"))
			continue
		}
		seen[k.Value] = len(v.Entries)
		v.Entries = append(v.Entries, Entry{Key: k.Value, KeyPos: kp, Val: y.value(c)})
	}
	for _, m := range merges {
		mv := y.value(m)
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
				if _, dup := seen[e.Key]; !dup {
					seen[e.Key] = len(v.Entries)
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
			fail("%q is no bool; write true or false", n.Value)
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
			fail("%s does not fit an integer of 64 bits", n.Value)
			return
		}
		v.Kind = Float
		f, err := parseFloat(n.Value)
		if err != nil {
			fail("%q is no number", n.Value)
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
		return 0, fmt.Sprintf("%s does not fit an integer of 64 bits", s)
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

// syntaxError words an error of the YAML reader for people who do not think in
// scanner states, and keeps its position.
func (y *yamlReader) syntaxError(err error) diag.Diagnostic {
	var le *yaml.LoadError
	if !errors.As(err, &le) || le.Mark.Line == 0 {
		return diag.Errorf(diag.Pos{File: y.file}, "yaml-syntax", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	pos := diag.Pos{File: y.file, Line: le.Mark.Line, Col: max(le.Mark.Column, 1)}
	line, _ := y.sources.Line(y.file, pos.Line)
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	context := diag.At(diag.Pos{File: y.file, Line: le.ContextMark.Line, Col: le.ContextMark.Column})
	d := diag.Errorf(pos, "yaml-syntax", "%s", strings.TrimPrefix(le.Message, "yaml: "))
	switch {
	case strings.Contains(line[:indent], "\t") && pos.Col <= indent+1:
		d.Code, d.Summary = "yaml-indent", "a tab in the indentation"
		d.Span = diag.At(diag.Pos{File: y.file, Line: pos.Line, Col: strings.IndexByte(line, '\t') + 1})
		return d.WithHelp("YAML is indented with spaces")
	case strings.Contains(le.Message, "mapping values are not allowed"):
		before := []rune(line)
		before = before[:min(pos.Col-1, len(before))]
		if strings.Contains(string(before), ": ") {
			d.Summary = "a second `: ` on the line"
			return d.WithHelp("put the value in quotes, or the inner map in { }")
		}
		d.Code, d.Summary = "yaml-indent", "a key is not allowed here"
		d.Span = diag.Pos{File: y.file, Line: pos.Line, Col: indent + 1}.Span(pos.Col - indent - 1)
		return d.WithHelp("give it the same indentation as the keys it belongs with, and check that the line above ends in `:` if this is its content")
	case strings.Contains(le.Message, "did not find expected key") && pos.Col <= indent+1,
		strings.Contains(le.Message, "did not find expected '-' indicator"):
		d.Code, d.Summary = "yaml-indent", "the indentation of this line matches no line above"
		if strings.Contains(le.Message, "'-'") {
			d.Summary = "expected another `- ` item, or less indentation"
		}
		if levels := y.levels(pos.Line); len(levels) > 0 {
			d = d.WithHelp("it has %s; the lines above have %s", spaces(indent), strings.Join(levels, " or "))
		}
		return d
	case strings.Contains(le.Message, "found character that cannot start any token"):
		if r := []rune(line); pos.Col <= len(r) {
			d.Summary = fmt.Sprintf("a value cannot start with %q", r[pos.Col-1])
			return d.WithHelp("put the value in quotes")
		}
	case strings.Contains(le.Message, "found unexpected end of stream") && strings.Contains(le.ContextMsg, "quoted"):
		d.Summary, d.Span = "a quote that is never closed", context
		return d
	case strings.Contains(le.Message, "did not find expected ',' or"):
		closer := le.Message[strings.LastIndex(le.Message, "or ")+3:]
		d.Summary = "expected ',' or " + closer
		if context.Start.Line > 0 {
			d = d.WithRelated(context, "opened here")
		}
		return d
	case strings.Contains(le.Message, "exceeded max depth"):
		d.Code, d.Summary = "limit", fmt.Sprintf("nested deeper than %d levels", maxDepth)
		return d
	}
	if le.ContextMsg != "" && context.Start.Line > 0 && context.Start != pos {
		d = d.WithRelated(context, "%s", le.ContextMsg)
	}
	return d
}

// levels lists the indentations of the lines above that this line could have
// meant, nearest first.
func (y *yamlReader) levels(line int) []string {
	var out []string
	limit := math.MaxInt
	for n := line - 1; n > 0 && limit > 0 && len(out) < 3; n-- {
		text, ok := y.sources.Line(y.file, n)
		trimmed := strings.TrimLeft(text, " ")
		if !ok || trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if indent := len(text) - len(trimmed); indent < limit {
			limit = indent
			out = append(out, spaces(indent))
		}
	}
	return out
}

func spaces(n int) string {
	switch n {
	case 0:
		return "none"
	case 1:
		return "1 space"
	}
	return fmt.Sprintf("%d spaces", n)
}
