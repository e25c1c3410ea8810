package flow

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/store"
)

// admit refuses a run that is bound to fail, before it has cost anything: one
// that deviates from its lock, or with stages that declare more than there is or
// need what the environment has not (an API key), unless their results are cached.
func (e *Engine) admit(ctx context.Context, g *graph.Graph, st *store.Store, o RunOptions) error {
	unfit := map[*graph.Node]error{}
	for _, n := range g.Nodes {
		runner, err := e.Executors.Elsewhere(n)
		if runner == nil && err == nil {
			err = o.Limits.Check(n)
		}
		if err := errors.Join(err, n.Config.Require(e.getenv())); err != nil && !n.Skip {
			unfit[n] = err
		}
	}
	if len(unfit) == 0 && o.Locked == nil {
		return nil
	}
	p, err := plan.New(ctx, g, st, plan.Options{Seed: o.seed(g), Force: o.Force, Remote: e.find()})
	if err != nil {
		return err
	}
	var errs []error
	if o.Locked != nil {
		ds, err := o.Locked.CheckPlan(ctx, p, o.seed(g), st)
		if err != nil {
			return err
		}
		if len(ds) > 0 {
			errs = append(errs, &lock.DeviationError{Deviations: ds})
		}
	}
	for _, s := range p.Steps {
		if err := unfit[s.Node]; err != nil && (s.Status == plan.Run || s.Status == plan.Wait) {
			errs = append(errs, &exec.StageError{Stage: s.Node.Name, Err: err})
		}
	}
	return errors.Join(errs...)
}

// Pending tells which stages a run would run, as far as is known before: those without a
// result in the store, and those that wait for them.
func (e *Engine) Pending(ctx context.Context, g *graph.Graph, o RunOptions) (map[*graph.Node]bool, error) {
	p, err := e.Plan(ctx, g, o)
	if err != nil {
		return nil, err
	}
	out := map[*graph.Node]bool{}
	for _, s := range p.Steps {
		if s.Status == plan.Run || s.Status == plan.Wait {
			out[s.Node] = true
		}
	}
	return out, nil
}

// permitted saves what may be saved.
func permitted(save exec.Saver, permit func(*graph.Node) error) exec.Saver {
	if permit == nil {
		return save
	}
	return func(n *graph.Node, outputs map[string]store.Output) (map[string]string, error) {
		if err := permit(n); err != nil {
			return nil, err
		}
		return save(n, outputs)
	}
}

// Lock gives what the run was made from, for `distillflow.lock`. program is the
// version of the program. It is an error if the run did not bring every stage
// that takes part to a final result.
func (r *Result) Lock(ctx context.Context, program string) (*lock.Recipe, error) {
	l := &lock.Recipe{
		Program: program, Host: runtime.GOOS + "/" + runtime.GOARCH, Seed: r.seed,
		Stages: make(map[string]*lock.Stage, len(r.Outcome.States)),
	}
	for name, state := range r.Outcome.States {
		switch {
		case state == exec.Skipped:
			continue
		case state != exec.Done && state != exec.Cached:
			return nil, fmt.Errorf("nothing was locked: stage %s is %s", name, state)
		case r.Outcome.Incomplete[name]:
			return nil, fmt.Errorf("nothing was locked: the result of stage %s is incomplete: run again until it is whole", name)
		}
		s, err := lock.NewStage(ctx, r.graph.Node(name).Config, r.Outcome.Preimages[name], r.Outcome.Outputs[name])
		if err != nil {
			return nil, fmt.Errorf("stage %s: %w", name, err)
		}
		l.Stages[name] = s
	}
	return l, nil
}
