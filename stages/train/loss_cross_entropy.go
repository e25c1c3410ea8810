package train

import (
	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/objective"
)

// crossEntropy is a student's loss on the tokens of the completions,
//
//	L_s = sum_i g_is NLL_is / sum_i g_is n_is
//
// over the gates g and the numbers n of supervised tokens. The batch's weights hold
// gates and denominator, so the passes of a step simply add up.
func crossEntropy() term {
	return term{Term: causal.CrossEntropy, weight: 1, feed: func(*pass) ([]objective.Input, float32) { return nil, 1 }}
}
