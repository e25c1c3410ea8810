package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/executors"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/internal/base/text"
)

func (a app) executorCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "executor",
		Short: "Look at the executors: other machines that run stages",
		Args:  args(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.executorTestCmd())
	return c
}

func (a app) executorTestCmd() *cobra.Command {
	var file, dir string
	var wait time.Duration
	c := &cobra.Command{
		Use:   "test NAME",
		Short: "Submit a trivial job and say what works",
		Long: `test submits a trivial job to an executor and says what works there and what to do about
what does not: the shared folder, the program and its version, arrays, GPUs, the clock,
accounting. docs/clusters.md explains the file of executors.

Exit status: 0 all is well, 1 something is not.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			path, must := executors.Path(file, a.getenv)
			f, err := executors.Read(path, must, a.executorKinds(c.Context(), &cacheFlags{}))
			if err != nil {
				return usageError{err}
			}
			if pos[0] == exec.Here {
				return usageError{errors.New("local is this machine: `distillflow doctor` looks at it")}
			}
			r, err := f.Executor(pos[0])
			if err != nil {
				return usageError{err}
			}
			checker, ok := r.(exec.Checker)
			if !ok {
				return fmt.Errorf("executor %s has no test", pos[0])
			}
			dir = cmp.Or(dir, a.getenv("DISTILLFLOW_STORE"), ".distillflow")
			_, statErr := os.Stat(dir)
			if err := os.MkdirAll(dir, 0o777); err != nil {
				return err
			}
			if errors.Is(statErr, os.ErrNotExist) {
				defer os.Remove(dir) // unless somebody uses it by now
			}
			ctx, cancel := context.WithTimeoutCause(c.Context(), wait, fmt.Errorf("no answer within %s; look at the queue, or give more with --wait", wait))
			defer cancel()
			found, err := checker.Check(ctx, dir, func(m string) { fmt.Fprintln(a.notes(), text.OneLine(m)) })
			bad := 0
			for _, f := range found {
				word := "ok"
				if !f.OK {
					word, bad = "problem", bad+1
				}
				fmt.Fprintf(a.out, "%-8s %-14s %s\n", word, f.What, strings.TrimSpace(text.OneLine(f.Found)))
				if f.Do != "" {
					fmt.Fprintf(a.out, "%-8s %-14s -> %s\n", "", "", text.OneLine(f.Do))
				}
			}
			if err == nil && bad > 0 {
				err = shownError{fmt.Errorf("%s", text.Plural(bad, "problem"))}
			}
			return err
		},
	}
	c.Flags().StringVar(&file, "executors", "", "the `file` of executors (default: $"+executors.FileVar+", or distillflow/executors.yaml in your configuration folder)")
	c.Flags().StringVar(&dir, "store", "", "the `folder` of the store that stages would use (default: $DISTILLFLOW_STORE, or .distillflow here)")
	c.Flags().DurationVar(&wait, "wait", 15*time.Minute, "how long the job may take, its time in the queue included")
	return c
}
