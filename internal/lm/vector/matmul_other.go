//go:build !amd64 && !arm64

package vector

// microSize is the size of the micro kernel's tile.
func microSize() (rows, cols int) { return plainRows, plainCols }

// micro writes a tile of C, of as many rows as [microSize] says and w columns, which is
// as many or [thin]: the sum of k steps of A's rows, rs apart, times rows of B, bs apart. A's
// steps are ks apart.
func micro(w, k int, a []float32, rs, ks int, b []float32, bs int, c []float32, cs int, add bool) {
	plainMicro(k, a, rs, ks, b, bs, c, cs, add)
}
