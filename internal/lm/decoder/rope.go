package decoder

import (
	"math"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// Rope describes rotary positions (Su et al. 2021). Factor 0 or 1 is the plain
// form.
type Rope struct {
	Theta float64
	// Kind is "" or "default", "linear" (positions divided by Factor, Chen et al.
	// 2023), or one of two that divide low frequencies by Factor, keep high ones, and
	// blend those between LowFreq and HighFreq turns per Original positions: "llama3" by
	// the turns (Llama 3.1), "yarn" by the number of the pair (Peng et al. 2023).
	Kind              string
	Factor            float64
	LowFreq, HighFreq float64
	Original          int
	// Scale multiplies what is turned, queries and keys alike; 0 means 1. Exact leaves the
	// ends of yarn's blend between two pairs.
	Scale float64
	Exact bool
}

// frequencies are the angles per position of the dim/2 pairs.
func (r Rope) frequencies(dim int) []float64 {
	f := make([]float64, dim/2)
	low, high := r.blended(dim)
	for i := range f {
		f[i] = math.Pow(r.Theta, -2*float64(i)/float64(dim))
		switch r.Kind {
		case "linear":
			f[i] /= r.Factor
		case "llama3":
			turns := float64(r.Original) * f[i] / (2 * math.Pi)
			blend := min(1, max(0, (turns-r.LowFreq)/(r.HighFreq-r.LowFreq)))
			f[i] = (1-blend)*f[i]/r.Factor + blend*f[i]
		case "yarn":
			divide := min(1, max(0, (float64(i)-low)/(high-low)))
			f[i] = divide*f[i]/r.Factor + (1-divide)*f[i]
		}
	}
	return f
}

// blended are the first and last pair that yarn blends: those that turn HighFreq and
// LowFreq times in Original positions.
func (r Rope) blended(dim int) (first, last float64) {
	if r.Kind != "yarn" {
		return 0, 0
	}
	pair := func(turns float64) float64 {
		return float64(dim) * math.Log(float64(r.Original)/(turns*2*math.Pi)) / (2 * math.Log(r.Theta))
	}
	first, last = pair(r.HighFreq), pair(r.LowFreq)
	if !r.Exact {
		first, last = math.Floor(first), math.Ceil(last)
	}
	first, last = max(first, 0), min(last, float64(dim-1))
	if first == last {
		last += 0.001
	}
	return first, last
}

// Values are the rotary tables as flat [seq, dim] slices. Halves, not neighbours,
// are rotated together, as Hugging Face does.
func (r Rope) Values(seq, dim int) (cos, sin []float32) {
	cos, sin = make([]float32, seq*dim), make([]float32, seq*dim)
	scale := r.Scale
	if scale == 0 {
		scale = 1
	}
	for i, f := range r.frequencies(dim) {
		for p := range seq {
			a := float64(p) * f
			c, s := float32(scale*math.Cos(a)), float32(scale*math.Sin(a))
			cos[p*dim+i], cos[p*dim+i+dim/2] = c, c
			sin[p*dim+i], sin[p*dim+i+dim/2] = s, s
		}
	}
	return cos, sin
}

// rope holds rotary tables, [1, 1, S, E] each, [R, 1, S, E] of rows that examples share or,
// in a step, [R, 1, 1, E].
type rope struct{ cos, sin *Node }

// ropes builds each distinct rotation's tables once per graph.
type ropes map[Rope]rope

func (t ropes) tables(like *Node, r Rope, seq, dim int, starts *Node) rope {
	if got, ok := t[r]; ok {
		return got
	}
	cos, sin := r.Values(seq, dim)
	shape := func(v []float32) *Node {
		if starts != nil {
			rows := starts.Shape().Dimensions[0]
			at := Sub(Iota(like.Graph(), starts.Shape(), 1), starts)
			x := Gather(Reshape(Const(like.Graph(), v), seq, dim), ExpandAxes(at, -1))
			return ConvertDType(Reshape(x, rows, 1, seq, dim), like.DType())
		}
		return ConvertDType(Reshape(Const(like.Graph(), v), 1, 1, seq, dim), like.DType())
	}
	t[r] = rope{shape(cos), shape(sin)}
	return t[r]
}

// rotate turns x [R, heads, S, E].
func (r rope) rotate(x *Node) *Node { return Add(Mul(x, r.cos), Mul(rotateHalf(x), r.sin)) }

// unrotate is the transpose: rotate's gradient.
func (r rope) unrotate(x *Node) *Node { return Sub(Mul(x, r.cos), Mul(rotateHalf(x), r.sin)) }

// rotateHalf maps the halves (a, b) of the last axis to (-b, a).
func rotateHalf(x *Node) *Node {
	axis := x.Rank() - 1
	e := x.Shape().Dimensions[axis]
	a := SliceAxis(x, axis, AxisRange(0, e/2))
	b := SliceAxis(x, axis, AxisRange(e/2, e))
	return Concatenate([]*Node{Neg(b), a}, axis)
}
