package prompt

import (
	"context"

	"github.com/distillflow/distillflow/flow/stage"
)

// Estimate implements [stage.Estimator]: every row stays a row.
func (wrapConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return stage.Estimate{Rows: map[string]*stage.Range{"prompts": q.Rows("problems")}}, nil
}
