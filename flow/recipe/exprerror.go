package recipe

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"

	"github.com/distillflow/distillflow/flow/diag"
)

// report adds a diagnostic for the runes [from, to) of the expression p in v.
func (e *evaluator) report(v *Value, p piece, code, summary string, from, to int) {
	e.diags.Add(e.at(v, p, code, summary, from, to))
}

func (e *evaluator) at(v *Value, p piece, code, summary string, from, to int) diag.Diagnostic {
	start := posIn(e.sources, v, p.offset+from)
	d := diag.Errorf(start, code, "%s", summary)
	if to > from+1 && start != v.Pos {
		if end := posIn(e.sources, v, p.offset+to-1); end.Line == start.Line && end.Col > start.Col {
			d = d.Over(end.Col - start.Col + 1)
		}
	}
	return d
}

var (
	unknownName  = regexp.MustCompile(`^unknown name (\S+)$`)
	unknownField = regexp.MustCompile(`^unknown field (\S+)$`)
	notBool      = regexp.MustCompile(`^expected bool, but got (\S+)$`)
	badToken     = regexp.MustCompile(`^unexpected token (\w+)(?:\((.*)\))?$`)
)

// exprError words an error of the expression library and finds its place.
func (e *evaluator) exprError(v *Value, p piece, code string, err error) {
	var fe *file.Error
	if !errors.As(err, &fe) { // about the expression as a whole
		msg := strings.SplitN(err.Error(), "\n", 2)[0]
		if m := notBool.FindStringSubmatch(msg); m != nil {
			msg = fmt.Sprintf("the condition gives %s; it must be true or false", article(m[1]))
		}
		e.report(v, p, code, msg, 0, utf8.RuneCountInString(p.text))
		return
	}
	msg := strings.TrimSpace(strings.SplitN(fe.Message, "\n", 2)[0])
	runes := []rune(p.text)
	from := min(max(fe.From, 0), len(runes))
	d := e.at(v, p, code, msg, from, min(fe.To, len(runes)))
	if m := badToken.FindStringSubmatch(msg); m != nil {
		if m[1] == "EOF" {
			d.Summary = "the expression ends too early"
		} else {
			d.Summary = "unexpected " + m[2] + " in the expression"
		}
	} else if m := unknownName.FindStringSubmatch(msg); m != nil {
		d = e.unknownName(d, m[1])
	} else if m := unknownField.FindStringSubmatch(msg); m != nil {
		d = e.unknownField(d, m[1], strings.TrimRight(string(runes[:from]), " \t?.["), fe.To-fe.From)
	}
	e.diags.Add(d)
}

func (e *evaluator) unknownName(d diag.Diagnostic, name string) diag.Diagnostic {
	d.Code, d.Summary = "expr-unknown", fmt.Sprintf("unknown name %q in the expression", name)
	if e.params[name] != nil {
		return d.WithHelp("write params.%s", name)
	}
	if name == "params" {
		return d.WithHelp("params cannot be used here: they are only known once all of them are read")
	}
	if name == "matrix" {
		return d.WithHelp("this place has no `matrix:`")
	}
	d = d.WithSuggestion(name, slices.Concat(e.names, exprFunctions, ownFunctions))
	if d.Suggestion == "" {
		d = d.WithHelp("an expression here sees %s; text needs quotes", strings.Join(e.names, ", "))
	}
	return d
}

func (e *evaluator) unknownField(d diag.Diagnostic, field, before string, width int) diag.Diagnostic {
	switch {
	case strings.HasSuffix(before, "params"):
		d.Code, d.Summary = "unknown-param", fmt.Sprintf("unknown param %q", field)
		names := make([]string, 0, len(e.params))
		for name := range e.params {
			names = append(names, name)
		}
		slices.Sort(names)
		if d = d.WithSuggestion(field, names); d.Suggestion == "" {
			d = d.WithHelp("declare it under `params:`")
		}
	case strings.HasSuffix(before, "env"):
		d.Code, d.Summary = "expr-unknown", fmt.Sprintf("the environment variable %q is not open to this recipe", field)
		d = d.WithHelp("list it at the top of the recipe: env: [%s]", field)
	case strings.HasSuffix(before, "matrix"):
		d.Code, d.Summary = "expr-unknown", fmt.Sprintf("unknown matrix axis %q", field)
		axes := make([]string, 0, len(e.matrix))
		for name := range e.matrix {
			axes = append(axes, name)
		}
		slices.Sort(axes)
		d = d.WithSuggestion(field, axes)
	}
	return d
}
