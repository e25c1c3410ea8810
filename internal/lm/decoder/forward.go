package decoder

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// Model is a decoder being built into one graph: its configuration and its
// parameters as nodes, in the order of [Init].
//
// Its methods build graph nodes. Like all GoMLX graph functions they panic on
// wrong shapes; graph execution turns that into an error.
type Model struct {
	Config Config
	Params []*Node

	// Plain switches to the textbook graph without hand-given gradients. Tests
	// compare the two.
	Plain bool
}

func (m *Model) layer(l, which int) *Node { return m.Params[1+l*perLayer+which] }

// linear is x·wᵀ for x [N, in] and w [out, in].
func linear(x, w *Node) *Node { return DotGeneral(x, []int{1}, nil, w, []int{1}, nil) }

// Embed looks up ids [R, S] (int32) and returns the residual stream [R·S, D].
func (m *Model) Embed(ids *Node) *Node {
	flat := Reshape(ids, ids.Shape().Size(), 1)
	x := Gather(m.Params[0], flat)
	if m.Config.Arch == Gemma {
		x = MulScalar(x, math.Sqrt(float64(m.Config.Dim)))
	}
	return x
}

// Hidden runs the whole decoder over ids [R, S] with causal attention and
// returns the last hidden states after the final norm, [R·S, D]. Padding must
// stand to the right, where causal attention never looks.
func (m *Model) Hidden(ids *Node) *Node {
	h, _ := m.hidden(ids, false)
	return h
}

// Prefill is Hidden that also returns each layer's rotated keys and values,
// [R, G, S, E] each, in the order k0, v0, k1, v1, ...
func (m *Model) Prefill(ids *Node) (hidden *Node, cache []*Node) { return m.hidden(ids, true) }

func (m *Model) hidden(ids *Node, keep bool) (*Node, []*Node) {
	c := m.Config
	rows, seq := ids.Shape().Dimensions[0], ids.Shape().Dimensions[1]
	rope := ropeTables(ids.Graph(), seq, c.HeadDim, c.RopeTheta)
	x := m.Embed(ids)
	var cache []*Node
	for l := range c.Layers {
		n := m.norm(x, m.layer(l, pInputNorm))
		qkv := m.splitHeads(linear(n, m.layer(l, pQKV)), rows, seq)
		att := m.attention(qkv, rope)
		if keep {
			cache = append(cache, rope.rotate(keysOf(c, qkv)), valuesOf(c, qkv))
		}
		x = Add(x, linear(mergeHeads(att, rows, seq), m.layer(l, pO)))
		n = m.norm(x, m.layer(l, pPostNorm))
		x = Add(x, linear(m.glu(linear(n, m.layer(l, pGateUp))), m.layer(l, pDown)))
	}
	return m.norm(x, m.Params[1+c.Layers*perLayer]), cache
}

// Logits maps hidden states [N, D] to vocabulary scores [N, V].
func (m *Model) Logits(hidden *Node) *Node {
	if m.Config.Tied {
		return linear(hidden, m.Params[0])
	}
	return linear(hidden, m.Params[len(m.Params)-1])
}

// splitHeads turns [R·S, heads·E] into [R, heads, S, E].
func (m *Model) splitHeads(x *Node, rows, seq int) *Node {
	heads := x.Shape().Dimensions[1] / m.Config.HeadDim
	return TransposeAllDims(Reshape(x, rows, seq, heads, m.Config.HeadDim), 0, 2, 1, 3)
}

// mergeHeads turns [R, H, S, E] into [R·S, H·E].
func mergeHeads(x *Node, rows, seq int) *Node {
	return Reshape(TransposeAllDims(x, 0, 2, 1, 3), rows*seq, -1)
}

// norm is RMSNorm over the last axis of x [N, D] (Zhang and Sennrich 2019), with
// weight w, or 1+w in the Gemma shape.
func (m *Model) norm(x, w *Node) *Node {
	if m.Config.Arch == Gemma {
		w = OnePlus(w)
	}
	w = Reshape(w, 1, -1)
	if m.Plain {
		r := Reciprocal(Sqrt(AddScalar(meanLast(Square(x)), m.Config.NormEps)))
		return Mul(Mul(x, r), w)
	}
	return Mul(normalise(x, m.Config.NormEps), w)
}

// meanLast averages over the last axis of x [N, D] and keeps it: [N, 1].
func meanLast(x *Node) *Node {
	d := x.Shape().Dimensions[x.Rank()-1]
	return ExpandAxes(MulScalar(ReduceSum(x, -1), 1/float64(d)), -1)
}

// normalise is y = x·r with r = 1/sqrt(mean x² + eps). Its gradient is
// r·(v - y·mean(v·y)).
func normalise(x *Node, eps float64) *Node {
	return sameShape(x, func(x *Node) (*Node, func(v *Node) *Node) {
		r := Reciprocal(Sqrt(AddScalar(meanLast(Square(x)), eps)))
		y := Mul(x, r)
		return y, func(v *Node) *Node {
			return Mul(r, Sub(v, Mul(y, meanLast(Mul(v, y)))))
		}
	})
}

// glu is act(gate)·up for x [N, 2F] = gate | up, giving [N, F]. Silu in the
// Llama shape, GELU by its tanh approximation in the Gemma shape (Shazeer 2020).
func (m *Model) glu(x *Node) *Node {
	f := x.Shape().Dimensions[1] / 2
	halves := func(x *Node) (gate, up *Node) {
		return Slice(x, AxisRange(), AxisRange(0, f)), Slice(x, AxisRange(), AxisRange(f, 2*f))
	}
	act := silu
	if m.Config.Arch == Gemma {
		act = geluTanh
	}
	if m.Plain {
		gate, up := halves(x)
		a, _ := act(gate)
		return Mul(a, up)
	}
	return withGradient(x, func(x *Node) (*Node, func(v *Node) *Node) {
		gate, up := halves(x)
		a, slope := act(gate)
		return Mul(a, up), func(v *Node) *Node {
			return Concatenate([]*Node{Mul(Mul(v, up), slope()), Mul(v, a)}, 1)
		}
	}, func(x *Node) *Node { g, _ := halves(x); return g })
}

// silu is x·sigmoid(x), with its slope.
func silu(x *Node) (y *Node, slope func() *Node) {
	s := Logistic(x)
	y = Mul(x, s)
	return y, func() *Node { return Add(s, Mul(y, OneMinus(s))) }
}

// geluTanh is 0.5·x·(1 + tanh(c·(x + 0.044715·x³))), c = sqrt(2/π), with its slope
// (Hendrycks and Gimpel 2016).
func geluTanh(x *Node) (y *Node, slope func() *Node) {
	const k = 0.044715
	c := math.Sqrt(2 / math.Pi)
	sq := Square(x)
	inner := MulScalar(Mul(x, OnePlus(MulScalar(sq, k))), c)
	// tanh through the logistic: the backend's is faster.
	t := AddScalar(MulScalar(Logistic(MulScalar(inner, 2)), 2), -1)
	half := MulScalar(OnePlus(t), 0.5)
	y = Mul(x, half)
	return y, func() *Node {
		d := MulScalar(OnePlus(MulScalar(sq, 3*k)), c) // d inner / d x
		return Add(half, MulScalar(Mul(x, Mul(OneMinus(Square(t)), d)), 0.5))
	}
}

// rope holds the constant rotary tables, [1, 1, S, E] each (Su et al. 2021).
type rope struct{ cos, sin *Node }

// ropeTables builds the tables for positions 0..seq-1. Halves, not neighbours,
// are rotated together, as Hugging Face does.
func ropeTables(g *Graph, seq, dim int, theta float64) rope {
	cos, sin := RopeValues(seq, dim, theta)
	shape := func(v []float32) *Node { return Reshape(Const(g, v), 1, 1, seq, dim) }
	return rope{shape(cos), shape(sin)}
}

// RopeValues are the rotary tables as flat [seq, dim] slices.
func RopeValues(seq, dim int, theta float64) (cos, sin []float32) {
	cos, sin = make([]float32, seq*dim), make([]float32, seq*dim)
	for p := range seq {
		for i := range dim / 2 {
			a := float64(p) * math.Pow(theta, -2*float64(i)/float64(dim))
			cos[p*dim+i], cos[p*dim+i+dim/2] = float32(math.Cos(a)), float32(math.Cos(a))
			sin[p*dim+i], sin[p*dim+i+dim/2] = float32(math.Sin(a)), float32(math.Sin(a))
		}
	}
	return cos, sin
}

// rotate turns x [R, heads, S, E].
func (r rope) rotate(x *Node) *Node { return Add(Mul(x, r.cos), Mul(rotateHalf(x), r.sin)) }

// unrotate is the inverse, which is also the transpose: rotate's gradient.
func (r rope) unrotate(x *Node) *Node { return Sub(Mul(x, r.cos), Mul(rotateHalf(x), r.sin)) }

// rotateHalf maps the halves (a, b) of the last axis to (-b, a).
func rotateHalf(x *Node) *Node {
	axis := x.Rank() - 1
	e := x.Shape().Dimensions[axis]
	a := SliceAxis(x, axis, AxisRange(0, e/2))
	b := SliceAxis(x, axis, AxisRange(e/2, e))
	return Concatenate([]*Node{Neg(b), a}, axis)
}

// LogSumExp over the last axis of x [N, V], stable: [N, 1].
func LogSumExp(x *Node) *Node {
	top := ExpandAxes(ReduceMax(x, -1), -1)
	return Add(Log(ExpandAxes(ReduceSum(Exp(Sub(x, top)), -1), -1)), top)
}
