package flow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/recipe"
)

// wide makes a recipe of n stages in chains of ten.
func wide(n int) string {
	var s strings.Builder
	s.WriteString("stages:\n  s0: {uses: read, with: {file: words.txt}}\n")
	for i := 1; i < n; i++ {
		from := i - 1
		if i%10 == 1 {
			from = 0
		}
		fmt.Fprintf(&s, "  s%d: {uses: map, from: s%d, with: {suffix: \"-%d\"}}\n", i, from, i)
	}
	return s.String()
}

// BenchmarkPlanCached1000 loads and plans a recipe of 1,000 stages whose results
// are all cached: what `distillflow plan` does.
func BenchmarkPlanCached1000(b *testing.B) { benchmarkPlan(b, 1000) }

func benchmarkPlan(b *testing.B, n int) {
	w := newBench(b, wide(n))
	w.mustRunAny()
	b.ResetTimer()
	for b.Loop() {
		g, _, diags := w.eng.Load(w.path("recipe.yaml"), recipe.Options{})
		if diags.HasErrors() {
			b.Fatal(diags)
		}
		p, err := w.eng.Plan(context.Background(), g, flow.RunOptions{})
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range p.Steps {
			if s.Status != "hit" {
				b.Fatalf("%s: %s: %s", s.Node.Name, s.Status, s.Reason)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/stage")
}

// BenchmarkRunCached1000 runs the same recipe when nothing is left to do.
func BenchmarkRunCached1000(b *testing.B) {
	w := newBench(b, wide(1000))
	w.mustRunAny()
	b.ResetTimer()
	for b.Loop() {
		g, _, _ := w.eng.Load(w.path("recipe.yaml"), recipe.Options{})
		res, err := w.eng.Run(context.Background(), g, flow.RunOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if err := res.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkExecute measures the engine's overhead on trivial stages.
func BenchmarkExecute(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := newBench(b, wide(1000))
		b.StartTimer()
		w.mustRunAny()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "µs/stage")
}
