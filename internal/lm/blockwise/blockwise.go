// Package blockwise quantises float32 values to 8 bits, block by block, in the
// dynamic data type of Dettmers (2015, arXiv 1511.04561) as bitsandbytes uses it for
// optimizer states and for the scales of 4-bit weights.
//
// A block's values are divided by their largest magnitude; each quotient becomes
// the index of the nearest of 256 levels. The levels are dense near zero: an
// exponent of base 10 takes more or fewer of the bits, the rest is a fraction.
package blockwise

import (
	"math"
	"slices"
	"sync"
)

// Size is the number of values of a block.
const Size = 256

// Map is the levels of an 8-bit type, ascending, from -1 or 0 to 1.
type Map [256]float32

// Signed are the levels for values of either sign, and Unsigned those for values
// that are never negative.
var (
	Signed   = sync.OnceValue(func() *Map { return dynamic(true) })
	Unsigned = sync.OnceValue(func() *Map { return dynamic(false) })
)

// exponents is the number of decimal exponents, 1 down to 1e-6.
const exponents = 7

// dynamic builds the levels: for each exponent 10^-6 ... 10^0 twice as many steps
// as for the one before, at the middles of equal parts of [0.1, 1]. The arithmetic
// is float32 in this order, so that the levels equal bitsandbytes' to the bit.
func dynamic(signed bool) *Map {
	all := []float32{0, 1}
	for i := range exponents {
		parts := 1 << i
		if !signed {
			parts *= 2
		}
		scale := float32(math.Pow10(i - exponents + 1))
		edges := linspace(0.1, 1, parts+1)
		for k := range parts {
			v := scale * ((edges[k] + edges[k+1]) / 2)
			all = append(all, v)
			if signed {
				all = append(all, -v)
			}
		}
	}
	slices.Sort(all)
	return (*Map)(all)
}

// linspace is n values from a to b, counted from the nearer end as torch.linspace
// does in float32.
func linspace(a, b float32, n int) []float32 {
	step := (b - a) / float32(n-1)
	out := make([]float32, n)
	for i := range out {
		if i < n/2 {
			out[i] = float32(math.FMA(float64(step), float64(i), float64(a)))
		} else {
			out[i] = float32(math.FMA(-float64(step), float64(n-1-i), float64(b)))
		}
	}
	return out
}

// Blocks is how many blocks n values make.
func Blocks(n int) int { return (n + Size - 1) / Size }

// Quantize writes for each value of x the index of the level nearest to its
// quotient by its block's largest magnitude (the lower of two that are equally
// near), and those magnitudes. codes is as long as x and scales has
// [Blocks](len(x)). A block of zeros has magnitude 0.
func (m *Map) Quantize(codes []uint8, scales, x []float32) {
	for b := range scales {
		part := x[b*Size : min(len(x), (b+1)*Size)]
		var top float32
		for _, v := range part {
			top = max(top, v, -v)
		}
		scales[b] = top
		out := codes[b*Size : b*Size+len(part)]
		if top == 0 {
			zero := m.nearest(0)
			for i := range out {
				out[i] = zero
			}
			continue
		}
		inv := 1 / top
		for i, v := range part {
			out[i] = m.nearest(v * inv)
		}
	}
}

// nearest is the index of the level nearest to v.
func (m *Map) nearest(v float32) uint8 {
	lo, hi := 0, len(m)-1 // m[lo] <= v < m[hi], as far as there are such levels
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; m[mid] <= v {
			lo = mid
		} else {
			hi = mid
		}
	}
	if m[hi]-v < v-m[lo] {
		return uint8(hi)
	}
	return uint8(lo)
}

// Dequantize is the inverse of [Map.Quantize], up to its rounding: it writes
// level·scale to x.
func (m *Map) Dequantize(x []float32, codes []uint8, scales []float32) {
	for i, c := range codes {
		x[i] = m[c] * scales[i/Size]
	}
}
