// Package vector holds the loops over float32 in which models on a CPU spend their time:
// for decoding products of some rows with a large matrix and weighted sums of rows, for
// training products of any matrices, and for both what is done to each number of a row.
//
// On amd64 with AVX2 and FMA they are assembly, the products of training with AVX-512 too
// where the machine has it, so that a plain build is as fast as one with GOEXPERIMENT=simd.
// On arm64 those of training are assembly with NEON. Elsewhere they are Go. Each result
// depends on its own row and column alone: how rows are put together, and how many
// goroutines share the work, does not change a bit.
package vector

import (
	"math"
	"slices"
)

// Rows is the number of rows that [Product] works on at a time: its callers' buffers hold
// a multiple of it.
const Rows = 4

// block is how many numbers a vector holds.
const block = 8

// Number is what a matrix may be stored as: float32, or bfloat16 by its bits.
type Number interface{ float32 | uint16 }

// tile is how many bytes of the matrix are kept near while all rows pass by.
const tile = 1 << 15

// Product writes y[r, o] = Σ_k x[r, k]·w[o, k] for all r < rows and from <= o < to.
// Row r of x begins at x[r·xs] and has n numbers, row o of w at w[o·n], row r of y at
// y[r·ys]. The number of rows is rounded up to [Rows], and x and y must reach so far. Where
// from is even, and to is even or the last, a column is the same in whatever parts y is
// written.
func Product[W Number](y []float32, ys int, x []float32, xs, rows int, w []W, n, from, to int) {
	rows = (rows + Rows - 1) / Rows * Rows
	if rows == 0 || from >= to {
		return
	}
	// What the assembly reads and writes.
	_, _, _ = y[(rows-1)*ys+to-1], x[(rows-1)*xs+n-1], w[to*n-1]
	whole := n / block * block
	step := max(2, tile/(4*n)&^1)
	for o := from; o < to; o += step {
		end := min(o+step, to)
		pairs := (end - o) / 2
		for r := 0; r < rows; r += Rows {
			if pairs > 0 && whole > 0 {
				products(y[r*ys+o:], ys, x[r*xs:], xs, w[o*n:], n, whole/block, pairs)
			}
			// What pairs and blocks leave over.
			for i := r; i < r+Rows; i++ {
				for p := o; p < end; p++ {
					done := whole
					if p >= o+2*pairs {
						done = 0
					}
					if done == n {
						continue
					}
					var sum float32
					if done > 0 {
						sum = y[i*ys+p]
					}
					y[i*ys+p] = rest(sum, x[i*xs+done:i*xs+n], w[p*n+done:p*n+n])
				}
			}
		}
	}
}

func rest[W Number](sum float32, x []float32, w []W) float32 {
	for k, v := range x {
		sum += v * Float(w[k])
	}
	return sum
}

// Float is w as a float32.
func Float[W Number](w W) float32 {
	switch v := any(w).(type) {
	case float32:
		return v
	case uint16:
		return math.Float32frombits(uint32(v) << 16)
	}
	return 0
}

// Sum writes y = Σ_t p[t]·v[t], where row t of v is the len(y) numbers at v[t·len(y)].
func Sum(y, p, v []float32) {
	n := len(y)
	if len(p) == 0 || n == 0 {
		clear(y)
		return
	}
	_ = v[len(p)*n-1]
	k := sums(y, p, v)
	if k == n {
		return
	}
	clear(y[k:])
	for t, a := range p {
		row := v[t*n+k : t*n+n]
		for i := range row {
			y[k+i] += a * row[i]
		}
	}
}

// Exp is e to the power x within 2 units in the last place, 0 below -87: a polynomial over
// half an octave, as in Moshier's Cephes library.
func Exp(x float32) float32 {
	if !(x >= -87) {
		if x != x {
			return x
		}
		return 0
	}
	if x > 88 {
		return float32(math.Inf(1))
	}
	// Adding and taking away 1.5·2²³ rounds to whole numbers.
	const round = 3 << 22
	n := x*math.Log2E + round - round
	r := x - n*0.693359375 + n*2.12194440e-4
	p := float32(1.9875691500e-4)
	p = p*r + 1.3981999507e-3
	p = p*r + 8.3334519073e-3
	p = p*r + 4.1665795894e-2
	p = p*r + 1.6666665459e-1
	p = p*r + 5.0000001201e-1
	p = p*r*r + r + 1
	return p * math.Float32frombits(uint32(int32(n)+127)<<23)
}

// SumExp is the sum of e to the power x[i]-top, where top is at least every x[i].
func SumExp(x []float32, top float32) float64 {
	sum, k := sumExps(x, top)
	for _, v := range x[k:] {
		sum += float64(Exp(v - top))
	}
	return sum
}

// Max is the largest number of x and its place, the first of equal ones; -1 where x holds
// none that is above minus infinity.
func Max(x []float32) (top float32, at int) {
	top, k := maxs(x)
	if at = -1; !math.IsInf(float64(top), -1) {
		at = slices.Index(x[:k], top)
	}
	for i, v := range x[k:] {
		if v > top {
			top, at = v, k+i
		}
	}
	return top, at
}
