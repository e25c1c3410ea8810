package vector

// plainProducts is products in Go.
func plainProducts[W Number](y []float32, ys int, x []float32, xs int, w []W, n, blocks, pairs int) {
	k := blocks * block
	x0, x1, x2, x3 := x[:k], x[xs:][:k], x[2*xs:][:k], x[3*xs:][:k]
	for o := 0; o < 2*pairs; o++ {
		var s0, s1, s2, s3 float32
		row := w[o*n:][:k]
		for i, v := range row {
			f := Float(v)
			s0 += x0[i] * f
			s1 += x1[i] * f
			s2 += x2[i] * f
			s3 += x3[i] * f
		}
		y[o], y[ys+o], y[2*ys+o], y[3*ys+o] = s0, s1, s2, s3
	}
}
