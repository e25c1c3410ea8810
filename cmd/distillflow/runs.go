package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/stages/data"
)

func (a app) runsCmd() *cobra.Command {
	var f storeFlags
	var where, by, format string
	c := &cobra.Command{
		Use:   "runs [RECIPE]",
		Short: "List the runs that a store remembers",
		Long: `runs lists the runs in the store of a recipe, or in the store here, the oldest first:
id, status, time, what became of the stages, cost, accuracies, recipe.

--where keeps those for which an expression holds. It sees id, recipe, name, status
(running, done, failed, interrupted, killed), started, seconds, seed, profile, params,
stages (hit, ran, failed, ...), calls, memo_hits, prompt_tokens, completion_tokens, usd,
and figures: accuracies from 0 to 1 by name, such as teacher and the names of students.
What a run lacks is null: give it a default, as in (figures.llama ?? 0) > 0.4.

--sort lists the highest first of seconds, usd, calls, tokens or a figure.`,
		Example: `  distillflow runs recipes/gsm8k.yaml --sort llama
  distillflow runs --where 'status == "done" and params.teacher != "simulated"'`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, pos []string) error {
			if format != "text" && format != "json" {
				return usageError{fmt.Errorf("--format %s: want text or json", format)}
			}
			st, err := f.open(a, optional(pos, 0), true)
			if err != nil {
				return err
			}
			defer st.Close()
			list, err := a.entries(st)
			if err != nil {
				return err
			}
			if list, err = a.whereRuns(list, where); err != nil {
				return err
			}
			if err := sortRuns(list, by); err != nil {
				return err
			}
			if format == "json" {
				return view.Indented(a.out, list)
			}
			return view.Runs(a.out, list)
		},
	}
	f.add(c)
	c.Flags().StringVar(&where, "where", "", "keep the runs for which this `expression` holds")
	c.Flags().StringVar(&by, "sort", "", "the highest first of seconds, usd, calls, tokens, or an accuracy by its `name`")
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}

// entries sums up all runs of a store. One whose record is damaged is left out with a
// warning.
func (a app) entries(st *store.Store) ([]runrecord.Entry, error) {
	reg, err := registry()
	if err != nil {
		return nil, err
	}
	runs, err := st.Runs()
	if err != nil {
		return nil, err
	}
	list := []runrecord.Entry{}
	for _, info := range runs {
		r, err := runrecord.Open(st, reg, info.ID)
		if err != nil {
			fmt.Fprintf(a.notes(), "distillflow: warning: %v; the run is left out\n", err)
			continue
		}
		e, _ := r.Entry() // figures whose rows are gone are left out
		list = append(list, e)
	}
	return list, nil
}

// runFields are what an expression over runs sees; see [runrecord.Entry].
var runFields = []string{"id", "recipe", "name", "status", "started", "seconds", "seed", "profile", "params", "stages",
	"calls", "memo_hits", "prompt_tokens", "completion_tokens", "usd", "figures"}

func (a app) whereRuns(list []runrecord.Entry, where string) ([]runrecord.Entry, error) {
	if where == "" {
		return list, nil
	}
	cond, err := data.NewCondition("run", where, runFields)
	if err != nil {
		return nil, usageError{fmt.Errorf("--where: %w", err)}
	}
	kept := []runrecord.Entry{}
	for _, e := range list {
		row, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		ok, err := cond.Holds(row)
		if err != nil {
			return nil, usageError{fmt.Errorf("--where: run %s: %w", e.ID, err)}
		}
		if ok {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// sortRuns puts the highest first, and those without the number last.
func sortRuns(list []runrecord.Entry, by string) error {
	if by == "" || len(list) == 0 {
		return nil
	}
	if !slices.ContainsFunc(list, func(e runrecord.Entry) bool { _, ok := e.Number(by); return ok }) {
		names := map[string]bool{}
		for _, e := range list {
			for name := range e.Figures {
				names[name] = true
			}
		}
		known := append([]string{"seconds", "usd", "calls", "tokens"}, slices.Sorted(maps.Keys(names))...)
		return usageError{fmt.Errorf("--sort %s: no run has such a figure; there are %s", by, strings.Join(known, ", "))}
	}
	slices.SortStableFunc(list, func(a, b runrecord.Entry) int {
		x, okX := a.Number(by)
		y, okY := b.Number(by)
		switch {
		case okX != okY:
			return map[bool]int{true: -1, false: 1}[okX]
		case !okX:
			return 0
		}
		return cmp.Compare(y, x)
	})
	return nil
}

// findRun finds a run as all commands that take a RUN do.
func findRun(st *store.Store, name string) (store.RunInfo, error) {
	info, err := runrecord.Find(st, name)
	var unknown *runrecord.UnknownError
	if errors.As(err, &unknown) {
		err = usageError{err}
	}
	return info, err
}

// openRun opens the run that RUN names, and the store that holds it: the one beside RUN if
// that is a recipe. Close the store when done.
func (a app) openRun(f *storeFlags, name string) (*store.Store, *runrecord.Run, error) {
	recipe := ""
	if runrecord.IsRecipe(name) {
		recipe = name
	}
	st, err := f.open(a, recipe, false) // folders may have to be laid out
	if err != nil {
		return nil, nil, err
	}
	r, err := a.readRun(st, name)
	if err != nil {
		return nil, nil, errors.Join(err, st.Close())
	}
	return st, r, nil
}

func (a app) readRun(st *store.Store, name string) (*runrecord.Run, error) {
	info, err := findRun(st, name)
	if err != nil {
		return nil, err
	}
	reg, err := registry()
	if err != nil {
		return nil, err
	}
	return runrecord.Open(st, reg, info.ID)
}

// runDoc says what every command means by RUN.
const runDoc = `RUN is the beginning of a run's id, "last", or the path of a recipe for its last run.`
