package train

import "github.com/distillflow/distillflow/flow/stage"

// Stages lists the stage types of this family.
func Stages() []*stage.Type {
	return []*stage.Type{TrainMoE, TrainSFT, Embed, Score, EvaluateStudents, Generate}
}
