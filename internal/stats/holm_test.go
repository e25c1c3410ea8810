package stats

import (
	"math"
	"testing"
)

func TestHolm(t *testing.T) {
	for name, c := range map[string]struct{ p, want []float64 }{
		"none": {nil, nil},
		"one":  {[]float64{0.04}, []float64{0.04}},
		// 4 times 0.005; 3 times 0.01; 2 times 0.03; 0.04 alone, but not below the one before.
		"four":          {[]float64{0.01, 0.04, 0.03, 0.005}, []float64{0.03, 0.06, 0.06, 0.02}},
		"equal":         {[]float64{0.02, 0.02}, []float64{0.04, 0.04}},
		"never above 1": {[]float64{0.9, 0.6}, []float64{1, 1}},
	} {
		got := Holm(c.p)
		for i := range c.want {
			if len(got) != len(c.want) || math.Abs(got[i]-c.want[i]) > 1e-12 {
				t.Errorf("%s: %v, want %v", name, got, c.want)
				break
			}
		}
	}
}
