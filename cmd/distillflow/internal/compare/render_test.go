package compare

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
)

// What models and recipes brought along cannot move a cursor, break a table or run.
func TestRenderHostileText(t *testing.T) {
	evil := "<script>x</script>|`a`\n\x1b[2J[k](javascript:y) $z$ **b** & \u202e"
	share := share(1, 2)
	rate := 0.25
	c := &Comparison{
		Runs:    []Head{{Name: "A", ID: "1", Recipe: evil}, {Name: "B", ID: "2", Cost: runrecord.Cost{USD: 0.5}}},
		Params:  []Param{{Name: "params.p", Values: []json.RawMessage{quoted(evil), nil}}},
		Stages:  []Stage{{Run: "B", Stage: evil, Change: "changed", Why: []string{evil}}},
		Metrics: []Metric{{Output: "e.scores", Task: evil, System: evil, Values: []*Share{&share, nil}}},
		Tests:   []Test{{Run: "B", Stage: "graded", Group: evil, OnlyB: 3}},
		Routing: []Route{{Output: "r.table", Style: evil, Student: evil, Values: []*float64{nil, &rate}}},
		Flips:   []Flip{{Run: "B", ID: evil, Gold: evil, Replicate: 2, A: Verdict{Pred: evil, Reason: evil}}},
		Gone:    []string{evil},
	}
	var plain, md strings.Builder
	if err := c.Text(&plain); err != nil {
		t.Fatal(err)
	}
	if err := c.Markdown(&md); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"text": plain.String(), "markdown": md.String()} {
		if strings.ContainsAny(got, "\x1b\u202e") || strings.Contains(got, "\n[") {
			t.Errorf("%s: %q", name, got)
		}
		if !strings.Contains(got, "50.0 (9.5 to 90.5)") || !strings.Contains(got, "25.0 %") || !strings.Contains(got, "$0.5") && !strings.Contains(got, "&#36;0.5") || !strings.Contains(got, "no answer") {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, part := range []string{"<script", "**b", "[k", "`a"} {
		if strings.Contains(md.String(), part) {
			t.Errorf("markdown holds %s:\n%s", part, md.String())
		}
	}
	tables := 0
	for line := range strings.Lines(md.String()) {
		if strings.HasPrefix(line, "|:---") {
			tables++
		}
	}
	if tables != 7 {
		t.Errorf("%d tables:\n%s", tables, md.String())
	}
}
