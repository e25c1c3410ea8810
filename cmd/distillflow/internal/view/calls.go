package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/internal/base/text"
)

// calls prints the figures of a stage that asks a model, what costs money first: calls with
// those in flight and their rate, tokens, dollars so far and as projected, retries, errors
// by kind, and what is peculiar about the answers.
func calls(m map[string]float64) string {
	var parts []string
	add := func(format string, a ...any) { parts = append(parts, fmt.Sprintf(format, a...)) }
	msg := number(m["calls"]) + " calls"
	var now []string
	if n := m["in_flight"]; n > 0 {
		now = append(now, number(n)+" in flight")
	}
	if r := m["rate"] + m["calls_per_second"]; r > 0 {
		now = append(now, rate(r))
	}
	if len(now) > 0 {
		msg += " (" + strings.Join(now, ", ") + ")"
	}
	parts = append(parts, msg)
	if n := m["batches"]; n > 0 {
		add("%s batches", number(n))
	}
	if n := m["memo_hits"]; n > 0 {
		add("%s from the memo", number(n))
	}
	if n := m["tokens"] + m["prompt_tokens"] + m["completion_tokens"]; n > 0 {
		add("%s tokens", number(n))
	}
	switch usd, all := m["usd"], m["usd_projected"]; {
	case usd > 0 && all > usd:
		add("%s of about %s", dollars(usd), dollars(all))
	case usd > 0:
		add("%s", dollars(usd))
	}
	if n := m["retries"]; n > 0 {
		add("%s retries", number(n))
	}
	var kinds []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if kind, ok := strings.CutPrefix(name, "errors_"); ok && m[name] > 0 {
			kinds = append(kinds, text.OneLine(kind)+" "+number(m[name]))
		}
	}
	if len(kinds) > 0 {
		add("errors: %s", strings.Join(kinds, ", "))
	}
	for _, name := range []string{"failed", "empty", "truncated", "refused", "batch_unanswered", "unclear"} {
		if n := m[name]; n > 0 {
			add("%s %s", number(n), strings.ReplaceAll(name, "_", " "))
		}
	}
	return strings.Join(parts, ", ")
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

// dollars prints cents, and more digits of small sums.
func dollars(v float64) string {
	if v < 0.1 {
		return fmt.Sprintf("$%.4f", v)
	}
	return fmt.Sprintf("$%.2f", v)
}
