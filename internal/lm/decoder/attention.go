package decoder

import (
	"math"

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
func keysOf(c Config, qkv *Node) *Node   { return heads(qkv, c.Heads, c.Heads+c.KVHeads) }
func valuesOf(c Config, qkv *Node) *Node { return heads(qkv, c.Heads+c.KVHeads, c.Heads+2*c.KVHeads) }

// causalBias is 0 on and below the diagonal and masked above it: [1, S, S].
func causalBias(g *Graph, seq int) *Node {
	bias := make([]float32, seq*seq)
	for i := range seq {
		for j := i + 1; j < seq; j++ {
			bias[i*seq+j] = masked
		}
	}
	return Reshape(Const(g, bias), 1, seq, seq)
}

// attention is causal softmax attention with rotary positions and grouped
// keys/values, from the packed projection [R, H+2G, S, E] to [R, H, S, E].
func (m *Model) attention(qkv *Node, r rope) *Node {
	if m.Plain {
		y, _ := m.attend(qkv, r)
		return y
	}
	h := m.Config.Heads
	return withGradient(qkv,
		func(x *Node) (*Node, func(*Node) *Node) { return m.attend(x, r) },
		func(x *Node) *Node { return heads(x, 0, h) })
}

// attend computes attention and its backward map.
//
// With P = softmax(QKᵀ·s + mask) and O = PV, for the adjoint dO:
// dP = dO·Vᵀ, dS = P∘(dP - rowsum(dP∘P)), dQ = s·dS·K, dKᵀ = s·Qᵀ·dS, dVᵀ = dOᵀ·P.
// The last two are written transposed so that only S x E matrices are ever
// transposed: transposing is the slowest operation of the pure-Go backend.
func (m *Model) attend(qkv *Node, r rope) (*Node, func(*Node) *Node) {
	c := m.Config
	dims := qkv.Shape().Dimensions
	rows, seq, e := dims[0], dims[2], dims[3]
	n := rows * c.Heads
	scale := 1 / math.Sqrt(float64(e))

	q := Reshape(MulScalar(r.rotate(heads(qkv, 0, c.Heads)), scale), n, seq, e)
	k := Reshape(c.repeatKV(r.rotate(keysOf(c, qkv))), n, seq, e)
	v := Reshape(c.repeatKV(valuesOf(c, qkv)), n, seq, e)

	p := softmaxLast(Add(dotNT(q, k), causalBias(qkv.Graph(), seq)))
	out := Reshape(dotNN(p, v), rows, c.Heads, seq, e)

	backward := func(dOut *Node) *Node {
		dOut = Reshape(dOut, n, seq, e)
		dP := dotNT(dOut, v)
		dS := Mul(p, Sub(dP, ExpandAxes(ReduceSum(Mul(dP, p), -1), -1)))
		dQ := Reshape(dotNN(dS, k), rows, c.Heads, seq, e)
		dK := swapLast(dotNN(swapLast(q), dS)) // q already holds the scale
		dV := swapLast(dotNN(swapLast(dOut), p))
		return Concatenate([]*Node{
			r.unrotate(MulScalar(dQ, scale)),
			r.unrotate(c.sumKV(Reshape(dK, rows, c.Heads, seq, e))),
			c.sumKV(Reshape(dV, rows, c.Heads, seq, e)),
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

// Step advances one position of generation. token and pos are [R] int32: each
// row's newest token and where it stands. cache holds k, v of every layer,
// [R·G, T, E] each, as Step returned them. It returns the final hidden states
// [R, D] and the cache with the new position written.
//
// The backend has no in-place slice update, so a new key is written by a select
// over positions; [R·G, T, E] keeps that select contiguous.
func (m *Model) Step(token, pos *Node, cache []*Node) (hidden *Node, updated []*Node) {
	c := m.Config
	g := token.Graph()
	rows := token.Shape().Dimensions[0]
	limit := cache[0].Shape().Dimensions[1]
	e := c.HeadDim
	scale := 1 / math.Sqrt(float64(e))

	cos, sin := RopeValues(limit, e, c.RopeTheta)
	at := Reshape(pos, rows, 1)
	turn := rope{ // [R, 1, 1, E]
		cos: Reshape(Gather(Reshape(Const(g, cos), limit, e), at), rows, 1, 1, e),
		sin: Reshape(Gather(Reshape(Const(g, sin), limit, e), at), rows, 1, 1, e),
	}
	// here[r·G+g, t] says that t is row r's position; past is the score bias.
	when := Iota(g, shapes.Make(dtypes.Int32, rows, c.KVHeads, limit), 2)
	posG := BroadcastToDims(Reshape(pos, rows, 1, 1), rows, c.KVHeads, limit)
	here := Reshape(Equal(when, posG), rows*c.KVHeads, limit, 1)
	here = BroadcastToDims(here, rows*c.KVHeads, limit, e)
	group := c.Heads / c.KVHeads
	bias := MulScalar(ConvertDType(GreaterThan(when, posG), dtypes.Float32), masked)
	bias = Reshape(bias, rows*c.KVHeads, 1, limit)

	x := m.Embed(Reshape(token, rows, 1))
	for l := range c.Layers {
		n := m.norm(x, m.layer(l, pInputNorm))
		qkv := Reshape(linear(n, m.layer(l, pQKV)), rows, c.Heads+2*c.KVHeads, 1, e)
		q := Reshape(MulScalar(turn.rotate(heads(qkv, 0, c.Heads)), scale), rows*c.KVHeads, group, e)
		write := func(old, fresh *Node) *Node {
			fresh = BroadcastToDims(Reshape(fresh, rows*c.KVHeads, 1, e), rows*c.KVHeads, limit, e)
			return Where(here, fresh, old)
		}
		k := write(cache[2*l], turn.rotate(keysOf(c, qkv)))
		v := write(cache[2*l+1], valuesOf(c, qkv))
		p := softmaxLast(Add(dotNT(q, k), bias))
		att := Reshape(dotNN(p, v), rows, c.Heads*e)
		x = Add(x, linear(att, m.layer(l, pO)))
		n = m.norm(x, m.layer(l, pPostNorm))
		x = Add(x, linear(m.glu(linear(n, m.layer(l, pGateUp))), m.layer(l, pDown)))
		updated = append(updated, k, v)
	}
	return m.norm(x, m.Params[1+c.Layers*perLayer]), updated
}
