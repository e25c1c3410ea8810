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
	// 2023) or "llama3" (low frequencies divided by Factor, high ones kept, those
	// between LowFreq and HighFreq turns per Original positions blended; Llama 3.1).
	Kind              string
	Factor            float64
	LowFreq, HighFreq float64
	Original          int
}

// frequencies are the angles per position of the dim/2 pairs.
func (r Rope) frequencies(dim int) []float64 {
	f := make([]float64, dim/2)
	for i := range f {
		f[i] = math.Pow(r.Theta, -2*float64(i)/float64(dim))
		switch r.Kind {
		case "linear":
			f[i] /= r.Factor
		case "llama3":
			turns := float64(r.Original) * f[i] / (2 * math.Pi)
			blend := min(1, max(0, (turns-r.LowFreq)/(r.HighFreq-r.LowFreq)))
			f[i] = (1-blend)*f[i]/r.Factor + blend*f[i]
		}
	}
	return f
}

// Values are the rotary tables as flat [seq, dim] slices. Halves, not neighbours,
// are rotated together, as Hugging Face does.
func (r Rope) Values(seq, dim int) (cos, sin []float32) {
	cos, sin = make([]float32, seq*dim), make([]float32, seq*dim)
	for i, f := range r.frequencies(dim) {
		for p := range seq {
			a := float64(p) * f
			cos[p*dim+i], cos[p*dim+i+dim/2] = float32(math.Cos(a)), float32(math.Cos(a))
			sin[p*dim+i], sin[p*dim+i+dim/2] = float32(math.Sin(a)), float32(math.Sin(a))
		}
	}
	return cos, sin
}

// rope holds rotary tables, [1, 1, S, E] each or, in a step, [R, 1, 1, E].
type rope struct{ cos, sin *Node }

// ropes builds each distinct rotation's tables once per graph.
type ropes map[Rope]rope

func (t ropes) tables(like *Node, r Rope, seq, dim int) rope {
	if got, ok := t[r]; ok {
		return got
	}
	cos, sin := r.Values(seq, dim)
	shape := func(v []float32) *Node {
		return ConvertDType(Reshape(Const(like.Graph(), v), 1, 1, seq, dim), like.DType())
	}
	t[r] = rope{shape(cos), shape(sin)}
	return t[r]
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
