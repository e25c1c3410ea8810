// Package optim holds the optimizer and the learning-rate schedule, in plain Go
// over host tensors.
package optim

import (
	"fmt"
	"math"

	"github.com/distillflow/distillflow/internal/lm/weights"
)

// AdamW is Adam with decoupled weight decay (Loshchilov and Hutter 2019).
type AdamW struct {
	Beta1, Beta2, Eps float64
	Decay             float64 // per step, times the learning rate; only where Decays says so
	Clip              float64 // the global gradient norm is clipped to this; 0 is off

	M, V weights.Set // first and second moments
	T    int         // steps taken

	// Rates multiplies the learning rate of each tensor, in parameter order; nil
	// means 1 everywhere.
	Rates []float64

	decays []bool
	small  []*moments8 // of the tensors whose moments have 8 bits
}

// NewAdamW starts an optimizer for params. decays says, in parameter order, which
// tensors take weight decay; nil means none.
func NewAdamW(params weights.Set, decays []bool) *AdamW {
	return &AdamW{
		Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, Decay: 0.01, Clip: 1,
		M: params.ZerosLike(), V: params.ZerosLike(), decays: decays,
	}
}

// Norm is the Euclidean norm of all gradients together.
func Norm(grads [][]float32) float64 {
	var sum float64
	for _, g := range grads {
		for _, v := range g {
			sum += float64(v) * float64(v)
		}
	}
	return math.Sqrt(sum)
}

// Step applies one update with learning rate lr to params, in place, and returns
// the gradient norm before clipping. Gradients that are not finite are an error
// and change nothing: a NaN would otherwise stay in the moments for ever.
func (a *AdamW) Step(params weights.Set, grads [][]float32, lr float64) (norm float64, err error) {
	if len(grads) != len(params) {
		return 0, fmt.Errorf("adamw: %d gradients for %d parameters", len(grads), len(params))
	}
	norm = Norm(grads)
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return norm, fmt.Errorf("adamw: gradient of %s is not finite", firstBad(params, grads))
	}
	scale := 1.0
	if a.Clip > 0 && norm > a.Clip {
		scale = a.Clip / norm
	}
	a.T++
	c1 := 1 - math.Pow(a.Beta1, float64(a.T))
	c2 := 1 - math.Pow(a.Beta2, float64(a.T))
	for i := range params {
		w, g, m, v := params[i].Data, grads[i], a.M[i].Data, a.V[i].Data
		if len(g) != len(w) {
			return norm, fmt.Errorf("adamw: gradient of %s has %d values, want %d", params[i].Name, len(g), len(w))
		}
		rate := lr
		if a.Rates != nil {
			rate *= a.Rates[i]
		}
		decay := 0.0
		if a.decays != nil && a.decays[i] {
			decay = rate * a.Decay
		}
		if s := a.eightBit(i); s != nil {
			s.step(w, g, update{a.Beta1, a.Beta2, a.Eps, c1, c2, scale, rate, decay})
			continue
		}
		m, v = m[:len(w)], v[:len(w)]
		b1, b2, eps, size, spread := a.Beta1, a.Beta2, a.Eps, rate/c1, 1/c2
		for j, gj := range g {
			gj := float64(gj) * scale
			mj := b1*float64(m[j]) + (1-b1)*gj
			vj := b2*float64(v[j]) + (1-b2)*gj*gj
			m[j], v[j] = float32(mj), float32(vj)
			x := float64(w[j])
			w[j] = float32(x - decay*x - size*mj/(math.Sqrt(vj*spread)+eps))
		}
	}
	return norm, nil
}

func firstBad(params weights.Set, grads [][]float32) string {
	for i, g := range grads {
		for _, v := range g {
			if v-v != 0 {
				return params[i].Name
			}
		}
	}
	return "the parameters together"
}

// Cosine is the learning rate at step (0-based) of total: linear warm-up over
// warmup steps to peak, then half a cosine down to floor·peak.
func Cosine(step, warmup, total int, peak, floor float64) float64 {
	if step < warmup {
		return peak * float64(step+1) / float64(warmup)
	}
	if total <= warmup {
		return peak
	}
	x := min(1, float64(step-warmup)/float64(total-warmup))
	return peak * (floor + (1-floor)*0.5*(1+math.Cos(math.Pi*x)))
}
