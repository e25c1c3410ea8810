package graph_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
)

// generated is a recipe of n stages in chains of ten, each with a few fields.
func generated(n int) []byte {
	var b strings.Builder
	b.WriteString("params: {epochs: 3}\nstages:\n")
	for i := range n {
		switch i % 10 {
		case 0:
			fmt.Fprintf(&b, "  s%d: {uses: scan, with: {root: .}}\n", i)
		case 9:
			fmt.Fprintf(&b, "  s%d:\n    uses: train-moe\n    from: s%d\n    with: {students: [{name: a, lr: 0.01}], epochs: \"${{ params.epochs }}\", device: cpu}\n", i, i-1)
		default:
			fmt.Fprintf(&b, "  s%d: {uses: verify-math, from: s%d}\n", i, i-1)
		}
	}
	return []byte(b.String())
}

// matrices is a recipe whose n stages are the legs of ten matrices.
func matrices(n int) []byte {
	var b strings.Builder
	b.WriteString("stages:\n")
	axis := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(numbers(n/10))), ", "), "[]")
	for i := range 10 {
		if i == 0 {
			fmt.Fprintf(&b, "  m0: {uses: scan, matrix: {seed: [%s]}, with: {root: .}}\n", axis)
		} else {
			fmt.Fprintf(&b, "  m%d: {uses: train-moe, from: m0, matrix: {seed: [%s]}, with: {epochs: \"${{ matrix.seed %% 100 }}\", students: [{name: a}]}}\n", i, axis)
		}
	}
	return []byte(b.String())
}

func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// BenchmarkLoad parses and binds large recipes; live-MB is the heap that the
// bound graph keeps.
func BenchmarkLoad(b *testing.B) {
	reg := registry(b)
	for name, src := range map[string][]byte{"written-2000": generated(2000), "matrix-2000": matrices(2000)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var g *graph.Graph
			for b.Loop() {
				r, diags := recipe.Parse("r.yaml", src, recipe.Options{})
				bound, more := graph.Build(r, reg)
				if diags.Add(more...); diags.HasErrors() {
					b.Fatal(diags[0])
				}
				g = bound
			}
			b.StopTimer()
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapAlloc)/1e6, "live-MB")
			runtime.KeepAlive(g)
		})
	}
}
