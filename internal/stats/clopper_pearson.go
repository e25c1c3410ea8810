package stats

import "math"

// ClopperPearson is the exact 95 % interval for a proportion of which k of n trials succeeded:
// the rates at which k or more, and k or fewer, have a chance of 2.5 % (C. J. Clopper and
// E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
// binomial", Biometrika 26 (1934) 404-413; method 5 in Newcombe, see [Wilson]). It holds the
// rate in 95 % of all samples or more, also for rare events, where [Wilson]'s lower limit
// lies too high. Its time grows with n.
//
// Without trials nothing is known: the interval is [0, 1]. k is clamped to [0, n].
func ClopperPearson(k, n int) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	k = min(max(k, 0), n)
	return 1 - exactUpper(n-k, n), exactUpper(k, n)
}

// exactUpper is the rate at which k or fewer of n trials succeed with a chance of 2.5 %.
func exactUpper(k, n int) float64 {
	if k == n {
		return 1
	}
	low, high := 0.0, 1.0
	for range 60 {
		if p := (low + high) / 2; atMost(k, n, p) > 0.025 {
			low = p
		} else {
			high = p
		}
	}
	return low
}

// atMost is the chance of k or fewer successes in n trials at a rate within (0, 1).
func atMost(k, n int, p float64) float64 {
	logFactorial := func(k int) float64 { v, _ := math.Lgamma(float64(k) + 1); return v }
	sum := 0.0
	for i := range k + 1 {
		sum += math.Exp(logFactorial(n) - logFactorial(i) - logFactorial(n-i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	return sum
}
