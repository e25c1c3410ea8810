package providers

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/internal/llm"
)

// TestTallyOfPartOfTheRows: requests of rows that were not looked at cost as much as the
// others, or nothing.
func TestTallyOfPartOfTheRows(t *testing.T) {
	free := &Caller{links: []*link{{price: &llm.Price{}}}}
	paid := llm.Charge{Requests: 60, Tokens: 600, USD: 6}
	got := (&Tally{caller: free, rows: 50, looked: 100, hits: 40, least: paid, most: paid, cut: true}).Totals(100)
	want := Totals{MemoHits: &Bounds{40, 140}, Requests: &Bounds{60, 160}, Tokens: &Bounds{600, 1600}, USD: &Bounds{6, 16}}
	near := cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })
	if d := cmp.Diff(want, got, near); d != "" {
		t.Error(d)
	}
	got = (&Tally{caller: free, rows: 50, looked: 100, hits: 100, cut: true}).Totals(100)
	if *got.Requests != (Bounds{0, 100}) || got.Tokens != nil {
		t.Errorf("nothing to go by: %+v", got)
	}
}
