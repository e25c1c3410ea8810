package evaluate

import (
	"context"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/mathverify"
)

type choiceConfig struct{}

// Estimate implements [stage.Estimator].
func (choiceConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return verified(q)
}

// VerifyChoice compares predicted labels with the gold label.
var VerifyChoice = stage.Define(stage.Spec{
	Type: "verify-choice", Version: 3, Class: stage.Pure, RowByRow: "problems",
	Doc: `Compares predicted labels with the gold label.

Multiple choice by the row's own labels or the option's text, anli by true,
false and neither, strategy_qa by yes and no. In task table_mwp the row decides:
rows without options are compared as numbers, with the defaults of verify-math.`,
}, func(ctx context.Context, env *stage.Env, _ choiceConfig, in problemsIn, out verifyOut) error {
	return verify(ctx, env, in, out, mathverify.Options{})
})
