package vector

// neon is what every arm64 has.
const neon instructions = 1

// level says which instructions the kernels use. Tests lower it.
var level = neon

// microSize is the size of the micro kernel's tile.
func microSize() (rows, cols int) {
	if level == plain {
		return plainRows, plainCols
	}
	return 8, 8
}

// micro writes a tile of C, of as many rows as [microSize] says and w columns, which is
// as many or [thin]: the sum of k steps of A's rows, rs apart, times rows of B, bs apart. A's
// steps are ks apart.
func micro(w, k int, a []float32, rs, ks int, b []float32, bs int, c []float32, cs int, add bool) {
	if level == plain {
		plainMicro(k, a, rs, ks, b, bs, c, cs, add)
		return
	}
	// What the assembly reads and writes.
	_, _, _ = a[7*rs+(k-1)*ks], b[(k-1)*bs+w-1], c[7*cs+w-1]
	micro8x8(k, &a[0], rs, ks, &b[0], bs, &c[0], cs, flag(add))
}

// Strides count numbers.
//
//go:noescape
func micro8x8(k int, a *float32, rs, ks int, b *float32, bs int, c *float32, cs, add int)
