package decoder

import (
	"math"

	"github.com/distillflow/distillflow/internal/lm/vector"
)

// gated is y = act(gate)·up.
func gated(act Activation, y, gate, up []float32) {
	switch act {
	case SiLU:
		vector.SiLU.Forward(y, gate, up)
	case GELUTanh:
		vector.GELUTanh.Forward(y, gate, up)
	default:
		for k, x := range gate {
			y[k] = x * normal(x) * up[k]
		}
	}
}

// gatedBack replaces gate and up by their gradients from dy, that of what gated made of them.
func gatedBack(act Activation, dy, gate, up []float32) {
	switch act {
	case SiLU:
		vector.SiLU.Backward(gate, up, dy)
	case GELUTanh:
		vector.GELUTanh.Backward(gate, up, dy)
	default:
		for k, x := range gate {
			p := normal(x)
			slope := p + x*vector.Exp(-0.5*x*x)*0.3989422804 // 1/sqrt(2π)
			gate[k], up[k] = dy[k]*up[k]*slope, dy[k]*x*p
		}
	}
}

// normal is the distribution function of the standard normal distribution.
func normal(x float32) float32 {
	return 0.5 * (1 + float32(math.Erf(float64(x)/math.Sqrt2)))
}

// expPart is how many exponentials are summed in float32, and computed at once.
const expPart = 1 << 10

// exponentials replaces logits by the exponentials of what they are above top, and returns the
// sum of these. Where limit, their soft cap, is not 0 each is then multiplied by the cap's
// slope.
func exponentials(logits []float32, top, limit float32) (sum float64) {
	var slope [expPart]float32
	for len(logits) > 0 {
		x := logits[:min(expPart, len(logits))]
		logits = logits[len(x):]
		if limit == 0 {
			sum += float64(vector.Exps(x, x, top, 1))
			continue
		}
		for k, v := range x {
			slope[k] = 1 - v/limit*(v/limit)
		}
		sum += float64(vector.Exps(x, x, top, 1))
		for k := range x {
			x[k] *= slope[k]
		}
	}
	return sum
}
