package evaluate

import "github.com/distillflow/distillflow/flow/stage"

// Stages lists the stage types of this family.
func Stages() []*stage.Type {
	return []*stage.Type{Extract, VerifyMath, VerifyChoice, Verify, VerifyExpr, VerifyExec, Judge}
}
