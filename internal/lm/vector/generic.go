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

// plainRows and plainCols are the size of the micro kernel in Go.
const (
	plainRows = 4
	plainCols = thin
)

// plainMicro is [micro] in Go.
func plainMicro(k int, a []float32, rs, ks int, b []float32, bs int, c []float32, cs int, add bool) {
	for h := 0; h < plainCols; h += 4 {
		var (
			c00, c01, c02, c03 float32
			c10, c11, c12, c13 float32
			c20, c21, c22, c23 float32
			c30, c31, c32, c33 float32
		)
		for p := range k {
			b := b[p*bs+h:][:4]
			b0, b1, b2, b3 := b[0], b[1], b[2], b[3]
			v := a[p*ks]
			c00 += v * b0
			c01 += v * b1
			c02 += v * b2
			c03 += v * b3
			v = a[p*ks+rs]
			c10 += v * b0
			c11 += v * b1
			c12 += v * b2
			c13 += v * b3
			v = a[p*ks+2*rs]
			c20 += v * b0
			c21 += v * b1
			c22 += v * b2
			c23 += v * b3
			v = a[p*ks+3*rs]
			c30 += v * b0
			c31 += v * b1
			c32 += v * b2
			c33 += v * b3
		}
		for i, v := range [plainRows][4]float32{{c00, c01, c02, c03}, {c10, c11, c12, c13}, {c20, c21, c22, c23}, {c30, c31, c32, c33}} {
			for j, y := range v {
				if add {
					y += c[i*cs+h+j]
				}
				c[i*cs+h+j] = y
			}
		}
	}
}
