package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// maxRetryPause limits the pause between the tries of a stage, which doubles.
const maxRetryPause = time.Minute

// TimeoutError is a stage that did not end within its timeout:.
type TimeoutError struct{ Timeout time.Duration }

// Error implements error.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("stopped after its timeout of %s", e.Timeout)
}

// attempts runs a task, and after a failure again, as often as retries: says. What all
// tries spent is in the result's figures.
func (s *scheduler) attempts(ctx context.Context, n *graph.Node, task stage.Task, hooks Hooks) (stage.Result, error) {
	var before map[string]float64
	r := n.Stage.Resources
	task.Needs = stage.Needs{CPUs: r.CPUs, Memory: r.Memory, GPUs: r.GPUs, Time: n.Stage.Timeout}
	pause := s.opts.RetryPause
	for try := 0; ; try++ {
		res, err := s.attempt(ctx, n, task, hooks)
		res.Stats = addSpending(res.Stats, before)
		before = res.Stats
		if err == nil || try >= n.Stage.Retries || ctx.Err() != nil || Permanent(err) {
			return res, err
		}
		hooks.Warn(fmt.Sprintf("try %d of %d failed (%v); it runs again%s", try+1, n.Stage.Retries+1, err, grow(&task.Needs, err, n.Stage.Growth)))
		select {
		case <-ctx.Done():
			return res, ctx.Err()
		case <-time.After(pause):
		}
		if err := s.opts.Control.Hold(ctx); err != nil {
			return res, err
		}
		pause = min(2*pause, maxRetryPause)
		for _, path := range task.Outputs { // what the failed try left
			if err := os.RemoveAll(path); err != nil {
				return res, fmt.Errorf("making room for another try: %w", err)
			}
		}
	}
}

// addSpending adds to the figures of a try what those before it spent.
func addSpending(stats, before map[string]float64) map[string]float64 {
	for _, name := range stage.Spending {
		if before[name] == 0 {
			continue
		}
		if stats == nil {
			stats = map[string]float64{}
		}
		stats[name] += before[name]
	}
	return stats
}

// Permanent reports whether another try would fail too: after a bug in the stage,
// and after an error that says so by a method Permanent() bool, such as a spent
// budget.
func Permanent(err error) bool {
	var bug *parallel.PanicError
	var p interface{ Permanent() bool }
	return errors.As(err, &bug) || errors.As(err, &p) && p.Permanent()
}

// OverBudget reports whether an error says, by a method BudgetSpent(), that a budget does
// not allow what the stage needs.
func OverBudget(err error) bool {
	var b interface{ BudgetSpent() }
	return errors.As(err, &b)
}

// attempt runs a task once; here within its stage's timeout:.
func (s *scheduler) attempt(ctx context.Context, n *graph.Node, task stage.Task, hooks Hooks) (stage.Result, error) {
	runner, err := s.opts.Executors.Elsewhere(n)
	if err != nil {
		return stage.Result{}, err
	}
	tctx := ctx
	if t := task.Needs.Time; t > 0 && runner == nil {
		var cancel context.CancelFunc
		tctx, cancel = context.WithTimeoutCause(ctx, t, &TimeoutError{t})
		defer cancel()
	}
	if runner == nil {
		runner = s.runner
	}
	res, err := runner.Run(tctx, task, hooks)
	var late *TimeoutError
	if err != nil && ctx.Err() == nil && errors.As(context.Cause(tctx), &late) {
		err = late // what the stage says of it is only a consequence
	}
	return res, err
}
