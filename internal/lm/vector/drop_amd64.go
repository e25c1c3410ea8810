package vector

// drops does what [Drop] says for the first numbers and returns how many.
func drops(y, x []float32, first, seed, limit uint32, times float32) int {
	n := len(y) / block * block
	if level == plain || n == 0 {
		return 0
	}
	drop32(&y[0], &x[0], n/block, first, seed, limit, times)
	return n
}

//go:noescape
func drop32(y, x *float32, blocks int, first, seed, limit uint32, times float32)
