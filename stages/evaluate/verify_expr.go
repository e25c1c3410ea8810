package evaluate

import (
	"context"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/rowexpr"
	"github.com/distillflow/distillflow/schema"
)

type exprConfig struct {
	Correct string `json:"correct" required:"true" doc:"Expression over a row and one of its paths; true means that the path is correct."`
}

// Validate compiles the expression, so that mistakes show before anything runs.
func (c exprConfig) Validate() error {
	_, err := c.compile()
	return err
}

func (c exprConfig) compile() (*rowexpr.Program, error) {
	p, err := rowexpr.Compile(c.Correct, gradedFields, expr.Bool)
	if err != nil {
		return nil, stage.Invalid("correct", "%v", err)
	}
	return p, nil
}

// Estimate implements [stage.Estimator].
func (exprConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return verified(q)
}

// VerifyExpr grades each path by an expression of the user.
var VerifyExpr = stage.Define(stage.Spec{
	Type: "verify-expr", Version: 1, Class: stage.Pure, RowByRow: "problems",
	Doc: `Grades each path by an expression that is true where the path is correct.

The expression sees gold, golds (all right answers), pred, response, reasoning and
style, and the row's fields: id, task, question, gold_answer, gold_answers,
choices (label, text), premise, hypothesis, table, and every other field of the
data. Texts that are not there are "", unknown fields null: (level ?? 0) > 3.

Examples:
  correct: lower(pred) in map(golds, lower(#))
  correct: response contains gold and len(response) < 2000
  correct: pred matches "^[0-9]{4}-[0-9]{2}$" and pred == month

A path without a prediction is evaluated too; one without a response is not
correct. An expression that fails for a path, such as a number compared with null,
makes it not correct and is the path's reason.`,
}, verifyExpr)

func verifyExpr(ctx context.Context, env *stage.Env, c exprConfig, in problemsIn, out verifyOut) error {
	program, err := c.compile()
	if err != nil {
		return err
	}
	failed := 0
	var first string
	asked, err := verifyBy(ctx, env, in, out, func(row *schema.Problem, p *schema.Path) (bool, string, error) {
		ok, err := program.Bool(gradedPath{row, p})
		if err != nil {
			if failed++; failed == 1 {
				first = "row " + strconv.Quote(row.ID) + ", style " + p.Style + ": " + err.Error()
			}
			return false, "expression: " + err.Error(), nil
		}
		return ok, "expression: " + strconv.FormatBool(ok), nil
	})
	env.AddStat("failed", float64(failed))
	if failed > 0 {
		env.Warn("the expression failed for %d of %d paths, which count as not correct; the first: %s", failed, asked, first)
	}
	if err == nil && asked > 0 {
		for _, u := range program.Unseen() {
			env.Warn("correct: %s", u)
		}
	}
	return err
}

// verifyBy grades every path that has a response by check, which gives the verdict
// and the path's reason. asked is how many were.
func verifyBy(ctx context.Context, env *stage.Env, in problemsIn, out verifyOut, check func(*schema.Problem, *schema.Path) (bool, string, error)) (asked int, err error) {
	err = grade(ctx, env, in, out, func(row *schema.Problem) (func(*schema.Path) (bool, error), error) {
		return func(p *schema.Path) (ok bool, err error) {
			if !responded(*p) {
				p.Reason = noResponse(*p)
				return false, nil
			}
			asked++
			ok, p.Reason, err = check(row, p)
			return ok, err
		}, nil
	})
	return asked, err
}

// golds are all right answers of a row.
func golds(row *schema.Problem) []string {
	if len(row.GoldAnswers) == 0 && row.GoldAnswer != "" {
		return []string{row.GoldAnswer}
	}
	return row.GoldAnswers
}

// gradedFields are what an expression sees of a path and its row.
var gradedFields = rowexpr.Fields{
	"gold": rowexpr.String, "golds": rowexpr.List(rowexpr.String), "pred": rowexpr.String, "response": rowexpr.String,
	"reasoning": rowexpr.String, "style": rowexpr.String,
	"id": rowexpr.String, "task": rowexpr.String, "question": rowexpr.String,
	"gold_answer": rowexpr.String, "gold_answers": rowexpr.List(rowexpr.String),
	"choices": rowexpr.List(rowexpr.Object(rowexpr.Fields{"label": rowexpr.String, "text": rowexpr.String})),
	"premise": rowexpr.String, "hypothesis": rowexpr.String, "table": rowexpr.String,
}

// gradedPath shows a path and its row to an expression.
type gradedPath struct {
	row  *schema.Problem
	path *schema.Path
}

// Field implements [rowexpr.Row].
func (g gradedPath) Field(name string) (any, bool) {
	switch name {
	case "pred":
		return g.path.Pred, true
	case "response":
		return g.path.Response, true
	case "reasoning":
		return g.path.Reasoning, true
	case "style":
		return g.path.Style, true
	case "id":
		return g.row.ID, true
	case "task":
		return g.row.Task, true
	case "question":
		return g.row.Question, true
	case "gold", "gold_answer":
		return g.row.GoldAnswer, true
	case "golds", "gold_answers":
		list := []any{}
		for _, s := range golds(g.row) {
			list = append(list, s)
		}
		return list, true
	case "choices":
		list := []any{}
		for _, c := range g.row.Choices {
			list = append(list, map[string]any{"label": c.Label, "text": c.Text})
		}
		return list, true
	case "premise":
		return g.row.Premise, true
	case "hypothesis":
		return g.row.Hypothesis, true
	case "table":
		return g.row.Table, true
	}
	raw := g.row.Extra.Get(name)
	if raw == nil {
		return nil, false
	}
	return rowexpr.FromJSON(gjson.ParseBytes(raw)), true
}
