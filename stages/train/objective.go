package train

import (
	"slices"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/objective"
)

// term is one term of a loss, of a student's or of the router's: its name, what it
// reads and its formula, with its weight. Each has a file of its own, loss_*.go; a
// method lists those that it uses.
type term struct {
	objective.Term
	weight float64
	// feed gives what a student's term reads of a pass besides what the student offers
	// (see causal.InHidden and its neighbours), and the pass's share in the step: values
	// are means over a step, which its passes add up. Share 0 leaves the term out. nil
	// feeds nothing, and shares by the pass's part of the step's paths.
	feed func(p *pass) (in []objective.Input, share float32)
}

// pass is some of a training step's paths on their way through a student.
type pass struct {
	step  *trainInput
	first int // of its paths among the step's
	paths []int
	batch causal.Batch
	mask  []float32 // [rows·per] 1 where an aligned position counts; nil without an ensemble
	share float32   // of the step's aligned positions
}

// align lays out where the student's states are compared, of all positions of a step.
func (p *pass) align(a *alignment, all int) {
	p.batch.Positions, p.mask, p.share = a.positions, a.mask, 1
	if all > 0 {
		var n float32
		for _, m := range a.mask {
			n += m
		}
		p.share = n / float32(all)
	}
}

// weigh feeds the terms: it adds what they read to the pass's batch, and their
// weights.
func (p *pass) weigh(terms []term) {
	p.batch.Weights = make([]float32, len(terms))
	for i, t := range terms {
		share := float32(len(p.paths)) / float32(len(p.step.paths))
		var in []objective.Input
		if t.feed != nil {
			in, share = t.feed(p)
		}
		p.batch.Weights[i] = share * float32(t.weight)
		if p.batch.Weights[i] == 0 {
			continue
		}
		for _, x := range in {
			if !slices.ContainsFunc(p.batch.Inputs, func(y objective.Input) bool { return y.Name == x.Name }) {
				p.batch.Inputs = append(p.batch.Inputs, x)
			}
		}
	}
}

// formulas are the terms without what belongs to the trainer.
func formulas(terms []term) []objective.Term {
	out := make([]objective.Term, len(terms))
	for i, t := range terms {
		out[i] = t.Term
	}
	return out
}
