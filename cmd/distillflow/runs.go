package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/text"
)

func (a app) runsCmd() *cobra.Command {
	var f storeFlags
	c := &cobra.Command{
		Use:   "runs [RECIPE]",
		Short: "List the runs that a store remembers",
		Long: `runs lists the runs in the store of a recipe, the oldest first. It shows a killed
run as running.`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, pos []string) error {
			st, err := f.open(a, optional(pos, 0), true)
			if err != nil {
				return err
			}
			defer st.Close()
			runs, err := st.Runs()
			if err != nil {
				return err
			}
			tw := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
			for _, r := range runs {
				fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", r.ID, cell(r.Status), runSeconds(r), text.Plural(len(r.Actions), "result"), r.Recipe)
			}
			return tw.Flush()
		},
	}
	f.add(c)
	c.AddCommand(a.runsShowCmd(&f))
	return c
}

func (a app) runsShowCmd(f *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID [RECIPE]",
		Short: "Show one run and the keys of its results",
		Long: `show prints what a store remembers of a run. ID may be the beginning of an id, or
"last". 'distillflow cache why KEY' explains a key.`,
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(_ *cobra.Command, pos []string) error {
			st, err := f.open(a, optional(pos, 1), true)
			if err != nil {
				return err
			}
			defer st.Close()
			r, err := findRun(st, pos[0])
			if err != nil {
				return err
			}
			tw := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
			fmt.Fprintf(tw, "run\t%s\n", r.ID)
			fmt.Fprintf(tw, "recipe\t%s\n", r.Recipe)
			fmt.Fprintf(tw, "status\t%s\n", r.Status)
			fmt.Fprintf(tw, "started\t%s\n", r.Started.UTC().Format(time.RFC3339))
			fmt.Fprintf(tw, "took\t%s\n", runSeconds(r))
			for _, name := range slices.Sorted(maps.Keys(r.Actions)) {
				fmt.Fprintf(tw, "stage %s\t%s\n", name, r.Actions[name])
			}
			return tw.Flush()
		},
	}
}

// findRun finds a run by the beginning of its id, or the newest for "last".
func findRun(st *store.Store, id string) (store.RunInfo, error) {
	runs, err := st.Runs()
	if err != nil {
		return store.RunInfo{}, err
	}
	if id == "last" && len(runs) > 0 {
		return runs[len(runs)-1], nil
	}
	found := slices.DeleteFunc(runs, func(r store.RunInfo) bool { return !strings.HasPrefix(r.ID, id) })
	switch {
	case id == "":
		return store.RunInfo{}, usageError{errors.New("the id of the run is empty")}
	case len(found) == 0:
		return store.RunInfo{}, usageError{fmt.Errorf("the store has no run %s; 'distillflow runs' lists them", id)}
	case len(found) > 1:
		return store.RunInfo{}, usageError{fmt.Errorf("%d runs begin with %s; give more of the id", len(found), id)}
	}
	return found[0], nil
}

func runSeconds(r store.RunInfo) string {
	if r.Finished.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%.1f s", r.Finished.Sub(r.Started).Seconds())
}

func cell(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
