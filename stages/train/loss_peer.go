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
	inPull   = "pull"   // [K, Z] the gradient that reaches z through the ensemble
)

// ensemble is what peer teaching pulls a student toward in a step.
type ensemble struct {
	per, dim int       // aligned positions of a path; width of z
	target   []float32 // [paths·per, Z]
	// pull is the gradient of all students' squared distances to e = sum_r gamma_r z_r that
	// reaches z_s through e: -2 gamma_s sum_r (z_r - e). nil where e is a constant.
	pull []float32
	lr   float64 // of the projection
}

// peer is the mean distance of z to the ensemble over the aligned positions. The ensemble is
// a constant, but with pullsBack, where the student moves it too: see [ensemble.pull].
func peer(kind string, weight float64, pullsBack bool) term {
	reads := []string{causal.InZ, inMask, inTarget}
	if pullsBack {
		reads = append(reads, inPull)
	}
	t := term{
		Term: objective.Term{Name: "peer_loss", Reads: reads, Loss: func(in objective.Nodes) *Node {
			z, mask, target := in.Get(causal.InZ), in.Get(inMask), in.Get(inTarget)
			each := distance(kind, z, target)
			if pullsBack {
				pulled := Mul(z, in.Get(inPull))
				each = Add(each, Sub(pulled, StopGradient(pulled))) // no value, its gradient alone
			}
			if kind == peerMSE {
				return Div(ReduceAllSum(Mul(each, mask)), MulScalar(positions(mask), float64(z.Shape().Dimensions[1])))
			}
			return Div(ReduceAllSum(Mul(each, mask)), positions(mask))
		}},
		weight: weight,
		feed: func(p *pass) ([]objective.Input, float32) {
			e := p.step.ensemble
			if e == nil {
				return nil, 0
			}
			states := func(name string, of []float32) objective.Input {
				v := make([]float32, len(p.mask)*e.dim) // beyond the paths zeros, which the mask leaves out
				copy(v, of[p.first*e.per*e.dim:])
				return objective.Input{Name: name, Value: v, Dims: []int{len(p.mask), e.dim}}
			}
			out := append(maskInput(p), states(inTarget, e.target))
			if pullsBack {
				out = append(out, states(inPull, e.pull))
			}
			return out, p.share
		},
	}
	if kind == peerMSE {
		t.Host = hostPeer(pullsBack)
	}
	return t
}

// distance of z to target, at each position: [K, Z], to be summed, or [K, 1].
func distance(kind string, z, target *Node) *Node {
	switch kind {
	case peerKL: // of the two taken as scores of a choice between the directions
		want := Softmax(target, -1)
		return ExpandAxes(ReduceSum(Mul(want, Sub(LogSoftmax(target, -1), LogSoftmax(z, -1))), -1), -1)
	case peerCosine:
		dot := func(a, b *Node) *Node { return ExpandAxes(ReduceSum(Mul(a, b), -1), -1) }
		return OneMinus(Div(dot(z, target), Sqrt(AddScalar(Mul(dot(z, z), dot(target, target)), 1e-12))))
	}
	return Square(Sub(z, target))
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
		}, Host: hostVariance},
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
		}, Host: hostCovariance},
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
