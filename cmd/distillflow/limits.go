package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/machine"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/recipe"
)

// limitFlags say how much the stages that run at a time may declare together.
type limitFlags struct {
	cpus   float64
	memory string
	gpus   int64
	cmd    *cobra.Command
}

func (f *limitFlags) add(c *cobra.Command) {
	f.cmd = c
	c.Flags().Float64Var(&f.cpus, "cpus", 0, "cores for stages that declare cpus (default: the machine's)")
	c.Flags().StringVar(&f.memory, "memory", "", "`amount` of memory for stages that declare it, such as 16GB (default: the machine's)")
	c.Flags().Int64Var(&f.gpus, "gpus", 0, "GPUs for stages that declare gpus (default: those that can be seen)")
}

func (f *limitFlags) limits(a app) (exec.Limits, error) {
	cpus, gpus := float64(runtime.GOMAXPROCS(0)), machine.GPUs(a.getenv)
	l := exec.Limits{CPUs: &cpus, GPUs: &gpus}
	if f.cmd.Flags().Changed("cpus") {
		if !(f.cpus >= 0 && f.cpus <= 1<<20) {
			return l, usageError{fmt.Errorf("--cpus %g: want a number of cores", f.cpus)}
		}
		cpus = f.cpus
	}
	if f.cmd.Flags().Changed("gpus") {
		if f.gpus < 0 {
			return l, usageError{fmt.Errorf("--gpus %d: want a number of GPUs", f.gpus)}
		}
		gpus = f.gpus
	}
	if f.memory != "" {
		n, err := recipe.ParseBytes(f.memory)
		if err != nil {
			return l, usageError{fmt.Errorf("--memory: %w", err)}
		}
		l.Memory = &n
	} else if n := machine.Memory(); n > 0 {
		l.Memory = &n
	}
	return l, nil
}
