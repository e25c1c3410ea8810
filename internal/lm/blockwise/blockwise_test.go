package blockwise

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestMaps(t *testing.T) {
	for name, m := range map[string]*Map{"signed": Signed(), "unsigned": Unsigned()} {
		if !slices.IsSorted(m[:]) || m[255] != 1 {
			t.Errorf("%s: not ascending to 1: %v", name, m)
		}
		if !slices.Contains(m[:], 0) {
			t.Errorf("%s: has no zero", name)
		}
	}
	if Signed()[0] >= 0 || Unsigned()[0] != 0 {
		t.Errorf("least levels %v and %v, want a negative one and 0", Signed()[0], Unsigned()[0])
	}
}

// Every code is the nearest level, checked by trying them all.
func TestQuantizeTakesTheNearest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	x := make([]float32, 3*Size+17)
	for i := range x {
		x[i] = float32(r.NormFloat64() * math.Pow(10, -6*r.Float64()))
	}
	clear(x[Size : 2*Size]) // a block of zeros
	codes, scales, back := make([]uint8, len(x)), make([]float32, Blocks(len(x))), make([]float32, len(x))
	m := Signed()
	m.Quantize(codes, scales, x)
	m.Dequantize(back, codes, scales)
	for i, v := range x {
		best := math.Inf(1)
		for _, l := range m {
			best = min(best, math.Abs(float64(l*scales[i/Size])-float64(v)))
		}
		if got := math.Abs(float64(back[i]) - float64(v)); got > best*(1+1e-4)+1e-9 {
			t.Fatalf("value %d, %v: came back %v away, the nearest level is %v away", i, v, got, best)
		}
	}
	if scales[1] != 0 || back[Size] != 0 {
		t.Errorf("zeros have scale %v and come back as %v", scales[1], back[Size])
	}
	if len(scales) != 4 {
		t.Errorf("%d blocks, want 4", len(scales))
	}
}
