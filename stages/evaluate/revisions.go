package evaluate

import (
	"context"

	"github.com/distillflow/distillflow/flow/stage"
)

// Revisions implements [stage.Revisions]: behind which server each model was asked,
// and which commit a local model of the Hub is. What the server made of the model's
// name is the provider's affair; its answers are in the memo.
func (c judgeConfig) Revisions(ctx context.Context) ([]stage.Revision, error) {
	var out []stage.Revision
	for _, t := range c.Teachers() {
		out = append(out, stage.Revision{Name: t.Model, Resolved: t.Endpoint})
	}
	local, err := c.LocalRevisions(ctx)
	for _, t := range local {
		out = append(out, stage.Revision{Name: t.Model, Resolved: t.Endpoint})
	}
	return out, err
}
