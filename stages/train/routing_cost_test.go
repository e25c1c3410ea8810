//go:build unix

package train

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkRoutingCost times steps of the sample recipe's two students in alternation: none
// trains both on all paths, the others are what else routes or teaches, on as many paths a
// step. It reports the processor time of each a step, and its ratio to none's. Alone on one
// processor: GOMAXPROCS=1 go test -run '^$' -bench RoutingCost -benchtime 10x ./stages/train
func BenchmarkRoutingCost(b *testing.B) {
	const steps = 20 // of which one is logged
	type arm struct {
		name string
		set  func(c *trainConfig)
		tr   *trainer
		used time.Duration
	}
	arms := []*arm{
		{name: "none", set: func(c *trainConfig) { c.Method = methodNone }},
		{name: "router", set: func(c *trainConfig) { c.Peer.Loss = new(peerNone) }},
		{name: "corrected", set: func(*trainConfig) {}},
		{name: "all+peers", set: func(c *trainConfig) { c.Router.Gate = new(gateAll) }},
	}
	for _, a := range arms {
		decoded, errs := TrainMoE.Decode(nil)
		if len(errs) > 0 {
			b.Fatal(errs)
		}
		cfg := decoded.Value().(trainConfig)
		cfg.WarmupSteps = 0
		a.set(&cfg)
		var err error
		if a.tr, _, err = newTrainer(b.Context(), cfg.plan(), 1, openCPU, testPaths(b, 100)); err != nil {
			b.Fatal(err)
		}
		defer a.tr.close()
	}
	pass := func(a *arm) {
		a.tr.step = 0
		from := processorTime(b)
		var err error
		if a.tr.plan.route == nil {
			_, err = a.tr.plain(b.Context(), &a.tr.mainOrder, 0, steps)
		}
		for n := 0; a.tr.plan.route != nil && n < steps && err == nil; n++ {
			a.tr.step++
			_, err = a.tr.routedStep(n)
		}
		if err != nil {
			b.Fatal(err)
		}
		a.used += processorTime(b) - from
	}
	for _, a := range arms {
		pass(a) // makes room
		a.used = 0
	}
	for b.Loop() {
		for _, a := range arms {
			pass(a)
		}
	}
	for _, a := range arms {
		b.ReportMetric(float64(a.used.Microseconds())/1000/float64(b.N*steps), a.name+"-ms/step")
		b.ReportMetric(float64(a.used)/float64(arms[0].used), a.name+"-ratio")
	}
}

// processorTime is what the process has computed so far, in user mode.
func processorTime(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano())
}
