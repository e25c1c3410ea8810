package train

import (
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas

	"github.com/distillflow/distillflow/internal/lm/objective"
)

// gamma trains the ensemble's weights toward the students' likelihoods of each path:
// mean_i KL(softmax(-c_i/T) || gamma_i), with gamma_i = softmax_s(w_s · mean_t z_s) and
// the costs c and states z as constants. Without it two students drive the weights to
// one half whatever their quality.
func gamma(weight, temperature float64) term {
	return term{weight: weight, Term: objective.Term{Name: "gamma_loss", Reads: []string{inEnsemble, inStates, inCost}, Loss: func(in objective.Nodes) *Node {
		w, states, cost := in.Get(inEnsemble), in.Get(inStates), in.Get(inCost)
		students, zdim := w.Shape().Dimensions[0], w.Shape().Dimensions[1]
		logGamma := LogSoftmax(ReduceSum(Mul(Reshape(w, 1, students, zdim), StopGradient(states)), -1), -1)
		want := StopGradient(Softmax(Neg(Div(cost, Const(cost.Graph(), float32(temperature)))), -1))
		kl := ReduceAllSum(Mul(want, Sub(Log(AddScalar(want, 1e-9)), logGamma)))
		return MulScalar(kl, 1/float64(cost.Shape().Dimensions[0]))
	}}}
}

// gammaPeers is the peers' loss as the ensemble's weights see it, where it moves them:
// mean ||z_s - sum_r gamma_r z_r||^2 over the students and aligned positions, of which the
// products z_s · z_r are all that counts. Two students drive gamma to one half by it.
func gammaPeers(weight float64) term {
	return term{weight: weight, Term: objective.Term{Name: "gamma_loss", Reads: []string{inEnsemble, inStates, inProducts}, Loss: func(in objective.Nodes) *Node {
		w, states, products := in.Get(inEnsemble), in.Get(inStates), in.Get(inProducts)
		students, zdim := w.Shape().Dimensions[0], w.Shape().Dimensions[1]
		paths := states.Shape().Dimensions[0]
		gamma := Softmax(ReduceSum(Mul(Reshape(w, 1, students, zdim), StopGradient(states)), -1), -1)
		left, right := Reshape(gamma, paths, students, 1), Reshape(gamma, paths, 1, students)
		own := ReduceAllSum(Where(BroadcastToDims(Reshape(Diagonal(w.Graph(), students), 1, students, students), paths, students, students), products, ZerosLike(products)))
		cross := ReduceAllSum(Mul(right, products))
		mixed := ReduceAllSum(Mul(Mul(left, right), products))
		return Add(Sub(own, MulScalar(cross, 2)), MulScalar(mixed, float64(students)))
	}}}
}
