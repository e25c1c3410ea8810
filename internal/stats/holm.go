package stats

import (
	"cmp"
	"slices"
)

// Holm gives the p-values of a family of tests, each adjusted so that rejecting all that are
// at most a keeps the chance of any false rejection at a. With m tests the k-th smallest p
// becomes the largest of (m-j+1) times the j-th smallest for j up to k, and 1 at the most
// (S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
// of Statistics 6 (1979) 65-70). The order of the tests stays.
func Holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	out := make([]float64, len(p))
	floor := 0.0
	for k, i := range order {
		floor = min(1, max(floor, float64(len(p)-k)*p[i]))
		out[i] = floor
	}
	return out
}
