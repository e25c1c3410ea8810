package stats

import "math"

// Part is K successes of N trials in one part of a whole, and the part's Weight, such as its
// share.
type Part struct {
	Weight float64
	K, N   int
}

// Weighted is the sum of the parts' proportions by their weights, and its interval: the rate
// of a whole from a stratified sample. interval gives those of the parts, [ClopperPearson] or
// [Wilson] at a level; the method of variance estimates recovery makes one of the sum at the
// same level (G. Y. Zou, W. Huang and X. Zhang, "A note on confidence interval estimation for
// a linear function of binomial proportions", Computational Statistics and Data Analysis 53
// (2009) 1080-1085). It has width where no trial succeeds, keeps to [0, 1] for weights that
// sum to 1, and is the part's own for one part. A weight below 0 takes a part off: 1 and -1
// with Wilson give Newcombe's interval of a difference.
//
// A part without trials counts as 1/2, anywhere in [0, 1].
func Weighted(parts []Part, interval func(k, n int) (low, high float64)) (sum, low, high float64) {
	var down, up float64
	for _, p := range parts {
		rate := 0.5
		if p.N > 0 {
			rate = float64(min(max(p.K, 0), p.N)) / float64(p.N)
		}
		l, u := interval(p.K, p.N)
		below, above := p.Weight*(rate-l), p.Weight*(u-rate)
		if p.Weight < 0 {
			below, above = above, below
		}
		sum += p.Weight * rate
		down += below * below
		up += above * above
	}
	return sum, sum - math.Sqrt(down), sum + math.Sqrt(up)
}
