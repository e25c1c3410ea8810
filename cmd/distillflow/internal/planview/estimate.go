package planview

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
)

// EstimateText is what a stage that has yet to run will take, as far as it can
// tell: "4 shards, 100 rows, 580 requests, 20 answers from the memo, 0.12 to 0.4 USD".
func EstimateText(s plan.Step) string {
	if s.Status == plan.Hit || s.Status == plan.Skip {
		return ""
	}
	if s.EstimateError != nil {
		return fmt.Sprintf("no estimate: %v", s.EstimateError)
	}
	e := s.Estimate
	var parts []string
	if n := s.Node.Stage.Shards; n > 1 {
		parts = append(parts, fmt.Sprintf("%d shards", n))
	}
	if r := s.Rows(); r != nil && r.Max > 0 {
		parts = append(parts, counted(*r, "row", "rows"))
	}
	if f := figures(e); f != "" {
		parts = append(parts, f)
	}
	return strings.Join(parts, ", ")
}

// figures is what a stage will pay and how long it takes.
func figures(e stage.Estimate) string {
	var parts []string
	add := func(r *stage.Range, one, many string) {
		if r != nil && r.Max > 0 {
			parts = append(parts, counted(*r, one, many))
		}
	}
	add(e.Requests, "request", "requests")
	add(e.MemoHits, "answer from the memo", "answers from the memo")
	add(e.Tokens, "token", "tokens")
	add(e.USD, "USD", "USD")
	if e.Seconds != nil && e.Seconds.Max >= 1 { // less is not worth a word
		add(e.Seconds, "s", "s")
	}
	return strings.Join(parts, ", ")
}

// counted is a figure with its noun.
func counted(r stage.Range, one, many string) string {
	if r.Min == 1 && r.Max == 1 {
		return "1 " + one
	}
	return rangeText(r) + " " + many
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

// Total adds up what the stages that have yet to run will pay: "to pay: 600 requests,
// 0.12 to 0.4 USD". It is "" if none of them told; "at least" stands for those among them
// that cannot tell.
func Total(p *plan.Plan) string {
	var sum stage.Estimate
	open, some := false, false
	add := func(to **stage.Range, r *stage.Range) {
		switch {
		case r == nil:
		case *to == nil:
			*to = r
		default:
			*to = (*to).Plus(r)
		}
	}
	for _, s := range p.Steps {
		if s.Status != plan.Run && s.Status != plan.Wait || s.Node.Type.Class != stage.Sampled {
			continue
		}
		e := s.Estimate
		if e.Requests == nil {
			open = true
			continue
		}
		some = some || e.Requests.Max > 0
		// A sum without one of its parts would be too small.
		open = open || e.Requests.Max > 0 && (e.Tokens == nil || e.USD == nil)
		add(&sum.Requests, e.Requests)
		add(&sum.Tokens, e.Tokens)
		add(&sum.USD, e.USD)
	}
	if !some {
		return ""
	}
	text := figures(sum)
	if open {
		return "to pay: at least " + text
	}
	return "to pay: " + text
}

// Hint says how to learn more of a plan, or is "".
func Hint(p *plan.Plan) string {
	if len(p.Free()) == 0 {
		return ""
	}
	return "`plan --estimate` first runs what costs nothing, and estimates the rest"
}
