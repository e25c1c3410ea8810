package evaluate

import (
	"context"

	"github.com/distillflow/distillflow/flow/stage"
)

// Estimate implements [stage.Estimator]: every row stays a row.
func (extractConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return stage.Estimate{Rows: map[string]*stage.Range{"problems": q.Rows("problems")}}, nil
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

// Estimate implements [stage.Estimator].
func (choiceConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return verified(q)
}
