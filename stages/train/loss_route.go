package train

import (
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas

	"github.com/distillflow/distillflow/internal/lm/objective"
)

// route is what the router's decisions cost: the mean over paths of sum_s g_is a_is,
// with the advantages a of [signal] as constants.
func route() term {
	return term{weight: 1, Term: objective.Term{Name: "route_loss", Reads: []string{inGate, inAdvantage}, Loss: func(in objective.Nodes) *Node {
		g := in.Get(inGate)
		return MulScalar(ReduceAllSum(Mul(g, StopGradient(in.Get(inAdvantage)))), 1/float64(g.Shape().Dimensions[0]))
	}}}
}
