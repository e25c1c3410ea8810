package recipe

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/flow/diag"
)

// syntaxError says an error of the YAML reader in plain words and keeps its
// position.
func (y *yamlReader) syntaxError(err error) diag.Diagnostic {
	var le *yaml.LoadError
	if !errors.As(err, &le) || le.Mark.Line == 0 {
		return diag.Errorf(diag.Pos{File: y.file}, "yaml-syntax", "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	pos := diag.Pos{File: y.file, Line: le.Mark.Line, Col: max(le.Mark.Column, 1)}
	line, ok := y.sources.Line(y.file, pos.Line)
	for ; !ok && pos.Line > 1; pos.Col = len([]rune(line)) + 1 { // behind the end of the text
		pos.Line--
		line, ok = y.sources.Line(y.file, pos.Line)
	}
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
		return d.WithHelp("indent it like the keys beside it; if it belongs to the line above, end that line with `:`")
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
