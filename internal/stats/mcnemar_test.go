package stats

import (
	"math"
	"testing"
)

// The expected values are sums of binomial coefficients by hand: 2·(1+10+45)/1024 for 2 of 10.
func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		b, c int
		p    float64
	}{
		{0, 0, 1}, {1, 0, 1}, {3, 3, 1}, {0, 5, 2. / 32}, {8, 2, 112. / 1024}, {2, 8, 112. / 1024}, {6, 0, 2. / 64},
	} {
		if p := McNemar(c.b, c.c); math.Abs(p-c.p) > 1e-12 {
			t.Errorf("McNemar(%d, %d) = %v, want %v", c.b, c.c, p, c.p)
		}
	}
	if p := McNemar(40000, 41000); !(p > 0.0004 && p < 0.0005) { // z = 1000/sqrt(81000) = 3.51
		t.Errorf("for many trials p = %v", p)
	}
}
