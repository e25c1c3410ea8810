package decoder

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// masked is added to scores that must not count. Finite, so that 0·masked is 0.
const masked = -1e9

func heads(x *Node, from, to int) *Node {
	return Slice(x, AxisRange(), AxisRange(from, to), AxisRange(), AxisRange())
}

// keysOf and valuesOf take the unrotated keys and the values, [R, G, S, E], out of
// the packed projection [R, H+2G, S, E].
func keysOf(c Config, packed *Node) *Node { return heads(packed, c.Heads, c.Heads+c.KVHeads) }
func valuesOf(c Config, packed *Node) *Node {
	return heads(packed, c.Heads+c.KVHeads, c.Heads+2*c.KVHeads)
}

// causalBias is 0 where position i may look at j and masked where not: [1, S, S].
// With a window w > 0 it sees the last w positions, its own included.
func causalBias(g *Graph, seq, window int) *Node {
	bias := make([]float32, seq*seq)
	for i := range seq {
		for j := range seq {
			if j > i || window > 0 && i-j >= window {
				bias[i*seq+j] = masked
			}
		}
	}
	return Reshape(Const(g, bias), 1, seq, seq)
}

// bias is what is added to the scores of attention: [1, S, S], or [R, 1, S, S] of rows that
// examples share.
func (m *Model) bias(g *Graph, seq, window int) *Node {
	if m.Starts == nil {
		return causalBias(g, seq, window)
	}
	rows := m.Starts.Shape().Dimensions[0]
	count := func(axis int, dims ...int) *Node { return Iota(g, shapes.Make(dtypes.Int32, dims...), axis) }
	i, j := count(2, 1, 1, seq, 1), count(3, 1, 1, 1, seq)
	// What stands between an example's start and a position belongs to the same example.
	sees := LogicalAnd(LessOrEqual(j, i), GreaterOrEqual(j, Reshape(m.Starts, rows, 1, seq, 1)))
	if window > 0 {
		sees = LogicalAnd(sees, LessThan(Sub(i, j), Scalar(g, dtypes.Int32, window)))
	}
	return MulScalar(ConvertDType(LogicalNot(sees), dtypes.Float32), masked)
}

// attention is causal softmax attention with rotary positions and grouped
// keys/values, from the packed projection [R, H+2G, S, E] to [R, H, S, E].
func (m *Model) attention(packed *Node, r rope, bias *Node) *Node {
	if m.plain() {
		y, _ := m.attend(packed, r, bias)
		return y
	}
	h := m.Config.Heads
	return withGradient(packed,
		func(x *Node) (*Node, func(*Node) *Node) { return m.attend(x, r, bias) },
		func(x *Node) *Node { return heads(x, 0, h) })
}

// attend computes attention and its backward map.
//
// With P = softmax(QKᵀ·s + mask) and O = PV, for the adjoint dO:
// dP = dO·Vᵀ, dS = P∘(dP - rowsum(dP∘P)), dQ = s·dS·K, dKᵀ = s·Qᵀ·dS, dVᵀ = dOᵀ·P.
// A soft cap t = tanh(x/cap) multiplies dS by 1-t². The last two products are
// written transposed so that only S x E matrices are ever transposed: transposing
// is the slowest operation of the pure-Go backend.
func (m *Model) attend(packed *Node, r rope, bias *Node) (*Node, func(*Node) *Node) {
	c := m.Config
	dims := packed.Shape().Dimensions
	rows, seq, e := dims[0], dims[2], dims[3]
	n := rows * c.Heads
	scale := c.queryScale()
	limit := c.Features().AttnCap

	q := Reshape(MulScalar(r.rotate(heads(packed, 0, c.Heads)), scale), n, seq, e)
	k := Reshape(c.repeatKV(r.rotate(keysOf(c, packed))), n, seq, e)
	v := Reshape(c.repeatKV(valuesOf(c, packed)), n, seq, e)

	if bias.Rank() == 4 {
		bias = Reshape(BroadcastToDims(bias, rows, c.Heads, seq, seq), n, seq, seq)
	}
	scores := softCap(toF32(dotNT(q, k)), limit)
	p32 := softmaxLast(Add(scores, bias))
	p := ConvertDType(p32, packed.DType())
	out := Reshape(dotNN(p, v), rows, c.Heads, seq, e)

	backward := func(dOut *Node) *Node {
		d := Reshape(dOut, n, seq, e)
		dP := toF32(dotNT(d, v))
		dS := Mul(p32, Sub(dP, ExpandAxes(ReduceSum(Mul(dP, p32), -1), -1)))
		if limit != 0 {
			dS = Mul(dS, OneMinus(Square(MulScalar(scores, 1/limit))))
		}
		dS = ConvertDType(dS, packed.DType())
		// The queries already hold the scale.
		dK, dV := dotNN(swapLast(q), dS), dotNN(swapLast(d), p) // transposed, [n, E, S]
		return Concatenate([]*Node{
			r.unrotate(MulScalar(Reshape(dotNN(dS, k), rows, c.Heads, seq, e), scale)),
			r.unrotate(c.sumKV(Reshape(swapLast(dK), rows, c.Heads, seq, e))),
			c.sumKV(Reshape(swapLast(dV), rows, c.Heads, seq, e)),
		}, 1)
	}
	return out, backward
}

// repeatKV repeats each key/value head for the query heads of its group:
// [R, G, S, E] to [R, H, S, E].
func (c Config) repeatKV(x *Node) *Node {
	if c.KVHeads == c.Heads {
		return x
	}
	d := x.Shape().Dimensions
	x = Reshape(x, d[0], d[1], 1, d[2], d[3])
	x = BroadcastToDims(x, d[0], d[1], c.Heads/c.KVHeads, d[2], d[3])
	return Reshape(x, d[0], c.Heads, d[2], d[3])
}

// sumKV is repeatKV's gradient.
func (c Config) sumKV(x *Node) *Node {
	if c.KVHeads == c.Heads {
		return x
	}
	d := x.Shape().Dimensions
	return ReduceSum(Reshape(x, d[0], c.KVHeads, c.Heads/c.KVHeads, d[2], d[3]), 2)
}

// dotNT is a·bᵀ and dotNN is a·b, over the batch axis 0 of rank-3 nodes.
func dotNT(a, b *Node) *Node { return DotGeneral(a, []int{2}, []int{0}, b, []int{2}, []int{0}) }
func dotNN(a, b *Node) *Node { return DotGeneral(a, []int{2}, []int{0}, b, []int{1}, []int{0}) }

// swapLast transposes the last two axes of a rank-3 node.
func swapLast(x *Node) *Node { return TransposeAllDims(x, 0, 2, 1) }

// softmaxLast is a stable softmax over the last axis.
func softmaxLast(x *Node) *Node {
	top := ExpandAxes(ReduceMax(x, -1), -1)
	e := Exp(Sub(x, StopGradient(top)))
	return Mul(e, Reciprocal(ExpandAxes(ReduceSum(e, -1), -1)))
}
