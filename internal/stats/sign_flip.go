package stats

import (
	"math"
	"math/rand/v2"
)

const (
	exactPairs  = 20      // up to so many, SignFlip goes through all patterns of signs
	randomFlips = 1 << 17 // beyond, it draws so many
)

// SignFlip is the two-sided p-value of the sign-flip permutation test of paired
// differences. If the two sides of a pair are alike, each difference is as likely with the
// other sign: p is the share of the 2^n patterns of signs whose sum is at least as far from
// 0 as the observed one. It assumes no normal distribution (R. A. Fisher, The Design of
// Experiments, 1935, section 21). The smallest p of n pairs is 2/2^n, so fewer than six
// never reach 0.05. For more than 20 pairs, p is (1+hits)/(1+N) of N patterns from a fixed
// generator. Without pairs, p is 1.
func SignFlip(differences []float64) float64 {
	var sum, size float64
	for _, d := range differences {
		sum += d
		size += math.Abs(d)
	}
	far := math.Abs(sum) - 1e-9*size // sums that are equal but for rounding count
	if n := len(differences); n <= exactPairs {
		return float64(farSums(differences, 0, far)) / float64(int(1)<<n)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	hits := 0
	for range randomFlips {
		s := 0.0
		for _, d := range differences {
			if rng.Uint64()&1 == 0 {
				d = -d
			}
			s += d
		}
		if math.Abs(s) >= far {
			hits++
		}
	}
	return float64(1+hits) / float64(1+randomFlips)
}

// farSums counts the patterns of signs with which sum and d add up to far or more from 0.
func farSums(d []float64, sum, far float64) int {
	if len(d) > 0 {
		return farSums(d[1:], sum+d[0], far) + farSums(d[1:], sum-d[0], far)
	}
	if math.Abs(sum) >= far {
		return 1
	}
	return 0
}
