package vector

import (
	"slices"
	"testing"
)

// Machines with AVX-512 and without compute the same bits: every number is one sum of
// fused products in one order.
func TestMatMulLevelsAgree(t *testing.T) {
	if level < avx512 {
		t.Skip("no AVX-512 here")
	}
	t.Cleanup(func() { level = avx512 })
	wide := multiplied(t, []*Team{nil}, 77, 600, 85, 0, true)
	level = avx2
	if !slices.Equal(wide.Data, multiplied(t, []*Team{nil}, 77, 600, 85, 0, true).Data) {
		t.Error("AVX2 and AVX-512 differ")
	}
}
