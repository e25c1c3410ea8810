package stats

import (
	"math"
	"testing"
)

func TestSignFlip(t *testing.T) {
	// Fisher's example, Darwin's maize in eighths of an inch: of 32,768 patterns 863 reach
	// 314, and as many -314 (The Design of Experiments, section 21).
	maize := []float64{49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48}
	for name, c := range map[string]struct {
		d []float64
		p float64
	}{
		"nothing":         {nil, 1},
		"no difference":   {[]float64{0, 0, 0}, 1},
		"one":             {[]float64{3}, 1},
		"all one way":     {[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 2. / 1024},
		"the other way":   {[]float64{-1, -2, -3, -4, -5, -6, -7, -8, -9, -10}, 2. / 1024},
		"a zero":          {[]float64{0, 1, 1, 1}, 4. / 16},
		"one against":     {[]float64{-1, 2, 3}, 4. / 8},        // 4 of ±6, ±4, ±2, 0: the sums ±6 and ±4
		"sums that round": {[]float64{-0.6, -0.5, 0.5}, 6. / 8}, // all but those of ±0.4
		"Fisher":          {maize, 2 * 863. / 32768},
	} {
		if p := SignFlip(c.d); math.Abs(p-c.p) > 1e-12 {
			t.Errorf("%s: p = %v, want %v", name, p, c.p)
		}
	}
}

// With many pairs p is near that of the normal distribution: here z is 2.
func TestSignFlipOfManyPairs(t *testing.T) {
	var d []float64
	for i := range 100 {
		d = append(d, 1)
		if i < 40 {
			d[i] = -1
		}
	}
	// P(B <= 40 or B >= 60) of 100 fair coins is 0.0569.
	if p := SignFlip(d); math.Abs(p-0.0569) > 0.003 || p != SignFlip(d) {
		t.Errorf("p = %v, again %v, want 0.0569", p, SignFlip(d))
	}
	if p := SignFlip(make([]float64, 30)); p != 1 {
		t.Errorf("30 pairs without a difference: p = %v", p)
	}
}
