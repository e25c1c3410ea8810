package decoder

import (
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// A function with a hand-given gradient: it returns its value and the map from
// the value's adjoint to the input's.
type vjpFunc func(x *Node) (y *Node, backward func(v *Node) *Node)

// withGradient evaluates f at x and gives autodiff f's own backward map.
//
// GoMLX offers a custom gradient only on an identity, which cannot change shape. So
// there are two: one on y that notes its adjoint and passes nothing on, and one on x
// that answers with backward of what was noted. Autodiff visits the second because
// something else depends on it: a link, the scalar s - s of one element s of x, which
// [Model.join] adds to the stream. That leaves every finite value as it is to the
// bit, and the adjoint of the link is never used, so backends do not compute it.
//
// Under gradient checkpointing GoMLX hands the custom gradient a recomputed x. With
// Recompute f is therefore evaluated on that once more, so that nothing of the first
// evaluation has to be kept; backends share what equals the recomputed y.
func (m *Model) withGradient(x *Node, f vjpFunc) *Node {
	var adjoint *Node
	var backward func(v *Node) *Node
	in := IdentityWithCustomGradient(x, func(again, _ *Node) *Node {
		if m.Recompute {
			_, recomputed := f(again.Inputs()[0])
			return recomputed(adjoint)
		}
		return backward(adjoint)
	})
	from := in // so that x has one reader, and the identity costs no copy
	if m.Recompute {
		from = x
	}
	var y *Node
	y, backward = f(from)
	first := make([]SliceAxisSpec, in.Rank())
	for i := range first {
		first[i] = AxisElem(0)
	}
	s := toF32(Reshape(Slice(in, first...)))
	m.links = append(m.links, Sub(s, StopGradient(s)))
	return IdentityWithCustomGradient(y, func(_, v *Node) *Node {
		adjoint = v
		return nil
	})
}

// join adds to x, from which the loss will be computed, the links of the functions
// with hand-given gradients that it was computed by; without it they would get no
// gradient.
func (m *Model) join(x *Node) *Node {
	if len(m.links) == 0 {
		return x
	}
	sum := m.links[0]
	for _, l := range m.links[1:] {
		sum = Add(sum, l)
	}
	m.links = nil
	return Add(x, ConvertDType(sum, x.DType()))
}
