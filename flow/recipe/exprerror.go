package recipe

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/internal/base/expr"
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

// exprCodes are the codes of diagnostics for mistakes in expressions.
var exprCodes = map[expr.Kind]string{expr.Syntax: "expr-syntax", expr.Type: "expr-type", expr.Unknown: "expr-unknown",
	expr.Limit: "limit", expr.Failed: "expr-eval"}

// exprError reports what is wrong with an expression, at its place.
func (e *evaluator) exprError(v *Value, p piece, err error) {
	var wrong *expr.Error
	if !errors.As(err, &wrong) {
		e.report(v, p, "expr-eval", err.Error(), 0, utf8.RuneCountInString(p.text))
		return
	}
	from, to := wrong.From, wrong.To
	if wrong.Line == 0 && wrong.Kind != expr.Limit {
		to = utf8.RuneCountInString(p.text)
	}
	d := e.at(v, p, exprCodes[wrong.Kind], wrong.Msg, from, to)
	switch {
	case wrong.Kind != expr.Unknown:
	case wrong.Of == "":
		d = e.unknownName(d, wrong.Name)
	default:
		d = e.unknownField(d, wrong.Name, wrong.Of)
	}
	e.diags.Add(d)
}

func (e *evaluator) unknownName(d diag.Diagnostic, name string) diag.Diagnostic {
	d.Summary += " in the expression"
	if e.params[name] != nil {
		return d.WithHelp("write params.%s", name)
	}
	if name == "params" {
		return d.WithHelp("params cannot be used here: they are only known once all of them are read")
	}
	if name == "matrix" {
		return d.WithHelp("this place has no `matrix:`")
	}
	d = d.WithSuggestion(name, slices.Concat(e.names, expr.Functions()))
	if d.Suggestion == "" {
		d = d.WithHelp("an expression here sees %s; text needs quotes", strings.Join(e.names, ", "))
	}
	return d
}

func (e *evaluator) unknownField(d diag.Diagnostic, field, of string) diag.Diagnostic {
	switch of {
	case "params":
		d.Code, d.Summary = "unknown-param", fmt.Sprintf("unknown param %q", field)
		if d = d.WithSuggestion(field, slices.Sorted(maps.Keys(e.params))); d.Suggestion == "" {
			d = d.WithHelp("declare it under `params:`")
		}
	case "env":
		d.Summary = fmt.Sprintf("the environment variable %q is not open to this recipe", field)
		d = d.WithHelp("list it at the top of the recipe: env: [%s]", field)
	case "matrix":
		d.Summary = fmt.Sprintf("unknown matrix axis %q", field)
		d = d.WithSuggestion(field, slices.Sorted(maps.Keys(e.matrix)))
	}
	return d
}
