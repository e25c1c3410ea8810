package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/compare"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
)

func (a app) compareCmd() *cobra.Command {
	var f storeFlags
	var format string
	var flips int
	c := &cobra.Command{
		Use:   "compare RUN RUN...",
		Short: "Set runs side by side: settings, figures, and verdicts that flipped",
		Long: `compare sets runs beside the first: params and stages that differ, accuracies with 95 %
intervals, a paired test over the problems that both runs have, routing, cost, and the records
whose verdict flipped, in both directions, with answers and reasons. ` + runDoc + `

Runs of different recipes, each in its own store, compare where the names of stages and the
ids of rows match. The test is McNemar's exact one, of paths of a problem in several styles the
sign test over problems; it is not corrected for their number.`,
		Example: `  distillflow compare 20261128 last
  distillflow compare a.yaml b.yaml --format md > compare.md`,
		Args: args(cobra.MinimumNArgs(2)),
		RunE: func(_ *cobra.Command, pos []string) (err error) {
			if format != "text" && format != "md" && format != "json" {
				return usageError{fmt.Errorf("--format %s: want text, md or json", format)}
			}
			if flips < 0 {
				return usageError{fmt.Errorf("--flips %d: want a number of records", flips)}
			}
			var runs []*runrecord.Run
			for _, name := range pos {
				st, r, openErr := a.openRun(&f, name)
				if openErr != nil {
					return openErr
				}
				defer func() { err = errors.Join(err, st.Close()) }()
				runs = append(runs, r)
			}
			c, err := compare.Runs(runs, flips)
			if err != nil {
				return err
			}
			switch format {
			case "json":
				return view.Indented(a.out, c)
			case "md":
				return c.Markdown(a.out)
			}
			return c.Text(a.out)
		},
	}
	f.add(c)
	c.ValidArgsFunction = a.manyRunNames(&f)
	c.Flags().StringVar(&format, "format", "text", "text, md or json")
	c.Flags().IntVar(&flips, "flips", 10, "list at most this many `records` a test and direction")
	return c
}

// manyRunNames proposes runs for every argument.
func (a app) manyRunNames(f *storeFlags) completer {
	names := a.runNames(f)
	return func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return names(c, nil, typed)
	}
}
