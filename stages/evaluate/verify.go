package evaluate

import (
	"context"

	"github.com/distillflow/distillflow/flow/stage"
)

// Verify compares predictions with the gold answer by the kind of each row's answer.
var Verify = stage.Define(stage.Spec{
	Type: "verify", Version: 2, Class: stage.Pure, RowByRow: "problems",
	Doc: `Compares predictions with the gold answer by the kind of each row's answer.

Numbers and mathematics as verify-math does, with the same policies, multiple choice
by the row's labels or the option's text, labels by their names, yes and no, and
free text by its words: without case, punctuation and articles, or by token F1 where
the task sets f1. Where a row has several gold answers, any of them is right, or for
choices of a task with several: all, all of them together. What the recipe's task says of units, tolerance and lists
goes before this config.`,
}, func(ctx context.Context, env *stage.Env, c mathConfig, in problemsIn, out verifyOut) error {
	return verify(ctx, env, in, out, c.options())
})
