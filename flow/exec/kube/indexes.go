package kube

import (
	"strconv"
	"strings"
)

// inIndexes reports whether a job's list of indexes, such as 1,3-5, has one.
func inIndexes(text string, index int) bool {
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, err := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		if err == nil && err2 == nil && a <= index && index <= b {
			return true
		}
	}
	return false
}
