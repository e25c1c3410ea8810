package train

import (
	"testing"
)

// BenchmarkSampleStudents times steps of the sample recipe's two students, side by side:
// 24 steps of the warm-up, or of routing with peers.
func BenchmarkSampleStudents(b *testing.B) {
	decoded, errs := TrainMoE.Decode(nil)
	if len(errs) > 0 {
		b.Fatal(errs)
	}
	cfg := decoded.Value().(trainConfig)
	for _, routed := range []bool{false, true} {
		name, steps := "warmup", 24
		if routed {
			name = "routed"
		}
		b.Run(name, func(b *testing.B) {
			tr, _, err := newTrainer(b.Context(), cfg.plan(), 1, openCPU, testPaths(b, 100))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(tr.close)
			pass := func() {
				tr.step = 0
				if !routed {
					_, err = tr.plain(b.Context(), &tr.warmupOrder, 0, steps)
				}
				for n := 0; routed && n < steps && err == nil; n++ {
					_, err = tr.routedStep(n)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			pass()
			var before int64
			for _, s := range tr.students {
				before += s.count.real
			}
			for b.Loop() {
				pass()
			}
			var tokens int64
			for _, s := range tr.students {
				tokens += s.count.real
			}
			b.ReportMetric(float64(b.N*steps)/b.Elapsed().Seconds(), "steps/s")
			b.ReportMetric(float64(tokens-before)/b.Elapsed().Seconds(), "tok/s")
		})
	}
}
