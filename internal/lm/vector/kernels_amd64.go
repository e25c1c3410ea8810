package vector

import "golang.org/x/sys/cpu"

// level says which instructions the kernels use. Tests lower it.
var level = func() instructions {
	switch {
	case !cpu.X86.HasAVX2 || !cpu.X86.HasFMA:
		return plain
	case cpu.X86.HasAVX512F:
		return avx512
	}
	return avx2
}()

const (
	avx2 instructions = 1 + iota
	avx512
)

// products does what [Product] says for [Rows] rows, 2·pairs columns and the first
// blocks·8 numbers of the sums.
func products[W Number](y []float32, ys int, x []float32, xs int, w []W, n, blocks, pairs int) {
	if level > plain {
		switch w := any(w).(type) {
		case []float32:
			products32(&y[0], 4*ys, &x[0], 4*xs, &w[0], 4*n, blocks, pairs)
			return
		case []uint16:
			products16(&y[0], 4*ys, &x[0], 4*xs, &w[0], 2*n, blocks, pairs)
			return
		}
	}
	plainProducts(y, ys, x, xs, w, n, blocks, pairs)
}

// sums does what [Sum] says for the first columns and returns how many.
func sums(y, p, v []float32) int {
	const width = 4 * block
	n := len(y)
	if level == plain {
		return 0
	}
	k := 0
	for ; k+width <= n; k += width {
		sum32(&y[k], &p[0], &v[k], 4*n, len(p))
	}
	return k
}

// sumExps does what [SumExp] says for the first numbers and returns how many.
func sumExps(x []float32, top float32) (float64, int) {
	n := len(x) / block * block
	if level == plain || n == 0 {
		return 0, 0
	}
	var lanes [block]float32
	var sum float64
	// Not too many at a time: float32 sums lose the small ones.
	const part = 1 << 12
	for k := 0; k < n; k += part {
		exps32(&x[k], min(part, n-k)/block, top, &lanes)
		for _, v := range lanes {
			sum += float64(v)
		}
	}
	return sum, n
}

// products32 sums blocks·8 products for 4 rows of x and 2·pairs rows of w. Strides are
// in bytes.
//
//go:noescape
func products32(y *float32, ys int, x *float32, xs int, w *float32, ws, blocks, pairs int)

// products16 is products32 for a w of bfloat16.
//
//go:noescape
func products16(y *float32, ys int, x *float32, xs int, w *uint16, ws, blocks, pairs int)

// sum32 writes 32 columns of the sum of n rows of v, which are vs bytes apart, times p.
//
//go:noescape
func sum32(y, p, v *float32, vs, n int)

// exps32 sums the exponentials of blocks·8 numbers less top, by lane.
//
//go:noescape
func exps32(x *float32, blocks int, top float32, lanes *[8]float32)
