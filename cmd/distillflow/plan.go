package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/planview"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/plandiff"
)

func (a app) planCmd() *cobra.Command {
	var f recipeFlags
	var cache cacheFlags
	var format, diff string
	var estimate bool
	c := &cobra.Command{
		Use:   "plan RECIPE",
		Short: "Show what a run would do, and why",
		Long: `plan shows each stage of a recipe with what a run would do:

  hit   take the result from the store, or from the --cache: "cached (remote)"
  run   run the stage, for the reason given
  wait  the stage depends on stages that run first; whether it runs too is
        known once they have
  skip  the stage does not take part

plan also estimates, as ranges, what stages will take. A stage whose input is not
there yet often cannot be estimated: --estimate first runs the stages before it that
make no paid call (scan, wrap-cot, filter, ...). The next run takes their results
from the store.

--diff compares with another recipe at its defaults (or with this one, to see what
--set changes), or with a run, given by its id or "last": which stages were added,
removed or changed, and how. Stages go by their names. Formats: text, json.

--format tree draws the graph for a terminal, svg as a picture; dot (Graphviz)
and mermaid are for other programs.

In --format json, rows (of the default output), memo_hits, requests, tokens, usd
and seconds are {"min", "max"}, or null if unknown. Later versions may add fields
and remove none. docs/plan-json.md explains them.

The time of a stage that cannot estimate it comes from its last run: from half of
what it took then, for as many rows or requests, to twice as much.

plan reads inputs and changes no result.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			if !slices.Contains(planview.Formats(), format) {
				return usageError{fmt.Errorf("--format %q: want one of %s", format, strings.Join(planview.Formats(), ", "))}
			}
			if diff != "" && format != "text" && format != "json" {
				return usageError{fmt.Errorf("--diff with --format %s: want text or json", format)}
			}
			e, g, o, err := a.load(c.Context(), &f, pos[0])
			if err != nil {
				return err
			}
			if e.Cache, err = cache.open(c.Context(), a, false); err != nil {
				return err
			}
			if e.Cache != nil {
				defer func() { _ = e.Cache.Close() }() // nothing was written
			}
			makePlan := e.Plan
			if estimate {
				makePlan = e.Estimate
			}
			p, err := makePlan(c.Context(), g, o)
			if err != nil {
				return err
			}
			if diff != "" {
				return a.planDiff(c.Context(), &f, p, diff, format)
			}
			if err := planview.Write(a.out, format, cmp.Or(g.Recipe.Name, filepath.Base(g.Recipe.File)), p); err != nil || format != "text" {
				return err
			}
			return a.sayConsent(c.Context(), p, &o)
		},
	}
	f.add(c)
	cache.add(c)
	c.Flags().StringVar(&diff, "diff", "", "compare with another `recipe or run`")
	c.Flags().BoolVar(&estimate, "estimate", false, "first run what costs nothing, for better estimates")
	c.Flags().StringVar(&format, "format", "text", "one `of` "+strings.Join(planview.Formats(), ", "))
	return c
}

// planDiff compares a plan with what --diff names.
func (a app) planDiff(ctx context.Context, f *recipeFlags, p *plan.Plan, other, format string) error {
	old, err := a.otherSide(ctx, f, p.Graph.Recipe.File, other)
	if err != nil {
		return err
	}
	cur, err := plandiff.OfPlan(ctx, p.Graph.Recipe.File, p)
	if err != nil {
		return err
	}
	stages := plandiff.Compare(old, cur)
	if format == "json" {
		return planview.DiffJSON(a.out, old, cur, stages)
	}
	return planview.DiffText(a.out, old, cur, stages)
}

// otherSide finds what --diff names: a recipe, or a run of this recipe.
func (a app) otherSide(ctx context.Context, f *recipeFlags, recipe, other string) (*plandiff.Side, error) {
	info, err := os.Stat(other)
	if ext := filepath.Ext(other); err != nil && ext != ".yaml" && ext != ".yml" {
		sf := storeFlags{dir: f.store}
		st, err := sf.open(a, recipe, true)
		if err != nil {
			return nil, err
		}
		defer st.Close()
		r, err := findRun(st, other)
		if err != nil {
			return nil, err
		}
		return plandiff.OfRun(st, r)
	}
	if err != nil || info.IsDir() {
		return nil, usageError{fmt.Errorf("--diff %s: want a recipe, or the id of a run", other)}
	}
	e, g, o, err := a.load(ctx, &recipeFlags{store: f.store}, other)
	if err != nil {
		return nil, err
	}
	p, err := e.Plan(ctx, g, o)
	if err != nil {
		return nil, err
	}
	return plandiff.OfPlan(ctx, other, p)
}
