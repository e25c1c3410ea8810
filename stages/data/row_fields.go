package data

import (
	"context"
	"fmt"
	"iter"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/rowexpr"
	"github.com/distillflow/distillflow/schema"
)

// pathFields are what an expression sees of a reasoning path. answered and the
// rest that schema.Path has no field for are derived: whether a path was
// verified cannot be read from correct, which is false until then.
var pathFields = rowexpr.Fields{
	"style": rowexpr.String, "replicate": rowexpr.Int, "prompt": rowexpr.String, "reasoning": rowexpr.String, "response": rowexpr.String,
	"finish_reason": rowexpr.String, "provider": rowexpr.String, "pred": rowexpr.String, "rule": rowexpr.String,
	"correct": rowexpr.Bool, "reason": rowexpr.String, "error": rowexpr.String,
	"judge":    rowexpr.Object(rowexpr.Fields{"valid": rowexpr.Bool, "reason": rowexpr.String}),
	"answered": rowexpr.Bool, "verified": rowexpr.Bool, "judged": rowexpr.Bool,
}

// problemFields are what an expression sees of a row.
var problemFields = rowexpr.Fields{
	"id": rowexpr.String, "task": rowexpr.String, "question": rowexpr.String, "gold_answer": rowexpr.String,
	"choices": rowexpr.List(rowexpr.Object(rowexpr.Fields{"label": rowexpr.String, "text": rowexpr.String})),
	"premise": rowexpr.String, "hypothesis": rowexpr.String, "table": rowexpr.String,
	"paths": rowexpr.List(rowexpr.Object(pathFields)),
}

// pathRowFields are what an expression over one path sees: the path's fields,
// and its row's under row.
var pathRowFields = withField(pathFields, "row", rowexpr.Object(problemFields))

func withField(f rowexpr.Fields, name string, t rowexpr.Type) rowexpr.Fields {
	all := rowexpr.Fields{name: t}
	for k, v := range f {
		all[k] = v
	}
	return all
}

// exprFieldsDoc explains to the users of every row stage what expressions see.
const exprFieldsDoc = `An expression sees the row's fields: id, task, question, gold_answer, choices
(label, text), premise, hypothesis, table, paths, and every other field of the
data. Of a path it sees style, replicate, prompt, reasoning, response,
finish_reason, provider, pred, rule, correct, reason, error, judge (valid, reason), its other
fields, and answered, verified and judged. Texts that a row lacks are "", unknown
fields null: (level ?? 0) > 3.`

// problemRow shows a row to an expression.
type problemRow struct{ *schema.Problem }

// Field implements [rowexpr.Row].
func (r problemRow) Field(name string) (any, bool) {
	switch name {
	case "id":
		return r.ID, true
	case "task":
		return r.Task, true
	case "question":
		return r.Question, true
	case "gold_answer":
		return r.GoldAnswer, true
	case "premise":
		return r.Premise, true
	case "hypothesis":
		return r.Hypothesis, true
	case "table":
		return r.Table, true
	case "choices":
		list := make([]any, len(r.Choices))
		for i, c := range r.Choices {
			list[i] = map[string]any{"label": c.Label, "text": c.Text}
		}
		return list, true
	case "paths":
		list := make([]any, len(r.Paths))
		for i := range r.Paths {
			list[i] = pathObject(&r.Paths[i])
		}
		return list, true
	}
	return extra(r.Extra, name)
}

func extra(f schema.Fields, name string) (any, bool) {
	raw := f.Get(name)
	if raw == nil {
		return nil, false
	}
	return rowexpr.FromJSON(gjson.ParseBytes(raw)), true
}

// pathRow shows a path, and the row it belongs to, to an expression.
type pathRow struct {
	path *schema.Path
	row  *schema.Problem
}

// Field implements [rowexpr.Row].
func (r pathRow) Field(name string) (any, bool) {
	if name == "row" {
		m := map[string]any{}
		for _, f := range r.row.Extra {
			m[f.Name] = rowexpr.FromJSON(gjson.ParseBytes(f.Raw))
		}
		for f := range problemFields {
			m[f], _ = problemRow{r.row}.Field(f)
		}
		return m, true
	}
	return pathField(r.path, name)
}

func pathField(p *schema.Path, name string) (any, bool) {
	switch name {
	case "style":
		return p.Style, true
	case "replicate":
		return p.Replicate, true
	case "prompt":
		return p.Prompt, true
	case "reasoning":
		return p.Reasoning, true
	case "response":
		return p.Response, true
	case "finish_reason":
		return p.FinishReason, true
	case "provider":
		return p.Provider, true
	case "pred":
		return p.Pred, true
	case "rule":
		return p.Rule, true
	case "correct":
		return p.IsCorrect(), true
	case "reason":
		return p.Reason, true
	case "error":
		return p.Error, true
	case "judge":
		var j schema.Judge
		if p.Judge != nil {
			j = *p.Judge
		}
		return map[string]any{"valid": j.Valid, "reason": j.Reason}, true
	case "answered":
		return p.Answered(), true
	case "verified":
		return p.Correct != nil, true
	case "judged":
		return p.Judge != nil, true
	}
	return extra(p.Extra, name)
}

func pathObject(p *schema.Path) map[string]any {
	m := make(map[string]any, len(pathFields)+len(p.Extra))
	for _, f := range p.Extra {
		m[f.Name] = rowexpr.FromJSON(gjson.ParseBytes(f.Raw))
	}
	for name := range pathFields {
		m[name], _ = pathField(p, name)
	}
	return m
}

// compile compiles the expression of a config field; the error points at it.
func compile(src string, fields rowexpr.Fields, want expr.Want, path ...string) (*rowexpr.Program, error) {
	p, err := rowexpr.Compile(src, fields, want)
	if err != nil {
		return nil, stage.FieldError{Path: path, Msg: err.Error()}
	}
	return p, nil
}

// each streams rows, with progress, until ctx is done.
func each(ctx context.Context, env *stage.Env, rows stage.Rows[schema.Problem]) iter.Seq2[schema.Problem, error] {
	return func(yield func(schema.Problem, error) bool) {
		for row, err := range eachPlaced(ctx, env, rows) {
			if !yield(row.Record, err) {
				return
			}
		}
	}
}

// eachPlaced is each with the places of the rows.
func eachPlaced(ctx context.Context, env *stage.Env, rows stage.Rows[schema.Problem]) iter.Seq2[stage.Placed[schema.Problem], error] {
	return func(yield func(stage.Placed[schema.Problem], error) bool) {
		n := int64(0)
		for row, err := range rows.Placed() {
			if n++; n%1024 == 0 {
				env.Progress(stage.Progress{Done: n, Unit: "rows"})
				if err == nil {
					err = ctx.Err()
				}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// rowErr says which row an expression failed for.
func rowErr(field string, row *schema.Problem, err error) error {
	return fmt.Errorf("row %q: %s: %w", row.ID, field, err)
}

// warnUnseen tells of fields that no row had, which are most often misspelt.
func warnUnseen(env *stage.Env, field string, p *rowexpr.Program, rows int) {
	if p == nil || rows == 0 {
		return
	}
	for _, u := range p.Unseen() {
		env.Warn("%s: %s", field, u)
	}
}
