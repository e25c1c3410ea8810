package stats

import "math"

// McNemar is the two-sided p-value of McNemar's exact test: of the trials that two systems
// disagree on, b went to one and c to the other, and by chance each goes to either. It is
// the binomial test of b in b+c (Q. McNemar, "Note on the sampling error of the difference
// between correlated proportions or percentages", Psychometrika 12 (1947) 153-157), and 1
// where they never disagree.
func McNemar(b, c int) float64 {
	n := b + c
	logFactorial := func(k int) float64 { v, _ := math.Lgamma(float64(k) + 1); return v }
	var p float64
	for k := range min(b, c) + 1 {
		p += math.Exp(logFactorial(n) - logFactorial(k) - logFactorial(n-k) - float64(n)*math.Ln2)
	}
	return min(1, 2*p)
}
