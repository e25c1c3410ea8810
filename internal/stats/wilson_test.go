package stats

import (
	"math"
	"testing"
)

// The expected intervals are the printed values of method 3 in Newcombe (1998),
// table I.
func TestWilsonPublished(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{81, 263, 0.2553, 0.3662},
		{15, 148, 0.0624, 0.1605},
		{0, 20, 0, 0.1611},
		{1, 29, 0.0061, 0.1718},
	} {
		low, high := Wilson(c.k, c.n, Z95)
		if math.Abs(low-c.low) > 5e-5 || math.Abs(high-c.high) > 5e-5 {
			t.Errorf("Wilson(%d, %d) = [%.4f, %.4f], want [%.4f, %.4f]", c.k, c.n, low, high, c.low, c.high)
		}
	}
}

func TestWilsonProperties(t *testing.T) {
	for n := 1; n <= 60; n++ {
		prevLow, prevHigh := -1.0, -1.0
		for k := 0; k <= n; k++ {
			low, high := Wilson(k, n, Z95)
			p := float64(k) / float64(n)
			if low < 0 || high > 1 || low > p || high < p || low >= high {
				t.Fatalf("Wilson(%d, %d) = [%v, %v] does not enclose %v within [0, 1]", k, n, low, high, p)
			}
			if low <= prevLow || high <= prevHigh {
				t.Fatalf("Wilson(%d, %d) = [%v, %v] does not rise with k", k, n, low, high)
			}
			prevLow, prevHigh = low, high
			mLow, mHigh := Wilson(n-k, n, Z95)
			if math.Abs(mLow-(1-high)) > 1e-12 || math.Abs(mHigh-(1-low)) > 1e-12 {
				t.Fatalf("Wilson(%d, %d) is not the mirror of Wilson(%d, %d)", k, n, n-k, n)
			}
			if l4, h4 := Wilson(4*k, 4*n, Z95); h4-l4 >= high-low {
				t.Fatalf("four times the trials do not narrow the interval of %d/%d", k, n)
			}
		}
	}
}

func TestWilsonEdges(t *testing.T) {
	if low, high := Wilson(0, 0, Z95); low != 0 || high != 1 {
		t.Errorf("without trials: [%v, %v], want [0, 1]", low, high)
	}
	if low, _ := Wilson(-3, 10, Z95); low != 0 {
		t.Errorf("a negative count must clamp to 0, got low %v", low)
	}
	if _, high := Wilson(11, 10, Z95); high != 1 {
		t.Errorf("a count above n must clamp to n, got high %v", high)
	}
}
