package decoder

import (
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// A function with a hand-given gradient: it returns its value and the map from
// the value's adjoint to the input's.
type vjpFunc func(x *Node) (y *Node, backward func(v *Node) *Node)

// withGradient evaluates f at x and gives autodiff f's own backward map.
//
// GoMLX offers a custom gradient only on an identity, so the adjoint of y must
// reach x through a linear map whose gradient we can read back. carrier takes
// from x a part c of y's shape (a slice: its gradient pads with zeros), and
//
//	y = stop(f(x)) + (c - stop(c))
//
// has the value of f(x) to the bit, since c - c is 0 for finite c, while the
// adjoint arrives at x in c's place.
func withGradient(x *Node, f vjpFunc, carrier func(x *Node) *Node) *Node {
	y, backward := f(StopGradient(x))
	in := IdentityWithCustomGradient(x, func(_, v *Node) *Node {
		return backward(carrier(v))
	})
	c := carrier(in)
	return Add(StopGradient(y), Sub(c, StopGradient(c)))
}

// sameShape is withGradient for an f that keeps the shape of x.
func sameShape(x *Node, f vjpFunc) *Node {
	return withGradient(x, f, func(x *Node) *Node { return x })
}
