package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/layout"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/secret"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/analyze"
	"github.com/distillflow/distillflow/stages/data"
	"github.com/distillflow/distillflow/stages/evaluate"
	"github.com/distillflow/distillflow/stages/prompt"
	"github.com/distillflow/distillflow/stages/train"
)

// registry lists every stage type of this program, one line a family.
func registry() (*stage.Registry, error) {
	var all []*stage.Type
	all = append(all, data.Stages()...)
	all = append(all, prompt.Stages()...)
	all = append(all, evaluate.Stages()...)
	all = append(all, train.Stages()...)
	all = append(all, analyze.Stages()...)
	for i, t := range all {
		all[i] = t.In(os.Getenv)
	}
	return stage.NewRegistry(all...)
}

// recipeFlags are the flags of every command that reads a recipe.
type recipeFlags struct {
	set     []string
	profile string
	params  []string
	store   string
	seed    string
	jobs    int
	force   []string
	locked  bool // set by commands that follow the lock
}

func (f *recipeFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.set, "set", nil, "set a `param=value` of the recipe (repeatable)")
	c.Flags().StringVar(&f.profile, "profile", "", "use a profile of the recipe")
	c.Flags().StringArrayVar(&f.params, "params", nil, "read params from a YAML `file` (repeatable)")
	c.Flags().StringVar(&f.store, "store", "", "the store's `folder` (default: $DISTILLFLOW_STORE, or .distillflow beside the recipe)")
	c.Flags().StringVar(&f.seed, "seed", "", "use another `seed` than the recipe's")
	c.Flags().StringArrayVar(&f.force, "force", nil, "run this `stage` even if it is cached (repeatable)")
}

// load builds the engine and the graph of a recipe, as check does, and asks the
// network for what its stages name there.
func (a app) load(ctx context.Context, f *recipeFlags, path string) (*flow.Engine, *graph.Graph, flow.RunOptions, error) {
	e, g, o, err := a.check(f, path)
	if err != nil {
		return nil, nil, o, err
	}
	defer view.Downloads(a.notes())()
	diags, err := g.Resolve(ctx)
	if err != nil {
		return nil, nil, o, err
	}
	return e, g, o, a.showDiags(diags, g.Recipe)
}

// showDiags shows problems of a recipe with their snippets. The error only carries
// the exit status.
func (a app) showDiags(diags diag.List, r *recipe.Recipe) error {
	if len(diags) > 0 {
		var b strings.Builder
		if err := diags.Render(&b, r.Sources); err != nil {
			return err
		}
		// A snippet may show a --set with a key in it.
		if _, err := io.WriteString(a.notes(), secret.FromEnv(os.Environ()).Hide(b.String())); err != nil {
			return err
		}
	}
	if diags.HasErrors() {
		return shownError{usageError{diags.Err()}}
	}
	return nil
}

// check builds the engine and the graph of a recipe. Problems of the recipe are
// shown with their snippets. It works without a network.
func (a app) check(f *recipeFlags, path string) (*flow.Engine, *graph.Graph, flow.RunOptions, error) {
	var o flow.RunOptions
	reg, err := registry()
	if err != nil {
		return nil, nil, o, err
	}
	if f.store == "" {
		f.store = a.getenv("DISTILLFLOW_STORE")
	}
	var lockErr error
	if f.locked {
		if o.Locked, lockErr = a.readLock(path); lockErr == nil {
			if reg, err = lock.Pinned(reg, o.Locked.Pins()); err != nil {
				return nil, nil, o, err
			}
		}
	}
	e := &flow.Engine{
		Registry: reg, StoreDir: f.store, Getenv: a.getenv, Fault: a.fault, Now: a.now, Program: version + revision(),
		Layouts: map[string]flow.Layout{schema.Problem{}.RecordType(): layout.Problems},
	}
	wd, err := os.Getwd()
	if err != nil {
		return nil, nil, o, err
	}
	g, r, diags := e.Load(path, recipe.Options{Profile: f.profile, Set: f.set, ParamFiles: f.params, WorkDir: wd})
	if err := a.showDiags(diags, r); err != nil {
		return nil, nil, o, err
	}
	if lockErr != nil { // told after what is wrong with the recipe itself
		return nil, nil, o, lockErr
	}
	o.Jobs = f.jobs
	if f.seed != "" {
		s, err := strconv.ParseUint(f.seed, 10, 64)
		if err != nil {
			return nil, nil, o, usageError{fmt.Errorf("--seed %q: want a whole number from 0 to 2^64-1", f.seed)}
		}
		o.Seed = &s
	}
	o.Force = map[string]bool{}
	for _, name := range f.force {
		if g.Node(name) == nil {
			return nil, nil, o, usageError{fmt.Errorf("--force %s: the recipe has no such stage", name)}
		}
		o.Force[name] = true
	}
	return e, g, o, nil
}
