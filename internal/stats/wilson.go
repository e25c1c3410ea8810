package stats

import "math"

// Z95 is the 0.975 quantile of the standard normal distribution: with it
// [Wilson] gives a two-sided 95 % interval.
const Z95 = 1.959963984540054

// Wilson is the score interval for a proportion of which k of n trials
// succeeded; z is the normal quantile, such as [Z95]. It is used instead of the
// textbook p ± z·sqrt(p(1-p)/n) because that one has no width at 0 and n
// successes and leaves [0, 1] near them. The interval without continuity
// correction, from E. B. Wilson, "Probable inference, the law of succession, and
// statistical inference", JASA 22 (1927) 209-212; method 3 in R. G. Newcombe,
// "Two-sided confidence intervals for the single proportion", Statistics in
// Medicine 17 (1998) 857-872.
//
// Without trials nothing is known: the interval is [0, 1]. k is clamped to
// [0, n].
func Wilson(k, n int, z float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	k = min(max(k, 0), n)
	p, m, z2 := float64(k)/float64(n), float64(n), z*z
	centre := (p + z2/(2*m)) / (1 + z2/m)
	half := z / (1 + z2/m) * math.Sqrt(p*(1-p)/m+z2/(4*m*m))
	low, high = math.Max(0, centre-half), math.Min(1, centre+half)
	// At the ends centre and half are equal; rounding must not show.
	if k == 0 {
		low = 0
	}
	if k == n {
		high = 1
	}
	return low, high
}
