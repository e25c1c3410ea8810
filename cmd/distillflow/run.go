package main

import (
	"errors"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec/local"
)

func (a app) runCmd() *cobra.Command {
	var f recipeFlags
	var jsonEvents, isolate, quiet bool
	c := &cobra.Command{
		Use:   "run RECIPE",
		Short: "Run a recipe",
		Long: `run brings every stage of a recipe to its result: from the store where nothing it
depends on has changed, by running it otherwise. Ctrl-C stops cleanly; the next
run goes on from there.

Exit status: 0 done, 1 a stage failed, 2 invalid recipe or usage, 3 stopped by
a budget, 130 interrupted.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			e, g, o, err := a.load(&f, pos[0])
			if err != nil {
				return err
			}
			if isolate {
				self, err := os.Executable()
				if err != nil {
					return err
				}
				e.Runner = local.Process{Argv: []string{self, "worker", "-"}}
			}
			v := view.For(a.err, a.terminal() && !quiet, false)
			if jsonEvents {
				v = view.For(a.out, false, true)
			}
			saved := &places{saved: map[string]string{}}
			o.Sink = event.Tee(v.Event, saved.event)
			res, err := e.Run(c.Context(), g, o)
			verr := v.Close()
			if res == nil {
				return errors.Join(err, verr)
			}
			if !jsonEvents {
				err = errors.Join(err, a.report(g, res, saved))
			}
			return errors.Join(err, verr, res.Close())
		},
	}
	f.add(c)
	c.Flags().IntVarP(&f.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "how many stages run at a time")
	c.Flags().BoolVar(&jsonEvents, "json", false, "print events as JSON lines on standard output and no report")
	c.Flags().BoolVar(&isolate, "isolate", false, "run each stage in a process of its own")
	c.Flags().BoolVar(&quiet, "plain", false, "plain lines instead of the live view")
	return c
}

// terminal reports whether standard error is a terminal, where the live view
// goes.
func (a app) terminal() bool {
	f, ok := a.err.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && a.getenv("TERM") != "dumb"
}
