package vector

import "math"

// Drop writes y = times·x, with 0 for those numbers whose hash is below limit. The hash of
// number i is the finaliser of MurmurHash3 over (first + i)·0x85EBCA77 xor seed.
func Drop(y, x []float32, first, seed, limit uint32, times float32) {
	x = x[:len(y)]
	for i := drops(y, x, first, seed, limit, times); i < len(y); i++ {
		h := (first+uint32(i))*0x85EBCA77 ^ seed
		h = (h ^ h>>16) * 0x85EBCA6B
		h = (h ^ h>>13) * 0xC2B2AE35
		h ^= h >> 16
		dropped := uint32((int64(h) - int64(limit)) >> 63) // all bits or none: no branch to foresee
		y[i] = math.Float32frombits(math.Float32bits(x[i]*times) &^ dropped)
	}
}
