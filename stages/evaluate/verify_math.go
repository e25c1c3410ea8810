package evaluate

import (
	"context"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/schema"
)

type mathConfig struct {
	Percent          string `json:"percent" default:"lenient" choices:"lenient|strict" doc:"lenient: a gold of 28% also accepts 28, and 0.28 accepts 28%; strict: 28% is 0.28 only."`
	Units            string `json:"units" default:"lenient" choices:"lenient|strict|ignore" doc:"lenient: a unit may be left out, two different ones must agree after conversion; strict: both or none; ignore: never compared."`
	OrderedLists     bool   `json:"ordered_lists" default:"false" doc:"Bare lists such as 1, 2 must keep the gold's order. Tuples always do, sets never."`
	StrictAssignment bool   `json:"strict_assignment" default:"false" doc:"x = 5 is not the same answer as 5."`
	StrictBase       bool   `json:"strict_base" default:"false" doc:"A gold in base n, such as 52_8, needs the base in the answer too."`
	GoldDigits       int    `json:"gold_digits" default:"3" min:"-1" doc:"Least significant digits of a decimal gold that is taken as rounded (33.3 accepts 100/3); -1: never."`
	PredDigits       int    `json:"pred_digits" default:"4" min:"-1" doc:"Least significant digits of a decimal answer to an exact gold (1.732 for the root of 3); -1: never."`
	Steps            int    `json:"steps" default:"200000" min:"1" doc:"Budget of one comparison, in evaluated nodes."`
}

func (c mathConfig) options() mathverify.Options {
	o := mathverify.Options{
		OrderedLists: c.OrderedLists, StrictAssignment: c.StrictAssignment, StrictBase: c.StrictBase,
		GoldDigits: c.GoldDigits, PredDigits: c.PredDigits, Steps: c.Steps,
	}
	if c.GoldDigits == 0 {
		o.GoldDigits = 1
	}
	if c.PredDigits == 0 {
		o.PredDigits = 1
	}
	if c.Percent == "strict" {
		o.Percent = mathverify.PercentStrict
	}
	switch c.Units {
	case "strict":
		o.Units = mathverify.UnitsStrict
	case "ignore":
		o.Units = mathverify.UnitsIgnore
	}
	return o
}

// verified is what both verifiers give.
func verified(q stage.Question) (stage.Estimate, error) {
	rows := q.Rows("problems")
	return stage.Estimate{Rows: map[string]*stage.Range{"all": rows, "correct": rows.Times(0, 1)}}, nil
}

// Estimate implements [stage.Estimator].
func (mathConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return verified(q)
}

type verifyOut struct {
	All     *stage.Writer[schema.Problem] `port:"all" doc:"All rows; each path says whether it is correct and how that was decided."`
	Correct *stage.Writer[schema.Problem] `port:"correct" doc:"Rows with at least one correct path, with these paths only."`
}

// VerifyMath compares predictions with the gold answer as mathematics.
var VerifyMath = stage.Define(stage.Spec{
	Type: "verify-math", Version: 4, Class: stage.Pure, RowByRow: "problems",
	Doc: `Compares predictions with the gold answer as mathematics.

Exact arithmetic first, then enclosures at rising precision, then evaluation at
test points; equations by their solutions, sets and tuples by their elements. A
comparison that cannot be decided within its budget counts as not correct and
says so in the path's reason. In task table_mwp the row decides: rows with
options are compared as verify-choice does.`,
}, func(ctx context.Context, env *stage.Env, c mathConfig, in problemsIn, out verifyOut) error {
	return verify(ctx, env, in, out, c.options())
})

// verify grades every path. The row's own form decides how, so that a table
// problem with options is graded as a choice by either stage.
func verify(ctx context.Context, env *stage.Env, in problemsIn, out verifyOut, opt mathverify.Options) error {
	unknown, noGold := 0, 0
	err := grade(ctx, env, in, out, func(row *schema.Problem) (func(*schema.Path) (bool, error), error) {
		q, err := answer.Of(*row)
		if q.Gold == "" {
			noGold++
		}
		return func(p *schema.Path) (bool, error) {
			if p.Pred == "" {
				if p.Reason == "" {
					p.Reason = "no prediction"
				}
				return false, nil
			}
			r := answer.Grade(q, p.Pred, opt)
			p.Reason = r.Verdict.String() + ": " + r.Reason
			if r.Verdict == mathverify.Unknown {
				unknown++
			}
			return r.Verdict == mathverify.Equal, nil
		}, err
	})
	env.AddStat("unknown", float64(unknown))
	if err == nil && noGold > 0 {
		env.Warn("%d rows have no gold answer; none of their paths counts as correct", noGold)
	}
	return err
}

// grade sets the verdict of every path and writes the rows: all of them, and those with
// correct paths with these alone. check is asked for each row, and what it gives for each
// of the row's paths, whose reason it sets.
func grade(ctx context.Context, env *stage.Env, in problemsIn, out verifyOut, check func(*schema.Problem) (func(*schema.Path) (bool, error), error)) error {
	paths, correct := 0, 0
	err := eachRow(ctx, env, in.Problems, func(row schema.Problem) error {
		verdict, err := check(&row)
		if err != nil {
			return err
		}
		var kept []schema.Path
		for i := range row.Paths {
			paths++
			p := &row.Paths[i]
			ok, err := verdict(p)
			if err != nil {
				return err
			}
			p.Correct, p.Judge = &ok, nil
			if ok {
				correct++
				kept = append(kept, *p)
			}
		}
		if err := out.All.Write(row); err != nil {
			return err
		}
		if len(kept) == 0 {
			return nil
		}
		row.Paths = kept
		return out.Correct.Write(row)
	})
	env.AddStat("paths", float64(paths))
	env.AddStat("correct", float64(correct))
	return err
}
