package train

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas

	"github.com/distillflow/distillflow/internal/lm/objective"
)

// balance keeps one student from getting all paths: log S - H(p_mean).
//
// As published, the entropy is taken of the mean of one-hot gates, which has no
// gradient; here p_mean averages the noise-free softmax, over batches by an
// exponential mean, since one batch is too small a sample.
func balance(weight float64) term {
	return term{weight: weight, Term: objective.Term{Name: "balance_loss", Reads: []string{inScores, inMeanP}, Loss: func(in objective.Nodes) *Node {
		l := in.Get(inScores)
		paths, students := l.Shape().Dimensions[0], l.Shape().Dimensions[1]
		// The value of p_mean is the exponential mean; its gradient is that of this
		// batch's mean at full weight, or balance would act with a tenth of its weight.
		batch := MulScalar(ReduceSum(Softmax(l, -1), 0), 1/float64(paths))
		mean := Add(batch, StopGradient(Sub(in.Get(inMeanP), batch)))
		entropy := Neg(ReduceAllSum(Mul(mean, Log(AddScalar(mean, 1e-9)))))
		return AddScalar(Neg(entropy), math.Log(float64(students)))
	}}}
}

// balanceGates is balance as published: log S - H of the mean gate of the step. Its gradient
// is that of the gates' soft halves, and a step is a small sample.
func balanceGates(weight float64) term {
	return term{weight: weight, Term: objective.Term{Name: "balance_loss", Reads: []string{inGate}, Loss: func(in objective.Nodes) *Node {
		g := in.Get(inGate)
		paths, students := g.Shape().Dimensions[0], g.Shape().Dimensions[1]
		mean := MulScalar(ReduceSum(g, 0), 1/float64(paths))
		return AddScalar(ReduceAllSum(Mul(mean, Log(AddScalar(mean, 1e-9)))), math.Log(float64(students)))
	}}}
}

// balanceStudents is balance with the mean over the wrong axis: a path's gates add up to 1
// whatever they are, so that it is constant, and the router's gradient zero up to rounding.
func balanceStudents(weight float64) term {
	return term{weight: weight, Term: objective.Term{Name: "balance_loss", Reads: []string{inGate}, Loss: func(in objective.Nodes) *Node {
		g := in.Get(inGate)
		paths, students := g.Shape().Dimensions[0], g.Shape().Dimensions[1]
		mean := MulScalar(ReduceSum(g, 1), 1/float64(students))
		sum := ReduceAllSum(Mul(mean, Log(AddScalar(mean, 1e-9))))
		return AddScalar(MulScalar(sum, float64(students)/float64(paths)), math.Log(float64(students)))
	}}}
}
