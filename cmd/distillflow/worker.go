package main

import (
	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/exec/local"
	"github.com/distillflow/distillflow/flow/stage"
)

// workerCmd runs one serialised task in this fresh process. The engine starts
// it for `run --isolate`; a cluster job needs nothing else.
func (a app) workerCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "worker TASK.json",
		Short:  "Run one serialised stage",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			reg, err := registry()
			if err != nil {
				return err
			}
			memo := flow.UserMemo("", a.getenv)
			defer memo.Close()
			svc := stage.Services{Memo: memo, Getenv: a.getenv, Fault: a.fault}
			return local.Worker(c.Context(), pos[0], reg, svc, a.out)
		},
	}
}
