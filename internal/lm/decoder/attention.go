package decoder

import (
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

// attention is causal softmax attention with rotary positions and grouped
// keys/values, from the packed projection [R, H+2G, S, E] to [R, H, S, E].
func (m *Model) attention(packed *Node, r rope, bias *Node, window int) *Node {
	if m.plain() {
		y, _ := m.attend(packed, r, bias, window)
		return y
	}
	h := m.Config.Heads
	return withGradient(packed,
		func(x *Node) (*Node, func(*Node) *Node) { return m.attend(x, r, bias, window) },
		func(x *Node) *Node { return heads(x, 0, h) })
}

// attend computes attention and its backward map.
//
// With P = softmax(QKᵀ·s + mask) and O = PV, for the adjoint dO:
// dP = dO·Vᵀ, dS = P∘(dP - rowsum(dP∘P)), dQ = s·dS·K, dKᵀ = s·Qᵀ·dS, dVᵀ = dOᵀ·P.
// A soft cap t = tanh(x/cap) multiplies dS by 1-t². The last two products are
// written transposed so that only S x E matrices are ever transposed: transposing
// is the slowest operation of the pure-Go backend.
//
// Queries are taken in m.QueryBlocks parts: a part needs no keys behind its last
// position, nor before the window of its first, so that up to half of the S x S
// matrices is never made.
func (m *Model) attend(packed *Node, r rope, bias *Node, window int) (*Node, func(*Node) *Node) {
	c := m.Config
	dims := packed.Shape().Dimensions
	rows, seq, e := dims[0], dims[2], dims[3]
	n := rows * c.Heads
	scale := c.queryScale()
	limit := c.Features().AttnCap

	q := Reshape(MulScalar(r.rotate(heads(packed, 0, c.Heads)), scale), n, seq, e)
	k := Reshape(c.repeatKV(r.rotate(keysOf(c, packed))), n, seq, e)
	v := Reshape(c.repeatKV(valuesOf(c, packed)), n, seq, e)

	blocks := m.blocks(seq, window)
	p32, scores := make([]*Node, len(blocks)), make([]*Node, len(blocks))
	var outs []*Node
	for i, b := range blocks {
		s := softCap(toF32(dotNT(b.queries(q), b.keys(k))), limit)
		part := bias
		if len(blocks) > 1 {
			part = Slice(bias, AxisRange(), AxisRange(b.lo, b.hi), AxisRange(b.from, b.hi))
		}
		scores[i], p32[i] = s, softmaxLast(Add(s, part))
		outs = append(outs, dotNN(ConvertDType(p32[i], packed.DType()), b.keys(v)))
	}
	out := Reshape(joinRows(outs), rows, c.Heads, seq, e)

	backward := func(dOut *Node) *Node {
		dOut = Reshape(dOut, n, seq, e)
		var dQ []*Node
		var dK, dV *Node // transposed, [n, E, S]
		for i, b := range blocks {
			d := b.queries(dOut)
			dP := toF32(dotNT(d, b.keys(v)))
			dS := Mul(p32[i], Sub(dP, ExpandAxes(ReduceSum(Mul(dP, p32[i]), -1), -1)))
			if limit != 0 {
				dS = Mul(dS, OneMinus(Square(MulScalar(scores[i], 1/limit))))
			}
			dS = ConvertDType(dS, packed.DType())
			dQ = append(dQ, dotNN(dS, b.keys(k)))
			// The queries already hold the scale.
			dK = b.addTo(dK, dotNN(swapLast(b.queries(q)), dS), seq)
			dV = b.addTo(dV, dotNN(swapLast(d), ConvertDType(p32[i], packed.DType())), seq)
		}
		return Concatenate([]*Node{
			r.unrotate(MulScalar(Reshape(joinRows(dQ), rows, c.Heads, seq, e), scale)),
			r.unrotate(c.sumKV(Reshape(swapLast(dK), rows, c.Heads, seq, e))),
			c.sumKV(Reshape(swapLast(dV), rows, c.Heads, seq, e)),
		}, 1)
	}
	return out, backward
}

// block is queries lo to hi with the keys from to hi, which are all that they see.
type block struct{ lo, hi, from int }

// leastBlock is the fewest queries worth a part of their own.
const leastBlock = 32

// blocks cuts seq queries into at most m.QueryBlocks parts.
func (m *Model) blocks(seq, window int) []block {
	size := max(leastBlock, (seq+max(m.QueryBlocks, 1)-1)/max(m.QueryBlocks, 1))
	var out []block
	for lo := 0; lo < seq; lo += size {
		b := block{lo: lo, hi: min(seq, lo+size)}
		if window > 0 {
			b.from = max(0, lo-window+1)
		}
		out = append(out, b)
	}
	if len(out) == 1 {
		out[0].from = 0 // the whole, bias included
	}
	return out
}

// queries and keys are the block's rows of x [N, S, E].
func (b block) queries(x *Node) *Node { return b.rows(x, b.lo) }
func (b block) keys(x *Node) *Node    { return b.rows(x, b.from) }

func (b block) rows(x *Node, from int) *Node {
	if from == 0 && b.hi == x.Shape().Dimensions[1] {
		return x
	}
	return Slice(x, AxisRange(), AxisRange(from, b.hi), AxisRange())
}

// addTo adds part [N, E, hi-from] to sum [N, E, S], nil for none yet.
func (b block) addTo(sum, part *Node, seq int) *Node {
	if b.from > 0 {
		part = GrowLeft(part, 2, b.from, 0)
	}
	if b.hi < seq {
		part = GrowRight(part, 2, seq-b.hi, 0)
	}
	if sum == nil {
		return part
	}
	return Add(sum, part)
}

func joinRows(parts []*Node) *Node {
	if len(parts) == 1 {
		return parts[0]
	}
	return Concatenate(parts, 1)
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
