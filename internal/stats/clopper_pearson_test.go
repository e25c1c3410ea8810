package stats

import (
	"math"
	"testing"
)

// The expected intervals are the printed values of method 5 in Newcombe (1998), table I, and
// for no or all successes the closed form 1 - 0.025^(1/n).
func TestClopperPearson(t *testing.T) {
	none := 1 - math.Pow(0.025, 1./50)
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{81, 263, 0.2527, 0.3676},
		{15, 148, 0.0578, 0.1617},
		{0, 20, 0, 0.1684},
		{1, 29, 0.0009, 0.1776},
		{0, 50, 0, none},
		{50, 50, 1 - none, 1},
		{0, 0, 0, 1},
		{-1, 50, 0, none},
		{51, 50, 1 - none, 1},
	} {
		low, high := ClopperPearson(c.k, c.n)
		if math.Abs(low-c.low) > 5e-5 || math.Abs(high-c.high) > 5e-5 {
			t.Errorf("ClopperPearson(%d, %d) = [%.4f, %.4f], want [%.4f, %.4f]", c.k, c.n, low, high, c.low, c.high)
		}
	}
	if low, high := ClopperPearson(0, 7); low != 0 || high >= 1 {
		t.Errorf("of nothing: [%v, %v]", low, high)
	}
}
