package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func wilson95(k, n int) (low, high float64) { return Wilson(k, n, Z95) }

// With weights 1 and -1 the interval is method 10 in R. G. Newcombe, "Interval estimation for
// the difference between independent proportions", Statistics in Medicine 17 (1998) 873-890,
// whose table II gives these values.
func TestWeightedDifference(t *testing.T) {
	for _, c := range []struct {
		a, b      Part
		low, high float64
	}{
		{Part{1, 56, 70}, Part{-1, 48, 80}, 0.0524, 0.3339},
		{Part{1, 9, 10}, Part{-1, 3, 10}, 0.1705, 0.8090},
		{Part{1, 10, 10}, Part{-1, 0, 20}, 0.6791, 1},
		{Part{1, 10, 10}, Part{-1, 0, 10}, 0.6075, 1},
	} {
		_, low, high := Weighted([]Part{c.a, c.b}, wilson95)
		if math.Abs(low-c.low) > 5e-5 || math.Abs(high-c.high) > 5e-5 {
			t.Errorf("%+v, %+v: [%.4f, %.4f], want [%.4f, %.4f]", c.a, c.b, low, high, c.low, c.high)
		}
	}
}

func TestWeightedSum(t *testing.T) {
	wl, wh := ClopperPearson(3, 50)
	if p, low, high := Weighted([]Part{{1, 3, 50}}, ClopperPearson); p != 0.06 || math.Abs(low-wl) > 1e-12 || math.Abs(high-wh) > 1e-12 {
		t.Errorf("of one part: %v [%v, %v], want its own [%v, %v]", p, low, high, wl, wh)
	}
	if _, low, high := Weighted([]Part{{0.5, 0, 20}, {0.5, 0, 20}}, ClopperPearson); low != 0 || high <= 0.09 || high >= 0.16 {
		t.Errorf("without successes: [%v, %v]", low, high)
	}
	if p, low, high := Weighted([]Part{{1, 0, 0}}, ClopperPearson); p != 0.5 || low != 0 || high != 1 {
		t.Errorf("without trials: %v [%v, %v]", p, low, high)
	}
}

// Of samples of 25 from each of four parts the interval holds the rate of the whole in 95 %.
// With Wilson's it were 91 %.
func TestWeightedCoverage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	rates, weights := []float64{0.01, 0.05, 0.1, 0.02}, []float64{0.4, 0.3, 0.1, 0.2}
	truth := 0.0
	for i := range rates {
		truth += rates[i] * weights[i]
	}
	held := 0
	const times = 4000
	limits := map[[2]int][2]float64{}
	exact := func(k, n int) (low, high float64) {
		v, ok := limits[[2]int{k, n}]
		if !ok {
			v[0], v[1] = ClopperPearson(k, n)
			limits[[2]int{k, n}] = v
		}
		return v[0], v[1]
	}
	for range times {
		parts := make([]Part, len(rates))
		for i := range parts {
			parts[i] = Part{weights[i], 0, 25}
			for range parts[i].N {
				if r.Float64() < rates[i] {
					parts[i].K++
				}
			}
		}
		if _, low, high := Weighted(parts, exact); low <= truth && truth <= high {
			held++
		}
	}
	if share := float64(held) / times; share < 0.94 {
		t.Errorf("the interval holds the rate in %.1f %%", 100*share)
	}
}
