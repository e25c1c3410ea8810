package view

import (
	"math"
	"testing"
)

func TestSparkline(t *testing.T) {
	var falling []float64
	for i := range 120 {
		falling = append(falling, float64(-i))
	}
	for _, tc := range []struct {
		values []float64
		want   string
	}{
		{nil, ""},
		{[]float64{1}, ""},
		{[]float64{math.NaN(), 1, math.Inf(1)}, ""},
		{[]float64{8, 1}, "█▁"},
		{[]float64{2, 2, 2}, "▁▁▁"},
		{[]float64{0, 1, 2, 3, 4, 5, 6, 7}, "▁▂▃▄▅▆▇█"},
		{falling, "█▇▇▆▅▅▄▄▃▂▂▁"},
		{[]float64{-math.MaxFloat64, math.MaxFloat64}, "▁█"},
	} {
		if got := sparkline(tc.values); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.values, got, tc.want)
		}
	}
}
