//go:build !amd64

package vector

// products does what [Product] says for [Rows] rows, 2·pairs columns and the first
// blocks·8 numbers of the sums.
func products[W Number](y []float32, ys int, x []float32, xs int, w []W, n, blocks, pairs int) {
	plainProducts(y, ys, x, xs, w, n, blocks, pairs)
}

// sums does what [Sum] says for the first columns and returns how many.
func sums(y, p, v []float32) int { return 0 }

// sumExps does what [SumExp] says for the first numbers and returns how many.
func sumExps(x []float32, top float32) (float64, int) { return 0, 0 }

// copies does what [copyRows] says for the first rows and returns how many.
func copies[W Number](dst []float32, w, room int, src []W, ss, rows, cols int) int { return 0 }

// turns does what [turnRows] says for [block] rows and the first columns and returns how
// many.
func turns[W Number](dst []float32, w int, src []W, ss, cols int) int { return 0 }
