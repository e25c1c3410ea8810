package exec_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
)

// runnerFunc is a runner made of a function.
type runnerFunc func(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error)

func (f runnerFunc) Run(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error) {
	return f(ctx, t, h)
}

// What runs elsewhere takes nothing of this machine: all of it starts at once,
// whatever --jobs and the limits say.
func TestElsewhere(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: pure, with: {act: a}, resources: {gpus: 8}, timeout: 1h, executor: cluster}
  b: {uses: pure, with: {act: b}, resources: {gpus: 8}}
  c: {uses: pure, with: {act: c}, executor: local}
`, nil)
	none, waiting, both := int64(0), atomic.Int64{}, make(chan struct{})
	b.opts.Jobs, b.opts.Limits = 1, exec.Limits{GPUs: &none}
	cluster := func(ctx context.Context, task stage.Task, h exec.Hooks) (stage.Result, error) {
		if _, limited := ctx.Deadline(); limited {
			t.Errorf("%s has a deadline while it may wait in a queue", task.Stage)
		}
		if task.Needs.GPUs != 8 || task.GPUs != nil || (task.Stage == "a") != (task.Needs.Time == time.Hour) {
			t.Errorf("%s needs %+v and has the GPUs %q", task.Stage, task.Needs, task.GPUs)
		}
		if waiting.Add(1) == 2 {
			close(both)
		}
		select {
		case <-both:
		case <-time.After(10 * time.Second):
			return stage.Result{}, errors.New("the other one did not start")
		}
		h.Placed("on node 1")
		return b.Run(ctx, task, h)
	}
	b.opts.Executors = exec.Executors{Default: "cluster", Runners: map[string]exec.Runner{"cluster": runnerFunc(cluster)}}
	out, err := b.run(t.Context())
	if err != nil || len(out.Errors) > 0 || waiting.Load() != 2 {
		t.Errorf("%v, %v, %d elsewhere", err, out.Errors, waiting.Load())
	}
	if got := b.messages(event.StagePlaced); !slices.Equal(got, []string{"on node 1", "on node 1"}) {
		t.Errorf("placed %q", got)
	}
}

func TestUnknownExecutor(t *testing.T) {
	b := newBench(t, "stages: {a: {uses: pure, with: {act: a}, executor: moon}}", nil)
	out, _ := b.run(t.Context())
	if len(out.Errors) != 1 || !strings.Contains(out.Errors[0].Error(), `no executor "moon"; there are local`) {
		t.Error(out.Errors)
	}
}

// A try that ran out of something is followed by one that gets more of it.
func TestGrowth(t *testing.T) {
	b := newBench(t, "stages: {a: {uses: pure, with: {act: a}, resources: {memory: 1GB}, timeout: 10m, retry: {memory: x2, time: x3}, executor: cluster}}", nil)
	var had []stage.Needs
	cluster := func(ctx context.Context, task stage.Task, h exec.Hooks) (stage.Result, error) {
		had = append(had, task.Needs)
		switch len(had) {
		case 1:
			return stage.Result{}, &exec.ShortageError{Of: exec.OfMemory, Had: stage.Needs{Memory: 4e9}, Msg: "out of memory"}
		case 2:
			return stage.Result{}, &exec.ShortageError{Of: exec.OfTime, Msg: "out of time"}
		}
		return b.Run(ctx, task, h)
	}
	b.opts.Executors = exec.Executors{Runners: map[string]exec.Runner{"cluster": runnerFunc(cluster)}}
	out, err := b.run(t.Context())
	if err != nil || len(out.Errors) > 0 || len(had) != 3 {
		t.Fatal(err, out.Errors, had)
	}
	if had[1].Memory != 8e9 || had[1].Time != 10*time.Minute || had[2].Memory != 8e9 || had[2].Time != 30*time.Minute {
		t.Errorf("%+v", had)
	}
	if got := fmt.Sprint(b.messages(event.StageWarning)); !strings.Contains(got, "out of memory); it runs again with more memory") {
		t.Error(got)
	}
}
