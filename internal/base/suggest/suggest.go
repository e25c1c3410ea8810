// Package suggest finds the name that was probably meant.
package suggest

import (
	"strings"
)

// maxSuggestLen keeps hostile names from costing quadratic time.
const maxSuggestLen = 64

// Near returns the candidate nearest to name by the optimal string alignment
// distance (Damerau-Levenshtein without a second edit of a transposed pair),
// compared without regard to case and with '_' equal to '-'. It returns "" when
// no candidate lies within a third of the longer name's length (rounded, at most
// 3 edits; names of one letter have no near ones). A candidate that name begins, or that ends in name, counts as near:
// "math" finds "verify-math". The first of equally near candidates wins.
func Near(name string, candidates []string) string { return near(name, candidates, 3, true) }

// Slip returns the candidate that name differs from by one edit or by case and
// '_' for '-' alone: near enough to be taken for it. Names of fewer than four
// letters are never near, because too many of them are. It returns "" when there
// is none.
func Slip(name string, candidates []string) string {
	if len(name) < 4 {
		return ""
	}
	return near(name, candidates, 1, false)
}

// near allows up to so many edits; words says whether a whole word of a candidate
// is near, too.
func near(name string, candidates []string, edits int, words bool) string {
	if name == "" || len(name) > maxSuggestLen {
		return ""
	}
	folded := fold(name)
	best, bestDist := "", 1<<30
	for _, c := range candidates {
		if c == "" || c == name || len(c) > maxSuggestLen {
			continue
		}
		fc := fold(c)
		limit := min(edits, (max(len(folded), len(fc))+1)/3)
		d := distance(folded, fc, limit)
		if words && d > limit && len(folded) >= 3 && (strings.HasPrefix(string(fc), string(folded)+"-") || strings.HasSuffix(string(fc), "-"+string(folded))) {
			d = limit // a whole word of the candidate: near, but behind a real near miss
		}
		if d <= limit && d < bestDist {
			best, bestDist = c, d
		}
	}
	return best
}

func fold(s string) []rune {
	return []rune(strings.ReplaceAll(strings.ToLower(s), "_", "-"))
}

// distance computes the optimal string alignment distance of a and b, or some
// number above limit when it exceeds limit.
func distance(a, b []rune, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		rowMin := cur[0]
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
			rowMin = min(rowMin, cur[j])
		}
		if rowMin > limit {
			return limit + 1
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
