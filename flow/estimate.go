package flow

import (
	"context"
	"errors"
	"maps"
	"runtime"

	"github.com/hashicorp/go-multierror"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/local"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// Estimate plans as [Engine.Plan] does, after running the stages that cost
// nothing and stand before others (see [plan.Plan.Free]), so that the others can
// tell what they will take. What ran is cached as in a run. Nothing is saved, and
// it counts as no run in the history.
func (e *Engine) Estimate(ctx context.Context, g *graph.Graph, o RunOptions) (*plan.Plan, error) {
	dir, err := e.storeDir(g)
	if err != nil {
		return nil, err
	}
	st, err := store.Open(dir, store.Options{Fault: e.Fault})
	if err != nil {
		return nil, err
	}
	p, err := e.estimate(ctx, g, st, o)
	return p, errors.Join(err, st.Close())
}

func (e *Engine) estimate(ctx context.Context, g *graph.Graph, st *store.Store, o RunOptions) (*plan.Plan, error) {
	p, err := e.plan(ctx, g, st, o)
	if err != nil {
		return nil, err
	}
	free := p.Free()
	if len(free) == 0 {
		return p, nil
	}
	runner := e.Runner
	if runner == nil {
		runner = local.InProcess{Registry: e.Registry, Services: stage.Services{Getenv: e.getenv(), Fault: e.Fault}}
	}
	if o.Jobs < 1 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	out, err := exec.Run(ctx, g, st, runner, exec.Options{
		RecipeID: recipeID(g), Seed: o.seed(g), Jobs: o.Jobs, Force: o.Force, Limits: o.Limits, RetryPause: o.RetryPause,
		Sink: o.Sink, Cache: e.cache(), Only: func(n *graph.Node) bool { return free[n] },
	})
	if e.Cache != nil {
		e.Cache.Wait()
	}
	if len(out.Errors) > 0 {
		err = errors.Join(err, multierror.Append(nil, out.Errors...))
	}
	if err != nil {
		return nil, err
	}
	o.Force = maps.Clone(o.Force)
	for n := range free { // that has been done
		delete(o.Force, n.Name)
	}
	return e.plan(ctx, g, st, o)
}

// plan makes the plan and its estimates.
func (e *Engine) plan(ctx context.Context, g *graph.Graph, st *store.Store, o RunOptions) (*plan.Plan, error) {
	last, err := st.LastAll(recipeID(g))
	if err != nil {
		return nil, err
	}
	p, err := plan.New(ctx, g, st, plan.Options{Seed: o.seed(g), Last: last, Force: o.Force, Remote: e.find()})
	if err != nil {
		return nil, err
	}
	memo := UserMemo(e.MemoDir, e.getenv())
	err = errors.Join(p.Estimate(ctx, plan.Asker{Memo: memo, Getenv: e.getenv(), Open: st.Path}), memo.Close())
	if err != nil {
		return nil, err
	}
	return p, p.EstimateSeconds(st, last)
}
