package data

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/rowexpr"
	"github.com/distillflow/distillflow/schema"
)

type deriveConfig struct {
	Set  map[string]string `json:"set" doc:"Field name to expression. task, question, gold_answer, premise, hypothesis and table take text; any other name becomes a field of the row; null removes it."`
	Drop []string          `json:"drop" doc:"Unknown fields to leave out, after set."`
}

// knownText are the row's fields of text that derive may write.
var knownText = map[string]func(*schema.Problem) *string{
	"task":        func(p *schema.Problem) *string { return &p.Task },
	"question":    func(p *schema.Problem) *string { return &p.Question },
	"gold_answer": func(p *schema.Problem) *string { return &p.GoldAnswer },
	"premise":     func(p *schema.Problem) *string { return &p.Premise },
	"hypothesis":  func(p *schema.Problem) *string { return &p.Hypothesis },
	"table":       func(p *schema.Problem) *string { return &p.Table },
}

// reserved are the fields that derive does not write, with the reason.
var reserved = map[string]string{
	"id":      "id is what caches, splits and joins know a row by",
	"choices": "choices belong to the gold answer",
	"paths":   "paths are written by the stages that make them; filter takes some away",
}

// Validate compiles the expressions, so that mistakes show before anything runs.
func (c deriveConfig) Validate() error {
	_, err := c.compile()
	return err
}

type setter struct {
	name    string
	program *rowexpr.Program
}

// compile gives the setters in the order of their names: a map of YAML has none.
func (c deriveConfig) compile() ([]setter, error) {
	if len(c.Set)+len(c.Drop) == 0 {
		return nil, stage.FieldError{Msg: "derive needs set or drop"}
	}
	var list []setter
	for _, name := range slices.Sorted(maps.Keys(c.Set)) {
		fail := func(format string, args ...any) error {
			return stage.FieldError{Path: []string{"set", name}, OnKey: true, Msg: fmt.Sprintf(format, args...)}
		}
		if why, no := reserved[name]; no {
			return nil, fail("derive cannot set %q: %s", name, why)
		}
		if name == "" {
			return nil, fail("a field needs a name")
		}
		want := expr.Any
		if knownText[name] != nil {
			want = expr.Text
		}
		p, err := compile(c.Set[name], problemFields, want, "set", name)
		if err != nil {
			return nil, err
		}
		list = append(list, setter{name, p})
	}
	for i, name := range c.Drop {
		if _, known := problemFields[name]; known {
			return nil, stage.FieldError{Path: []string{"drop", fmt.Sprint(i)}, Msg: fmt.Sprintf("%q belongs to every row; only other fields can be dropped", name)}
		}
	}
	return list, nil
}

type deriveIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems."`
}

type deriveOut struct {
	Rows *stage.Writer[schema.Problem] `port:"rows" doc:"The same problems with the fields set."`
}

// Derive computes fields of rows.
var Derive = stage.Define(stage.Spec{
	Type: "derive", Version: 1, Class: stage.Pure, RowByRow: "rows",
	Doc: `Sets fields of rows by expressions.

` + exprFieldsDoc + `

All expressions see the row as it came, so their order does not matter. New fields
follow the row's other unknown fields in alphabetical order. Examples:
  set:
    question: question + "\nGive a number."
    solved: count(paths, .correct) / max(1, len(paths))
    styles: map(filter(paths, .correct), .style)`,
}, derive)

func derive(ctx context.Context, env *stage.Env, c deriveConfig, in deriveIn, out deriveOut) error {
	setters, err := c.compile()
	if err != nil {
		return err
	}
	values := make([]any, len(setters))
	n := 0
	for row, err := range each(ctx, env, in.Rows) {
		if err != nil {
			return err
		}
		n++
		for i, s := range setters {
			if values[i], err = s.program.Value(problemRow{&row}); err != nil {
				return rowErr("set."+s.name, &row, err)
			}
		}
		for i, s := range setters {
			if err := setDerived(&row, s.name, values[i]); err != nil {
				return rowErr("set."+s.name, &row, err)
			}
		}
		row.Extra = slices.DeleteFunc(row.Extra, func(f schema.Field) bool { return slices.Contains(c.Drop, f.Name) })
		if err := out.Rows.Write(row); err != nil {
			return err
		}
	}
	for _, s := range setters {
		warnUnseen(env, "set."+s.name, s.program, n)
	}
	return nil
}

func setDerived(row *schema.Problem, name string, v any) error {
	if field := knownText[name]; field != nil {
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("the field takes text")
		}
		*field(row) = s
		return nil
	}
	if v == nil {
		row.Extra = slices.DeleteFunc(row.Extra, func(f schema.Field) bool { return f.Name == name })
		return nil
	}
	text, err := rowexpr.ToJSON(v)
	if err != nil {
		return err
	}
	row.Extra.Set(name, text)
	return nil
}
