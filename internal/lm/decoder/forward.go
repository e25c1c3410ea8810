package decoder

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// Model is a decoder being built into one graph: its configuration and its
// parameters as nodes, in the order of [Layout]. The parameters' type is that of
// the computation; norms, softmax and cross-entropy are computed in float32
// whatever it is.
//
// Its methods build graph nodes. Like all GoMLX graph functions they panic on
// wrong shapes; graph execution turns that into an error.
type Model struct {
	Config Config
	Params []*Node

	// Fetch, when set, builds those parameters of layers that are nil in Params, by
	// their place there, each time a layer asks for one. after is the residual stream
	// that enters the layer: what is made to depend on it cannot be computed before the
	// layer, and under Recompute is computed again for the backward pass and not kept.
	Fetch func(param int, after *Node) *Node

	// Delta, when set, returns what an adapter adds to the output [N, out] of a
	// projection that reads x [N, in], or nil. Targets have their Hugging Face names
	// (q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj).
	Delta func(layer int, target string, x *Node) *Node

	// Recompute keeps only the residual stream between layers for the backward pass
	// and computes the rest again (gradient checkpointing, Chen et al. 2016). It
	// implies Plain: a hand-given gradient keeps what its forward pass computed.
	Recompute bool

	// Plain switches to the textbook graph without hand-given gradients. Tests
	// compare the two.
	Plain bool

	// Starts [R, S] (int32), when set, is the column where the example of each position
	// begins: several short ones share a row. Positions count from there, and no position
	// looks before it. nil: every row is one example.
	Starts *Node

	stream *Node // what enters the layer being built
}

func (m *Model) at(layer int, s slot) *Node {
	i := m.Config.index(layer, s)
	if p := m.Params[i]; p != nil || m.Fetch == nil {
		return p
	}
	return m.Fetch(i, m.stream)
}

// linear is x·wᵀ for x [N, in] and w [out, in].
func linear(x, w *Node) *Node { return DotGeneral(x, []int{1}, nil, w, []int{1}, nil) }

// project is a layer's projection with its bias, if any, and what adapters add to
// the parts it is packed of. bias is slots when the projection never has one;
// widths are those of the parts.
func (m *Model) project(layer int, w, bias slot, has bool, x *Node, targets []string, widths []int) *Node {
	y := linear(x, m.at(layer, w))
	if has {
		y = Add(y, Reshape(m.at(layer, bias), 1, -1))
	}
	if m.Delta == nil {
		return y
	}
	parts := make([]*Node, len(targets))
	any := false
	for i, t := range targets {
		parts[i] = m.Delta(layer, t, x)
		any = any || parts[i] != nil
	}
	if !any {
		return y
	}
	for i, p := range parts {
		if p == nil {
			parts[i] = Zeros(x.Graph(), shapes.Make(y.DType(), y.Shape().Dimensions[0], widths[i]))
		}
	}
	if len(parts) == 1 {
		return Add(y, parts[0])
	}
	return Add(y, Concatenate(parts, 1))
}

var (
	qkvTargets    = []string{"q_proj", "k_proj", "v_proj"}
	oTargets      = []string{"o_proj"}
	gateUpTargets = []string{"gate_proj", "up_proj"}
	downTargets   = []string{"down_proj"}
)

// Targets are the names of the projections that adapters can attach to, in the
// order of a layer.
var Targets = []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}

// TargetDims is the shape [out, in] of a projection that [Targets] names.
func TargetDims(c Config, target string) (out, in int, ok bool) {
	switch target {
	case "q_proj":
		return c.Heads * c.HeadDim, c.Dim, true
	case "k_proj", "v_proj":
		return c.KVHeads * c.HeadDim, c.Dim, true
	case "o_proj":
		return c.Dim, c.Heads * c.HeadDim, true
	case "gate_proj", "up_proj":
		return c.FFN, c.Dim, true
	case "down_proj":
		return c.Dim, c.FFN, true
	}
	return 0, 0, false
}

func (m *Model) projectQKV(l int, x *Node) *Node {
	c := m.Config
	h, g := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	return m.project(l, qkv, qkvBias, c.Features().QKVBias, x, qkvTargets, []int{h, g, g})
}

// addAttention adds an attention output x [N, H·E] to the residual stream.
func (m *Model) addAttention(l int, stream, x *Node) *Node {
	f := m.Config.Features()
	x = m.project(l, oProj, oBias, f.OBias, x, oTargets, []int{m.Config.Dim})
	if f.SandwichNorm {
		x = m.norm(x, m.at(l, attnOutNorm))
	}
	return Add(stream, x)
}

// addFeedForward adds a layer's gated feed-forward to the residual stream.
func (m *Model) addFeedForward(l int, stream *Node) *Node {
	c, f := m.Config, m.Config.Features()
	x := m.norm(stream, m.at(l, ffnNorm))
	x = m.glu(m.project(l, gateUp, gateUpBias, f.MLPBias, x, gateUpTargets, []int{c.FFN, c.FFN}))
	x = m.project(l, down, downBias, f.MLPBias, x, downTargets, []int{c.Dim})
	if f.SandwichNorm {
		x = m.norm(x, m.at(l, ffnOutNorm))
	}
	return Add(stream, x)
}

// Embed looks up ids [R, S] (int32) and returns the residual stream [R·S, D].
func (m *Model) Embed(ids *Node) *Node {
	flat := Reshape(ids, ids.Shape().Size(), 1)
	x := Gather(m.Params[0], flat)
	if scale := m.Config.Features().EmbedScale; scale != 0 {
		// The factor is rounded to the type of the stream, as in the published models.
		x = Mul(x, ConvertDType(Const(x.Graph(), float32(scale)), x.DType()))
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
	c, f := m.Config, m.Config.Features()
	rows, seq := ids.Shape().Dimensions[0], ids.Shape().Dimensions[1]
	tables := ropes{}
	masks := map[int]*Node{}
	x := m.Embed(ids)
	var cache []*Node
	for l := range c.Layers {
		if m.Recompute {
			x = x.Checkpoint()
		}
		m.stream = x
		window, r := f.window(l)
		if window >= seq {
			window = 0
		}
		if masks[window] == nil {
			masks[window] = m.bias(ids.Graph(), seq, window)
		}
		turn := tables.tables(x, r, seq, c.HeadDim, m.Starts)
		n := m.norm(x, m.at(l, inputNorm))
		packed := m.normHeads(l, m.splitHeads(m.projectQKV(l, n), rows, seq))
		att := m.attention(packed, turn, masks[window])
		if keep {
			cache = append(cache, turn.rotate(keysOf(c, packed)), valuesOf(c, packed))
		}
		x = m.addAttention(l, x, mergeHeads(att, rows, seq))
		x = m.addFeedForward(l, x)
	}
	if m.Recompute {
		x = x.StopCheckpoint()
	}
	return m.norm(x, m.finalNorm()), cache
}

func (m *Model) finalNorm() *Node { return m.Params[NumParams(m.Config)-m.headTensors()-1] }

func (m *Model) headTensors() int {
	if m.Config.Tied {
		return 0
	}
	return 1
}

// Head is the output matrix [V, D], the embedding's where it is tied.
func (m *Model) Head() *Node {
	if m.Config.Tied {
		return m.Params[0]
	}
	return m.Params[NumParams(m.Config)-1]
}

// Logits maps hidden states [N, D] to vocabulary scores [N, V], in float32.
func (m *Model) Logits(hidden *Node) *Node {
	return softCap(toF32(linear(hidden, m.Head())), m.Config.Features().LogitCap)
}

// softCap is cap·tanh(x/cap); a cap of 0 changes nothing.
func softCap(x *Node, limit float64) *Node {
	if limit == 0 {
		return x
	}
	return MulScalar(Tanh(MulScalar(x, 1/limit)), limit)
}

// toF32 converts to float32 what is not.
func toF32(x *Node) *Node {
	if x.DType() == dtypes.Float32 {
		return x
	}
	return ConvertDType(x, dtypes.Float32)
}

// normHeads normalises each head of queries and keys in the packed projection
// [R, H+2G, S, E], in the families that do.
func (m *Model) normHeads(l int, packed *Node) *Node {
	c := m.Config
	if !c.Features().QKNorm {
		return packed
	}
	norm := func(x *Node, s slot) *Node {
		d := x.Shape().Dimensions
		return Reshape(m.norm(Reshape(x, -1, c.HeadDim), m.at(l, s)), d...)
	}
	return Concatenate([]*Node{
		norm(heads(packed, 0, c.Heads), qNorm), norm(keysOf(c, packed), kNorm), valuesOf(c, packed),
	}, 1)
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
// weight w, or 1+w in the Gemma families. It computes in float32. Where it rounds
// to the stream's type differs as it does in the published models: Llama before
// the weight, Gemma after it.
func (m *Model) norm(x, w *Node) *Node {
	one := m.Config.Features().NormPlusOne
	to := x.DType()
	x, w = toF32(x), Reshape(w, 1, -1)
	var y *Node
	if m.plain() {
		y = Mul(x, Reciprocal(Sqrt(AddScalar(meanLast(Square(x)), m.Config.NormEps))))
	} else {
		y = normalise(x, m.Config.NormEps)
	}
	if one {
		return ConvertDType(Mul(y, OnePlus(toF32(w))), to)
	}
	return Mul(ConvertDType(y, to), w)
}

func (m *Model) plain() bool { return m.Plain || m.Recompute }

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

// glu is act(gate)·up for x [N, 2F] = gate | up, giving [N, F] (Shazeer 2020).
func (m *Model) glu(x *Node) *Node {
	f := x.Shape().Dimensions[1] / 2
	halves := func(x *Node) (gate, up *Node) {
		return Slice(x, AxisRange(), AxisRange(0, f)), Slice(x, AxisRange(), AxisRange(f, 2*f))
	}
	act := silu
	switch m.Config.Features().Act {
	case GELUTanh:
		act = geluTanh
	case GELU:
		act = geluErf
	}
	if m.plain() {
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

// geluErf is 0.5·x·(1 + erf(x/√2)), with its slope.
func geluErf(x *Node) (y *Node, slope func() *Node) {
	half := MulScalar(OnePlus(Erf(MulScalar(x, 1/math.Sqrt2))), 0.5)
	return Mul(x, half), func() *Node {
		density := MulScalar(Exp(MulScalar(Square(x), -0.5)), 1/math.Sqrt(2*math.Pi))
		return Add(half, Mul(x, density))
	}
}

// LogSumExp over the last axis of x [N, V], stable: [N, 1].
func LogSumExp(x *Node) *Node {
	top := ExpandAxes(ReduceMax(x, -1), -1)
	return Add(Log(ExpandAxes(ReduceSum(Exp(Sub(x, top)), -1), -1)), top)
}
