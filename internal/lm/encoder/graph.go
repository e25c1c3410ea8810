package encoder

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// masked is added to the scores of padding. Finite, so that 0·masked is 0.
const masked = -1e9

// Model is a transformer encoder being built into one graph. Params are nodes in
// the order of [Pack], float32. Like all GoMLX graph functions its methods panic on
// wrong shapes; graph execution turns that into an error.
//
// Shapes in comments: R rows (texts), S positions, D model width, H heads, E head
// width.
type Model struct {
	Config Config
	Params []*Node
}

func (g *Model) at(layer, p int) (w, b *Node) {
	i := embedParams + layer*layerParams + p
	return g.Params[i], g.Params[i+1]
}

// Hidden runs the encoder and returns the last hidden states [R, S, D]. ids,
// positions (rows of the position embedding) and types are [R, S] int32; lengths
// [R] int32 are the tokens of each row, at least one, which stand to the left of
// its padding. What stands at padding positions is meaningless.
func (g *Model) Hidden(ids, positions, types, lengths *Node) *Node {
	c := g.Config
	rows, seq := ids.Shape().Dimensions[0], ids.Shape().Dimensions[1]
	look := func(p int, at *Node) *Node { return Gather(g.Params[p], Reshape(at, rows*seq, 1)) }
	x := Add(Add(look(wordEmbed, ids), look(typeEmbed, types)), look(posEmbed, positions))
	x = layerNorm(x, g.Params[embedNorm], g.Params[embedNorm+1], c.NormEps)

	valid := ConvertDType(tokenMask(ids, lengths), dtypes.Float32)
	bias := Reshape(MulScalar(OneMinus(valid), masked), rows, 1, 1, seq)
	for l := range c.Layers {
		x = g.layer(l, x, bias)
	}
	return Reshape(x, rows, seq, c.Dim)
}

// tokenMask is true where a row has a token: [R, S].
func tokenMask(ids, lengths *Node) *Node {
	d := ids.Shape().Dimensions
	at := Iota(ids.Graph(), shapes.Make(dtypes.Int32, d...), 1)
	return LessThan(at, BroadcastToDims(Reshape(lengths, d[0], 1), d...))
}

// layer is one layer over the residual stream x [R·S, D] with bias [R, 1, 1, S].
func (g *Model) layer(l int, x, bias *Node) *Node {
	c := g.Config
	rows, seq := bias.Shape().Dimensions[0], bias.Shape().Dimensions[3]
	e := c.Dim / c.Heads
	dense := func(p int, x *Node) *Node {
		w, b := g.at(l, p)
		return Add(DotGeneral(x, []int{1}, nil, w, []int{1}, nil), Reshape(b, 1, -1))
	}
	norm := func(p int, x *Node) *Node {
		w, b := g.at(l, p)
		return layerNorm(x, w, b, c.NormEps)
	}
	packed := TransposeAllDims(Reshape(dense(qkv, x), rows, seq, 3*c.Heads, e), 0, 2, 1, 3)
	part := func(i int) *Node {
		p := Slice(packed, AxisRange(), AxisRange(i*c.Heads, (i+1)*c.Heads), AxisRange(), AxisRange())
		return Reshape(p, rows*c.Heads, seq, e)
	}
	q, k, v := MulScalar(part(0), 1/math.Sqrt(float64(e))), part(1), part(2)
	scores := DotGeneral(q, []int{2}, []int{0}, k, []int{2}, []int{0})
	scores = Add(Reshape(scores, rows, c.Heads, seq, seq), bias)
	p := Reshape(softmax(scores), rows*c.Heads, seq, seq)
	a := Reshape(DotGeneral(p, []int{2}, []int{0}, v, []int{1}, []int{0}), rows, c.Heads, seq, e)
	a = Reshape(TransposeAllDims(a, 0, 2, 1, 3), rows*seq, c.Dim)
	x = norm(attnNorm, Add(x, dense(attnOut, a)))
	h := activate(c.Act, dense(ffnUp, x))
	return norm(ffnNorm, Add(x, dense(ffnDown, h)))
}

// layerNorm is (x-mean)/sqrt(var+eps)·w + b over the last axis of x [N, D] (Ba et
// al. 2016), by the backend's own kernel where it has one.
func layerNorm(x, w, b *Node, eps float64) *Node {
	y, _ := InternalFusedOpCaller(
		func() *Node { return BackendFusedLayerNorm(x, []int{1}, eps, w, b) },
		func() *Node {
			x := Sub(x, ExpandAxes(ReduceMean(x, 1), -1))
			r := Reciprocal(Sqrt(AddScalar(ExpandAxes(ReduceMean(Square(x), 1), -1), eps)))
			return Add(Mul(Mul(x, r), Reshape(w, 1, -1)), Reshape(b, 1, -1))
		}, false)
	return y
}

// softmax over the last axis.
func softmax(x *Node) *Node {
	y, _ := InternalFusedOpCaller(
		func() *Node { return BackendFusedSoftmax(x, x.Rank()-1) },
		func() *Node { return Softmax(x, -1) }, false)
	return y
}

func activate(a Activation, x *Node) *Node {
	switch a {
	case ReLU:
		return Max(x, ZerosLike(x))
	case GELUTanh:
		// 0.5·x·(1 + tanh(u)) = x·logistic(2u), u = sqrt(2/π)·(x + 0.044715·x³).
		u := MulScalar(Mul(x, OnePlus(MulScalar(Square(x), 0.044715))), math.Sqrt(2/math.Pi))
		return Mul(x, Logistic(MulScalar(u, 2)))
	}
	y, _ := InternalFusedOpCaller(
		func() *Node { return BackendFusedGelu(x, true) },
		func() *Node { return Mul(MulScalar(x, 0.5), OnePlus(Erf(MulScalar(x, 1/math.Sqrt2)))) }, false)
	return y
}

// Mean pools hidden states [R, S, D] over each row's tokens: [R, D].
func Mean(hidden, ids, lengths *Node) *Node {
	d := hidden.Shape().Dimensions
	w := ConvertDType(tokenMask(ids, lengths), dtypes.Float32)
	w = Div(w, Reshape(ConvertDType(lengths, dtypes.Float32), d[0], 1))
	return Reshape(DotGeneral(Reshape(w, d[0], 1, d[1]), []int{2}, []int{0}, hidden, []int{1}, []int{0}), d[0], d[2])
}
