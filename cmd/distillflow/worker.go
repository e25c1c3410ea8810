package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/exec/kube"
	"github.com/distillflow/distillflow/flow/exec/local"
	"github.com/distillflow/distillflow/flow/exec/serve"
	"github.com/distillflow/distillflow/flow/stage"
)

// workerCmd runs one serialised task in this fresh process. For `run --isolate`
// the engine starts it with "-": the task comes from standard input, and the
// worker stops when that ends. A cluster's job needs the task's folder and nothing else; a pod
// gets the task's name in the bucket of --cache.
func (a app) workerCmd() *cobra.Command {
	var cache cacheFlags
	var server string
	var probe bool
	c := &cobra.Command{
		Use:    "worker FOLDER|bucket:NAME|-",
		Short:  "Run one serialised stage",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			if probe {
				return job.Folder(pos[0]).Answer(version + revision())
			}
			reg, err := registry()
			if err != nil {
				return err
			}
			shared, err := cache.open(c.Context(), a, true)
			if err != nil {
				return err
			}
			if shared != nil {
				defer func() { _ = shared.Close() }() // answers are shared one by one
			}
			if name, ok := strings.CutPrefix(pos[0], kube.TaskPrefix); ok {
				os.Stdout = os.Stderr
				return a.workForBucket(c.Context(), name, &cache, shared, reg)
			}
			memo := flow.UserMemo("", a.getenv).Share(shared)
			defer memo.Close()
			svc := stage.Services{Memo: memo, Getenv: a.getenv, Fault: a.fault}
			// Standard output carries messages; what a library prints must not
			// get between them.
			out := a.out
			os.Stdout = os.Stderr
			if pos[0] == "-" {
				return local.Attached(c.Context(), a.in, reg, svc, out, func() { os.Exit(exitInterrupted) })
			}
			s, err := serve.Parse(server)
			if err != nil {
				return usageError{err}
			}
			stop, err := s.Start(c.Context())
			if err != nil {
				return err
			}
			defer stop()
			return job.Work(c.Context(), job.Folder(pos[0]), reg, svc)
		},
	}
	cache.add(c)
	c.Flags().StringVar(&server, "serve", "", "start this server beside the stage, as JSON")
	c.Flags().BoolVar(&probe, "probe", false, "write down what is there instead of running a task")
	return c
}
