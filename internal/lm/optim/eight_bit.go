package optim

import (
	"math"

	"github.com/distillflow/distillflow/internal/lm/blockwise"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// leastEightBit is the size from which [AdamW.UseEightBit] stores a tensor's moments
// in 8 bits when it is not told: bitsandbytes' default.
const leastEightBit = 4096

// moments8 holds the moments of one tensor in 8 bits: block-wise dynamic
// quantisation (Dettmers et al. 2022, arXiv 2110.02861).
type moments8 struct {
	m, v             []uint8
	mScale, vScale   []float32
	mLevels, vLevels *blockwise.Map
}

func newMoments8(n int) *moments8 {
	s := &moments8{
		m: make([]uint8, n), v: make([]uint8, n),
		mScale: make([]float32, blockwise.Blocks(n)), vScale: make([]float32, blockwise.Blocks(n)),
		mLevels: blockwise.Signed(), vLevels: blockwise.Unsigned(),
	}
	zeros := make([]float32, n)
	s.mLevels.Quantize(s.m, s.mScale, zeros)
	s.vLevels.Quantize(s.v, s.vScale, zeros)
	return s
}

// UseEightBit stores the moments of every tensor with at least least values (0: 4096)
// in 8 bits, 2.03 bytes a parameter where float32 takes 8, with the numbers of
// bitsandbytes' AdamW8bit. The M and V of such a tensor stay empty. It starts the
// moments anew, so it must be called before the first step.
func (a *AdamW) UseEightBit(params weights.Set, least int) {
	if least <= 0 {
		least = leastEightBit
	}
	a.small = make([]*moments8, len(params))
	for i := range params {
		if n := len(params[i].Data); n >= least {
			a.small[i] = newMoments8(n)
			a.M[i].Data, a.V[i].Data = nil, nil
		}
	}
}

// eightBit returns the moments of tensor i, or nil where they are float32.
func (a *AdamW) eightBit(i int) *moments8 {
	if a.small == nil {
		return nil
	}
	return a.small[i]
}

// StateBytes is the memory that the moments take.
func (a *AdamW) StateBytes() (n int64) {
	for i := range a.M {
		n += 4 * int64(len(a.M[i].Data)+len(a.V[i].Data))
		if s := a.eightBit(i); s != nil {
			n += int64(len(s.m)+len(s.v)) + 4*int64(len(s.mScale)+len(s.vScale))
		}
	}
	return n
}

// update is the constants of one step for one tensor.
type update struct {
	beta1, beta2, eps float64
	c1, c2            float64 // 1 - beta^t
	scale             float64 // of the gradient
	rate, decay       float64 // decay is the rate times the weight decay
}

// step updates w and the moments by the gradients g, block by block. It computes in
// float32 in bitsandbytes' order: moments are rounded to 8 bits at each step, and a
// difference in the last place could choose another level.
func (s *moments8) step(w, g []float32, u update) {
	var m, v [blockwise.Size]float32
	b1, b2, eps := float32(u.beta1), float32(u.beta2), float32(u.eps)
	a1, a2 := float32(1-u.beta1), float32(1-u.beta2)
	root := float32(math.Sqrt(u.c2))
	size, keep := float32(-u.rate/u.c1), float32(1-u.decay)
	for b := range s.mScale {
		lo, hi := b*blockwise.Size, min(len(w), (b+1)*blockwise.Size)
		m, v := m[:hi-lo], v[:hi-lo]
		s.mLevels.Dequantize(m, s.m[lo:hi], s.mScale[b:b+1])
		s.vLevels.Dequantize(v, s.v[lo:hi], s.vScale[b:b+1])
		for j := range m {
			gj := g[lo+j]
			if u.scale != 1 {
				gj = float32(float64(gj) * u.scale)
			}
			// The conversions keep products from being fused with sums, which would round once
			// instead of twice and differently on each architecture.
			m[j] = float32(m[j]*b1) + float32(gj*a1)
			v[j] = float32(v[j]*b2) + float32(a2*float32(gj*gj))
			den := float32(float32(math.Sqrt(float64(v[j])))/root) + eps
			w[lo+j] = float32(w[lo+j]*keep) + float32(size*float32(m[j]/den))
		}
		s.mLevels.Quantize(s.m[lo:hi], s.mScale[b:b+1], m)
		s.vLevels.Quantize(s.v[lo:hi], s.vScale[b:b+1], v)
	}
}
