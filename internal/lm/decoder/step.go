package decoder

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// Step advances one position of generation. token and pos are [R] int32: each
// row's newest token and where it stands. cache holds k, v of every layer,
// [R·G, T, E] each, as Step returned them. It returns the final hidden states
// [R, D] and the cache with the new position written.
//
// The backend has no in-place slice update, so a new key is written by a select
// over positions; [R·G, T, E] keeps that select contiguous.
func (m *Model) Step(token, pos *Node, cache []*Node) (hidden *Node, updated []*Node) {
	c, f := m.Config, m.Config.Features()
	g := token.Graph()
	rows := token.Shape().Dimensions[0]
	limit := cache[0].Shape().Dimensions[1]
	e := c.HeadDim
	scale := c.queryScale()

	x := m.Embed(Reshape(token, rows, 1))
	at := Reshape(pos, rows, 1)
	turns := map[Rope]rope{} // [R, 1, 1, E]
	turnOf := func(r Rope) rope {
		if _, ok := turns[r]; !ok {
			cos, sin := r.Values(limit, e)
			pick := func(v []float32) *Node {
				return ConvertDType(Reshape(Gather(Reshape(Const(g, v), limit, e), at), rows, 1, 1, e), x.DType())
			}
			turns[r] = rope{pick(cos), pick(sin)}
		}
		return turns[r]
	}
	// here[r·G+g, t] says that t is row r's position.
	when := Iota(g, shapes.Make(dtypes.Int32, rows, c.KVHeads, limit), 2)
	posG := BroadcastToDims(Reshape(pos, rows, 1, 1), rows, c.KVHeads, limit)
	here := Reshape(Equal(when, posG), rows*c.KVHeads, limit, 1)
	here = BroadcastToDims(here, rows*c.KVHeads, limit, e)
	group := c.Heads / c.KVHeads
	biases := map[int]*Node{} // by window, [R·G, 1, T]
	biasOf := func(window int) *Node {
		if biases[window] == nil {
			bad := GreaterThan(when, posG)
			if window > 0 {
				bad = LogicalOr(bad, LessOrEqual(when, AddScalar(posG, -float64(window))))
			}
			biases[window] = Reshape(MulScalar(ConvertDType(bad, dtypes.Float32), masked), rows*c.KVHeads, 1, limit)
		}
		return biases[window]
	}

	for l := range c.Layers {
		m.stream = x
		window, r := f.window(l)
		if window >= limit {
			window = 0
		}
		turn := turnOf(r)
		n := m.norm(x, m.at(l, inputNorm))
		packed := m.normHeads(l, Reshape(m.projectQKV(l, n), rows, c.Heads+2*c.KVHeads, 1, e))
		q := Reshape(MulScalar(turn.rotate(heads(packed, 0, c.Heads)), scale), rows*c.KVHeads, group, e)
		write := func(old, fresh *Node) *Node {
			fresh = BroadcastToDims(Reshape(fresh, rows*c.KVHeads, 1, e), rows*c.KVHeads, limit, e)
			return Where(here, fresh, old)
		}
		k := write(cache[2*l], turn.rotate(keysOf(c, packed)))
		v := write(cache[2*l+1], valuesOf(c, packed))
		scores := softCap(toF32(dotNT(q, k)), f.AttnCap)
		p := ConvertDType(softmaxLast(Add(scores, biasOf(window))), x.DType())
		att := Reshape(dotNN(p, v), rows, c.Heads*e)
		x = m.addAttention(l, x, att)
		x = m.addFeedForward(l, x)
		updated = append(updated, k, v)
	}
	return m.norm(x, m.finalNorm()), updated
}
