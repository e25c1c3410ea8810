package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/executors"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/slurm"
	"github.com/distillflow/distillflow/flow/graph"
)

// executorFlags say what runs the stages, where it is not this machine.
type executorFlags struct{ name, file string }

func (f *executorFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.name, "executor", "", "run the stages that name no executor by this `one` (default local: this machine)")
	c.Flags().StringVar(&f.file, "executors", "", "the `file` of executors (default: $"+executors.FileVar+", or distillflow/executors.yaml in your configuration folder)")
}

// executors gives those that the stages of a recipe want.
func (a app) executors(ctx context.Context, f *executorFlags, cache *cacheFlags, g *graph.Graph) (exec.Executors, error) {
	e := exec.Executors{Default: f.name, Runners: map[string]exec.Runner{}}
	path, must := executors.Path(f.file, a.getenv)
	file, err := executors.Read(path, must, a.executorKinds(ctx, cache))
	if err != nil {
		return e, usageError{err}
	}
	var errs []error
	for _, n := range g.Nodes {
		name := cmp.Or(n.Stage.Executor, f.name, exec.Here)
		if _, done := e.Runners[name]; done || name == exec.Here {
			continue
		}
		r, err := file.Executor(name)
		e.Runners[name] = r
		if err != nil && n.Stage.Executor != "" {
			err = errors.New(n.Stage.ExecutorPos.String() + ": " + err.Error())
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return e, usageError{err}
	}
	return e, nil
}

// executorKinds are the types of executors. Their workers share the run's cache.
func (a app) executorKinds(ctx context.Context, cache *cacheFlags) map[string]executors.Kind {
	return map[string]executors.Kind{
		"kube": kubeKind(ctx, cache),
		"slurm": func(settings func(any) error) (exec.Runner, error) {
			var s slurm.Settings
			if err := settings(&s); err != nil {
				return nil, err
			}
			return slurm.New(s, slurm.Host{Version: version + revision(), Worker: cache.worker()})
		},
	}
}
