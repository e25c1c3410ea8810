package flow_test

import (
	"context"
	"errors"
	"testing"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/store"
)

func TestInterruptStartsNothingNew(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  x: {uses: await, from: a, with: {tag: x}}
  y: {uses: await, from: a, with: {tag: y}}
`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-b.gate.changed
		cancel()
	}()
	l, res, err := b.runCtx(ctx, flow.RunOptions{Jobs: 1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := l.stages(event.StageStarted); got != "a x" {
		t.Errorf("started %q", got)
	}
	if got := l.stages(event.StageStopped); got != "x" {
		t.Errorf("stopped %q", got)
	}
	if got := l.stages(event.StageFailed); got != "" {
		t.Errorf("failed %q", got)
	}
	if s := res.Outcome.States["y"]; s != exec.Stopped {
		t.Errorf("y is %s", s)
	}
}

func TestInterruptWhileWaitingForAnotherRun(t *testing.T) {
	b := newBench(t, chain)
	key := b.plan()["a"].Key
	st, err := store.Open(b.path(".distillflow"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	unlock, err := st.LockKey(t.Context(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	sink := func(e event.Event) {
		if e.Kind == event.RunStarted {
			cancel()
		}
	}
	_, res, err := b.runCtx(ctx, flow.RunOptions{Sink: sink})
	if !errors.Is(err, context.Canceled) || res.Outcome.States["a"] != exec.Stopped {
		t.Errorf("error %v, states %v", err, res.Outcome.States)
	}
}

// A panic beside the stages' own code, as in a layout of save:, fails its stage
// only.
func TestPanicOutsideAStage(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}, save: out/}
  b: {uses: read, with: {file: recipe.yaml}}
`)
	b.eng.Layouts = map[string]flow.Layout{"word": {Suffix: func(string, bool) string { panic("no suffix") }}}
	_, res, err := b.run(flow.RunOptions{})
	var se *exec.StageError
	if !errors.As(err, &se) || se.Stage != "a" || res.Outcome.States["b"] != exec.Done {
		t.Errorf("error %v, states %v", err, res.Outcome.States)
	}
}
