package decoder

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// Cache is the keys and values of one layer in three parts, so that a step writes only a
// few of them: no backend writes into a tensor in place, and what a step returns it copies
// whole. Prompt and Older are only read. All are k then v, [R·G, slots, E] each.
type Cache struct {
	Prompt [2]*Node // S slots: position t of the prompt in slot t, padded on the right
	Older  [2]*Node // a multiple of Block slots: whole blocks of new positions; nil if none
	Recent [2]*Node // Block slots: the newest positions
}

// Block is the number of slots of [Cache].Recent.
const Block = 16

// Place says where a step stands, the same for all rows but for the lengths of their
// prompts.
type Place struct {
	Prompt *Node // [R] int32: tokens of each row's prompt
	New    *Node // int32 scalar: new positions before this one
}

// Step advances one position of generation. token [R] int32 is each row's newest token.
// It returns the final hidden states [R, D] and each layer's Recent, k0, v0, k1, v1, ...,
// with the new position written into slot New mod Block. When that was the last slot,
// [Flush] must move the block to Older before the next step.
func (m *Model) Step(token *Node, at Place, cache []Cache) (hidden *Node, recent []*Node) {
	c, f := m.Config, m.Config.Features()
	rows := token.Shape().Dimensions[0]
	e := c.HeadDim
	scale := c.queryScale()
	s := newStep(m, rows, at, cache[0])

	x := m.Embed(Reshape(token, rows, 1))
	group := c.Heads / c.KVHeads
	for l := range c.Layers {
		m.stream = x
		window, r := f.window(l)
		turn := s.turn(r, x.DType())
		n := m.norm(x, m.at(l, inputNorm))
		packed := m.normHeads(l, Reshape(m.projectQKV(l, n), rows, c.Heads+2*c.KVHeads, 1, e))
		q := Reshape(MulScalar(turn.rotate(heads(packed, 0, c.Heads)), scale), rows*c.KVHeads, group, e)
		k := s.write(cache[l].Recent[0], turn.rotate(keysOf(c, packed)))
		v := s.write(cache[l].Recent[1], valuesOf(c, packed))
		keys, values := []*Node{cache[l].Prompt[0], k}, []*Node{cache[l].Prompt[1], v}
		if cache[l].Older[0] != nil {
			keys, values = append(keys, cache[l].Older[0]), append(values, cache[l].Older[1])
		}
		var scores []*Node
		for _, k := range keys {
			scores = append(scores, softCap(toF32(dotNT(q, k)), f.AttnCap))
		}
		p := ConvertDType(softmaxLast(Add(Concatenate(scores, -1), s.bias(window))), x.DType())
		var att *Node
		from := 0
		for _, v := range values {
			n := v.Shape().Dimensions[1]
			part := dotNN(SliceAxis(p, -1, AxisRange(from, from+n)), v)
			from += n
			if att == nil {
				att = part
			} else {
				att = Add(att, part)
			}
		}
		x = m.addAttention(l, x, Reshape(att, rows, c.Heads*e))
		x = m.addFeedForward(l, x)
		recent = append(recent, k, v)
	}
	return m.norm(x, m.finalNorm()), recent
}

// step is what the layers of a step share.
type step struct {
	c                    Config
	g                    *Graph
	rows                 int
	prompt, older, slots int // slots of the parts, and of all
	at                   Place
	pos                  *Node // [R]
	here                 *Node // [R·G, Block, E]: the slot to write
	turns                map[Rope]rope
	biases               map[int]*Node
}

func newStep(m *Model, rows int, at Place, first Cache) *step {
	s := &step{c: m.Config, g: at.New.Graph(), rows: rows, at: at, turns: map[Rope]rope{}, biases: map[int]*Node{}}
	s.prompt = first.Prompt[0].Shape().Dimensions[1]
	if first.Older[0] != nil {
		s.older = first.Older[0].Shape().Dimensions[1]
	}
	s.slots = s.prompt + Block + s.older
	s.pos = Add(at.Prompt, BroadcastToDims(at.New, rows))
	dims := []int{rows * s.c.KVHeads, Block, s.c.HeadDim}
	slot := Iota(s.g, shapes.Make(dtypes.Int32, dims...), 1)
	s.here = Equal(slot, BroadcastToDims(s.inBlock(), dims...))
	return s
}

// inBlock is the slot of Recent that this step writes: a scalar.
func (s *step) inBlock() *Node { return Sub(s.at.New, MulScalar(s.blocks(), Block)) }

// blocks is the number of blocks in Older: a scalar.
func (s *step) blocks() *Node { return Div(s.at.New, Const(s.g, int32(Block))) }

// turn is the rotation at each row's position, [R, 1, 1, E].
func (s *step) turn(r Rope, dtype dtypes.DType) rope {
	if _, ok := s.turns[r]; !ok {
		e, limit := s.c.HeadDim, s.slots
		cos, sin := r.Values(limit, e)
		pick := func(v []float32) *Node {
			picked := Gather(Reshape(Const(s.g, v), limit, e), Reshape(s.pos, s.rows, 1))
			return ConvertDType(Reshape(picked, s.rows, 1, 1, e), dtype)
		}
		s.turns[r] = rope{pick(cos), pick(sin)}
	}
	return s.turns[r]
}

// write puts a fresh key or value [R, G, 1, E] into its slot.
func (s *step) write(recent, fresh *Node) *Node {
	dims := recent.Shape().Dimensions
	return Where(s.here, BroadcastToDims(Reshape(fresh, dims[0], 1, dims[2]), dims...), recent)
}

// bias is 0 for the slots that a row sees and masked for the others, in the order prompt,
// recent, older: [R·G, 1, slots].
func (s *step) bias(window int) *Node {
	if b := s.biases[window]; b != nil {
		return b
	}
	flat := func(x *Node, n int) *Node { return BroadcastToDims(x, s.rows, n) }
	column := func(x *Node, n int) *Node { return BroadcastToDims(Reshape(x, s.rows, 1), s.rows, n) }
	count := func(n int) *Node { return Iota(s.g, shapes.Make(dtypes.Int32, s.rows, n), 1) }
	// Each part: the position of each slot, and which hold none.
	part := func(n int, pos, empty *Node) *Node {
		if window > 0 {
			empty = LogicalOr(empty, LessOrEqual(pos, AddScalar(column(s.pos, n), -float64(window))))
		}
		return empty
	}
	t := count(s.prompt)
	parts := []*Node{part(s.prompt, t, GreaterOrEqual(t, column(s.at.Prompt, s.prompt)))}
	begun := MulScalar(s.blocks(), Block) // new positions in Older
	t = count(Block)
	parts = append(parts, part(Block, Add(Add(t, flat(begun, Block)), column(s.at.Prompt, Block)), GreaterThan(t, flat(s.inBlock(), Block))))
	if s.older > 0 {
		t = count(s.older)
		parts = append(parts, part(s.older, Add(t, column(s.at.Prompt, s.older)), GreaterOrEqual(t, flat(begun, s.older))))
	}
	bad := Concatenate(parts, 1)
	bad = BroadcastToDims(Reshape(bad, s.rows, 1, s.slots), s.rows, s.c.KVHeads, s.slots)
	s.biases[window] = Reshape(MulScalar(ConvertDType(bad, dtypes.Float32), masked), s.rows*s.c.KVHeads, 1, s.slots)
	return s.biases[window]
}

// Flush is Older with a full Recent as its block number block, an int32 scalar.
func Flush(older, recent, block *Node) *Node {
	d := older.Shape().Dimensions
	n := d[1] / Block
	dims := []int{d[0], n, Block, d[2]}
	here := Equal(Iota(older.Graph(), shapes.Make(dtypes.Int32, dims...), 1), BroadcastToDims(block, dims...))
	fresh := BroadcastToDims(Reshape(recent, d[0], 1, Block, d[2]), dims...)
	return Reshape(Where(here, fresh, Reshape(older, dims...)), d...)
}

// TopLogits are the largest score of each row of hidden states [N, D], where it is (the
// first of equal ones) and the log of the sum of all exponentials, [N] each.
func (m *Model) TopLogits(hidden *Node) (top, at, lse *Node) {
	// With the large matrix first, XLA's CPU backend is several times faster.
	y := softCap(toF32(DotGeneral(m.Head(), []int{1}, nil, hidden, []int{1}, nil)), m.Config.Features().LogitCap)
	top = ReduceMax(y, 0)
	sum := ReduceSum(Exp(Sub(y, BroadcastToDims(ExpandAxes(top, 0), y.Shape().Dimensions...))), 0)
	return top, ArgMax(y, 0, dtypes.Int32), Add(top, Log(sum))
}
