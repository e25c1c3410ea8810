package llmstage

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
)

// Requests of rows that were not looked at cost as much as the others, or nothing.
func TestEstimateOfPartOfTheRows(t *testing.T) {
	paid := llm.Charge{Requests: 60, Tokens: 600, USD: 6}
	s := sums{rows: 50, looked: 100, hits: 40, least: paid, most: paid, cut: true}
	want := stage.Estimate{MemoHits: &stage.Range{Min: 40, Max: 140}, Requests: &stage.Range{Min: 60, Max: 160},
		Tokens: &stage.Range{Min: 600, Max: 1600}, USD: &stage.Range{Min: 6, Max: 16}}
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
	if d := cmp.Diff(want, s.estimate(100, true), near); d != "" {
		t.Error(d)
	}
	s = sums{rows: 50, looked: 100, hits: 100, cut: true}
	if got := s.estimate(100, true); *got.Requests != (stage.Range{Max: 100}) || got.Tokens != nil {
		t.Errorf("nothing to go by: %+v", got)
	}
}
