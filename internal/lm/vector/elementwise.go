package vector

import "math"

// Exps writes y = times·exp(x - minus), with the exponential of [Exp] and its error, and
// returns the sum. x - minus above 88 counts as 88. y may be x.
func Exps(y, x []float32, minus, times float32) (sum float32) {
	y = y[:len(x)]
	sum, k := exps(y, x, minus, times)
	for ; k < len(x); k++ {
		y[k] = times * Exp(min(x[k]-minus, 88))
		sum += y[k]
	}
	return sum
}

// Softmax replaces x by its softmax: by·exp(x - top). Each number is within
// 1e-6 of itself.
func Softmax(x []float32) (top, by float32) {
	top, k := maxs(x)
	for _, v := range x[k:] {
		top = max(top, v)
	}
	by = 1 / Exps(x, x, top, 1)
	Scale(x, by)
	return top, by
}

// SoftmaxBack replaces scores by their softmax, of which top and by are known, and d, the
// gradient with respect to it, by that with respect to the scores: p·(d - mean), for mean the
// sum of p·d. Where the scores were capped by [Cap], limit is not 0 and it is the gradient
// with respect to what they were before.
func SoftmaxBack(scores, d []float32, top, by, mean, limit float32) {
	d = d[:len(scores)]
	if limit != 0 {
		for k, v := range scores {
			d[k] = (d[k] - mean) * (1 - v/limit*(v/limit))
		}
		mean = 0
	}
	Exps(scores, scores, top, by)
	for k := softmaxBacks(d, scores, mean); k < len(d); k++ {
		d[k] = scores[k] * (d[k] - mean)
	}
}

// Cap replaces x by limit·tanh(x/limit), within 6e-7 of each number.
func Cap(x []float32, limit float32) {
	for k := caps(x, limit); k < len(x); k++ {
		x[k] = limit * float32(math.Tanh(float64(x[k]/limit)))
	}
}

// Gate is an activation x·σ(a·x + b·x³), with the logistic function σ. It is computed within
// 1e-6·(1 + |x|), its slope within 1e-6·(1 + x²).
type Gate struct{ a, b float32 }

var (
	// SiLU is x·σ(x).
	SiLU = Gate{a: 1}
	// GELUTanh is ½·x·(1 + tanh(sqrt(2/π)·(x + 0.044715·x³))).
	GELUTanh = Gate{a: 1.5957691216057308, b: 1.5957691216057308 * 0.044715}
)

// Forward writes y = activation(gate)·up.
func (g Gate) Forward(y, gate, up []float32) {
	y, up = y[:len(gate)], up[:len(gate)]
	for k := gates(y, gate, up, g); k < len(gate); k++ {
		y[k] = gate[k] * logistic(gate[k]*(g.a+g.b*gate[k]*gate[k])) * up[k]
	}
}

// Backward replaces gate and up by the gradients with respect to them, from that with respect
// to what Forward made of them.
func (g Gate) Backward(gate, up, dy []float32) {
	up, dy = up[:len(gate)], dy[:len(gate)]
	for k := gatesBack(gate, up, dy, g); k < len(gate); k++ {
		x := gate[k]
		s := logistic(x * (g.a + g.b*x*x))
		y := x * s
		gate[k], up[k] = dy[k]*up[k]*(s+y*(1-s)*(g.a+3*g.b*x*x)), dy[k]*y
	}
}

func logistic(x float32) float32 { return 1 / (1 + Exp(min(-x, 88))) }

// RMSNorm writes y = x·w / sqrt(mean x² + eps). y may be x.
func RMSNorm(y, x, w []float32, eps float64) {
	y, w = y[:len(x)], w[:len(x)]
	r := reciprocal(x, eps)
	for k := norms(y, x, w, r); k < len(x); k++ {
		y[k] = x[k] * r * w[k]
	}
}

// RMSNormBack writes to dx, or with more adds, the gradient with respect to x, from that with
// respect to what [RMSNorm] made of it. It adds that of w to dw, nil for none. dx may be dy
// where more is false.
func RMSNormBack(dx, dy, x, w, dw []float32, eps float64, more bool) {
	dx, dy, w = dx[:len(x)], dy[:len(x)], w[:len(x)]
	r := reciprocal(x, eps)
	if dw != nil {
		dw = dw[:len(x)]
		for k, v := range x {
			dw[k] += dy[k] * v * r
		}
	}
	sum, k := dots3(dy, w, x)
	for ; k < len(x); k++ {
		sum += dy[k] * w[k] * x[k]
	}
	b := -sum * r * r * r / float32(len(x))
	for k := normsBack(dx, dy, x, w, r, b, more); k < len(x); k++ {
		v := r*dy[k]*w[k] + b*x[k]
		if more {
			v += dx[k]
		}
		dx[k] = v
	}
}

// reciprocal is 1 over the root of the mean square of x.
func reciprocal(x []float32, eps float64) float32 {
	return float32(1 / math.Sqrt(float64(Dot(x, x))/float64(len(x))+eps))
}

// Dot is the sum of x·y.
func Dot(x, y []float32) float32 {
	y = y[:len(x)]
	sum, k := dots(x, y)
	for ; k < len(x); k++ {
		sum += x[k] * y[k]
	}
	return sum
}

// Add is y += a·x.
func Add(y []float32, a float32, x []float32) {
	y = y[:len(x)]
	for k := adds(y, a, x); k < len(x); k++ {
		y[k] += a * x[k]
	}
}

// Scale is x = by·x.
func Scale(x []float32, by float32) {
	for k := scales(x, by); k < len(x); k++ {
		x[k] *= by
	}
}
