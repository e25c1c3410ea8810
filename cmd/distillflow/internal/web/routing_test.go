package web

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/schema"
)

func TestDecisions(t *testing.T) {
	got := decisions("students.router_log", []schema.RouterDecision{
		{Epoch: 1, Step: 7, Student: "b", Probs: map[string]float64{"b": 0.75, "a": 0.25}, Losses: map[string]float64{"b": 1, "a": 2}},
		{Epoch: 2, Step: 9, Student: "a", Probs: map[string]float64{"a": 1}},
	})
	want := [][]string{{"b", "1", "7", "0.250", "0.750", "2.000", "1.000"}, {"a", "2", "9", "1.000", "", "", ""}}
	if d := cmp.Diff(want, got.Rows); d != "" || len(got.Head) != 7 || got.Head[3] != "p(a)" || got.Head[6] != "loss b" {
		t.Errorf("%v\n%s", got.Head, d)
	}
}

// Names of stages may hold anything; links of their pages lead back to them.
func TestLinks(t *testing.T) {
	v := recordsView{Base: "/runs/x/records/a%2Fb%20c/rows", Query: query{Text: "1 + 1"}}
	if got := v.link(&place{7, 1}, "8.0"); got != "/runs/x/records/a%2Fb%20c/rows?at=7.1&q=1+%2B+1&sel=8.0" {
		t.Error(got)
	}
}
