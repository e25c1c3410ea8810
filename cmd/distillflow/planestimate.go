package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
)

// estimateText is what a stage that has yet to run will take, as far as it can
// tell: "100 rows; 600 requests (20 more are paid for), 0.12-0.4 USD".
func estimateText(s plan.Step) string {
	if s.Status == plan.Hit || s.Status == plan.Skip {
		return ""
	}
	if s.EstimateError != nil {
		return fmt.Sprintf("no estimate: %v", s.EstimateError)
	}
	e := s.Estimate
	var parts []string
	add := func(r *stage.Range, unit string) {
		if r != nil && r.Max > 0 {
			parts = append(parts, rangeText(*r)+" "+unit)
		}
	}
	add(s.Rows(), "rows")
	add(e.Requests, "requests")
	add(e.MemoHits, "answers from the memo")
	add(e.Tokens, "tokens")
	add(e.USD, "USD")
	add(e.Seconds, "s")
	return strings.Join(parts, ", ")
}

func rangeText(r stage.Range) string {
	lo, hi := number(r.Min), number(r.Max)
	if lo == hi {
		return lo
	}
	return lo + " to " + hi
}

// number writes a figure with the digits that matter: whole above a hundred, two
// significant ones below.
func number(v float64) string {
	if v >= 100 || v == float64(int64(v)) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}
