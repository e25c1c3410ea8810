package flow_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow"
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

// BenchmarkCached loads, and plans or runs, recipes whose results are all
// cached: what `distillflow plan` and `run` do when nothing has changed. The
// largest takes half a minute to prepare, and half a GB of disk.
func BenchmarkCached(b *testing.B) {
	for _, n := range []int{200, 2000} {
		if n > 1000 && testing.Short() {
			continue
		}
		w := newBench(b, "name: later")
		if dir := os.Getenv("DISTILLFLOW_BENCH_DIR"); dir != "" {
			// A folder that stays, to look at the large case more than once.
			w.dir = dir + "/" + strconv.Itoa(n)
			if err := os.MkdirAll(w.dir, 0o777); err != nil {
				b.Fatal(err)
			}
			if _, err := os.Stat(w.path("words.txt")); err != nil {
				w.write("words.txt", "one\ntwo\nthree\n")
			}
		}
		w.write("recipe.yaml", wide(n))
		run := func(b *testing.B) {
			res, err := w.eng.Run(context.Background(), w.graph(), flow.RunOptions{})
			if err != nil {
				b.Fatal(err)
			}
			if err := res.Close(); err != nil {
				b.Fatal(err)
			}
		}
		run(b)
		measure := func(name string, use func(b *testing.B)) {
			b.Run(fmt.Sprintf("%s-%d", name, n), func(b *testing.B) {
				resetPeak()
				for b.Loop() {
					use(b)
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/stage")
				if peak, ok := peakMemory(); ok {
					b.ReportMetric(peak/1e6, "MB-peak-RSS")
				}
			})
		}
		measure("load", func(*testing.B) { w.graph() })
		measure("plan", func(b *testing.B) {
			p, err := w.eng.Plan(context.Background(), w.graph(), flow.RunOptions{})
			if err != nil {
				b.Fatal(err)
			}
			for _, s := range p.Steps {
				if s.Status != "hit" {
					b.Fatalf("%s: %s: %s", s.Node.Name, s.Status, s.Reason)
				}
			}
		})
		measure("run", run)
	}
}

// resetPeak makes peakMemory start anew, where the system can (Linux).
func resetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// peakMemory is the largest resident size of this process in bytes.
func peakMemory() (float64, bool) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	_, rest, ok := bytes.Cut(status, []byte("VmHWM:"))
	if !ok {
		return 0, false
	}
	kb, err := strconv.ParseFloat(string(bytes.Fields(rest)[0]), 64)
	return kb * 1024, err == nil
}

// BenchmarkExecute measures the engine's overhead on trivial stages that run.
func BenchmarkExecute(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			text := wide(n)
			for b.Loop() {
				b.StopTimer()
				w := newBench(b, text)
				g := w.graph()
				b.StartTimer()
				res, err := w.eng.Run(context.Background(), g, flow.RunOptions{})
				if err != nil {
					b.Fatal(err)
				}
				if err := res.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/stage")
		})
	}
}
