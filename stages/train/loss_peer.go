package train

import (
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/objective"
)

// What the terms of peer teaching read besides the student's states z [K, Z].
const (
	inMask   = "mask"   // [K, 1] 1 where an aligned position counts
	inTarget = "target" // [K, Z] the ensemble's states, a constant
)

// ensemble is what peer teaching pulls a student toward in a step.
type ensemble struct {
	per, dim int       // aligned positions of a path; width of z
	target   []float32 // [paths·per, Z]
	lr       float64   // of the projection
}

// peer is the mean squared distance of z to the ensemble over the aligned positions.
func peer(weight float64) term {
	return term{
		Term: objective.Term{Name: "peer_loss", Reads: []string{causal.InZ, inMask, inTarget}, Loss: func(in objective.Nodes) *Node {
			z, mask := in.Get(causal.InZ), in.Get(inMask)
			dim := float64(z.Shape().Dimensions[1])
			return Div(ReduceAllSum(Mul(Square(Sub(z, in.Get(inTarget))), mask)), MulScalar(positions(mask), dim))
		}},
		weight: weight,
		feed: func(p *pass) ([]objective.Input, float32) {
			e := p.step.ensemble
			if e == nil {
				return nil, 0
			}
			target := make([]float32, len(p.mask)*e.dim) // beyond the paths zeros, which the mask leaves out
			copy(target, e.target[p.first*e.per*e.dim:])
			return append(maskInput(p), objective.Input{Name: inTarget, Value: target, Dims: []int{len(p.mask), e.dim}}), p.share
		},
	}
}

// A constant z would satisfy the peers. Against that collapse stand the variance and
// covariance terms of VICReg (Bardes, Ponce and LeCun 2022): mean_d relu(1 - sqrt(Var +
// 1e-4)), and the squared off-diagonal covariance, for the floor on the variance alone
// would let all of z follow one direction. With several passes in a step they are means
// of the passes'.

// peerVariance is the floor on the variance of z.
func peerVariance(weight float64) term {
	return term{
		Term: objective.Term{Name: "peer_variance_loss", Reads: []string{causal.InZ, inMask}, Loss: func(in objective.Nodes) *Node {
			cov := covariance(in)
			dim := cov.Shape().Dimensions[0]
			variance := ReduceSum(Where(Diagonal(cov.Graph(), dim), cov, ZerosLike(cov)), -1)
			std := Sqrt(AddScalar(variance, 1e-4))
			return MulScalar(ReduceAllSum(MaxScalar(OneMinus(std), 0.0)), 1/float64(dim))
		}},
		weight: weight, feed: feedMask,
	}
}

// peerCovariance is the covariance between the directions of z.
func peerCovariance(weight float64) term {
	return term{
		Term: objective.Term{Name: "peer_covariance_loss", Reads: []string{causal.InZ, inMask}, Loss: func(in objective.Nodes) *Node {
			cov := covariance(in)
			dim := cov.Shape().Dimensions[0]
			off := Where(Diagonal(cov.Graph(), dim), ZerosLike(cov), cov)
			return MulScalar(ReduceAllSum(Square(off)), 1/float64(dim))
		}},
		weight: weight, feed: feedMask,
	}
}

// covariance of the directions of z [Z, Z], over the positions that count.
func covariance(in objective.Nodes) *Node {
	return in.Once("covariance of z", func() *Node {
		z, mask := in.Get(causal.InZ), in.Get(inMask)
		n := Reshape(positions(mask), 1, 1)
		mean := Div(ExpandAxes(ReduceSum(Mul(z, mask), 0), 0), n)
		centred := Mul(Sub(z, mean), mask)
		return Div(DotGeneral(centred, []int{0}, nil, centred, []int{0}, nil), MaxScalar(AddScalar(n, -1), 1.0))
	})
}

func maskInput(p *pass) []objective.Input {
	return []objective.Input{{Name: inMask, Value: p.mask, Dims: []int{len(p.mask), 1}}}
}

// feedMask feeds a term that reads z where the ensemble does.
func feedMask(p *pass) ([]objective.Input, float32) {
	if p.step.ensemble == nil {
		return nil, 0
	}
	return maskInput(p), p.share
}

// positions is how many positions count.
func positions(mask *Node) *Node { return MaxScalar(ReduceAllSum(mask), 1.0) }
