package vector

import (
	"math/rand/v2"
	"testing"
)

func TestDrop(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		for _, n := range []int{1, 7, 8, 33, 1000} {
			x, y := random(rand.New(rand.NewPCG(1, uint64(n))), n), make([]float32, n)
			for _, first := range []uint32{0, 17, 0xFFFFFFF0} {
				for _, limit := range []uint32{0, 1 << 30, 0xFFFFFFFF} {
					Drop(y, x, first, 77, limit, 2)
					for i, v := range y {
						h := (first+uint32(i))*0x85EBCA77 ^ 77
						h = (h ^ h>>16) * 0x85EBCA6B
						h = (h ^ h>>13) * 0xC2B2AE35
						h ^= h >> 16
						want := 2 * x[i]
						if h < limit {
							want = 0
						}
						if v != want {
							t.Fatalf("%d numbers from %d on, limit %d: number %d is %v, want %v", n, first, limit, i, v, want)
						}
					}
				}
			}
		}
	})
}

func BenchmarkDrop(b *testing.B) {
	x, y := make([]float32, 4096), make([]float32, 4096)
	for b.Loop() {
		Drop(y, x, 1, 2, 1<<30, 2)
	}
	b.ReportMetric(4096*float64(b.N)/b.Elapsed().Seconds()/1e9, "G/s")
}
