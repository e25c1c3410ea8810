package runrecord

import (
	"errors"

	"github.com/distillflow/distillflow/schema"
)

const problemRecord = "problem"

// Cost is what the stages that ran in a run asked of language models.
type Cost struct {
	Calls            float64 `json:"calls"` // requests sent to providers, retries among them
	MemoHits         float64 `json:"memo_hits"`
	PromptTokens     float64 `json:"prompt_tokens"`
	CompletionTokens float64 `json:"completion_tokens"`
	USD              float64 `json:"usd"` // 0 where prices are unknown
}

// Cost adds up what this run paid. Hits cost nothing; see [Run.Made] for what they once
// did. All tries of a stage count.
func (r *Run) Cost() Cost {
	var c Cost
	for _, s := range r.Stages {
		c.Calls += s.Stats["calls"]
		c.MemoHits += s.Stats["memo_hits"]
		c.PromptTokens += s.Stats["prompt_tokens"]
		c.CompletionTokens += s.Stats["completion_tokens"]
		c.USD += s.Stats["usd"]
	}
	return c
}

// Figures are the run's accuracies by name, from 0 to 1: teacher, the share of the
// teacher's paths that are right, and the share of test problems that a system solves, by
// the system's name, with its kind behind it where the name does not tell: "llama",
// "ensemble", "llama untrained". What several tasks, legs or stages say is put together.
// The error names outputs that could not be read; the figures are good all the same.
func (r *Run) Figures() (map[string]float64, error) {
	type tally struct{ correct, count int }
	sums := map[string]tally{}
	add := func(name string, correct, count int) {
		t := sums[name]
		sums[name] = tally{t.correct + correct, t.count + count}
	}
	accuracy, err1 := Read[schema.Accuracy](r)
	for _, t := range accuracy {
		for _, a := range t.Rows {
			if a.Style == "all" {
				add("teacher", a.Correct, a.Paths)
			}
		}
	}
	scores, err2 := Read[schema.Score](r)
	for _, t := range scores {
		for _, s := range t.Rows {
			if s.Group == "" {
				add(SystemName(s.System, s.Kind), s.Correct, s.Count)
			}
		}
	}
	figures := map[string]float64{}
	for name, t := range sums {
		if t.count > 0 {
			figures[name] = float64(t.correct) / float64(t.count)
		}
	}
	return figures, errors.Join(err1, err2)
}

// SystemName is the name of a [schema.Score]'s system, with its kind where that is not
// clear.
func SystemName(system, kind string) string {
	switch kind {
	case "trained", "ensemble", "baseline", system:
		return system
	}
	return system + " " + kind
}
