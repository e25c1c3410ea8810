package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

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
	cpus, gpus := float64(runtime.GOMAXPROCS(0)), visibleGPUs(a.getenv)
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
	} else if n := machineMemory("/proc/meminfo", "/sys/fs/cgroup/memory.max"); n > 0 {
		l.Memory = &n
	}
	return l, nil
}

// machineMemory is the memory of the machine, or of the container if that has
// less, in bytes; 0 where it cannot be told, as on systems without /proc.
func machineMemory(meminfo, cgroup string) int64 {
	var total int64
	if f, err := os.Open(meminfo); err == nil {
		defer f.Close()
		for sc := bufio.NewScanner(f); sc.Scan(); {
			if kb, ok := strings.CutPrefix(sc.Text(), "MemTotal:"); ok {
				n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(kb, "kB")), 10, 64)
				total = n << 10
				break
			}
		}
	}
	if b, err := os.ReadFile(cgroup); err == nil { // "max" is no number: no limit
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 && (total == 0 || n < total) {
			total = n
		}
	}
	return total
}

// visibleGPUs counts the NVIDIA GPUs that programs see.
func visibleGPUs(getenv func(string) string) int64 {
	if list := getenv("CUDA_VISIBLE_DEVICES"); list != "" {
		var n int64
		for _, id := range strings.Split(list, ",") {
			if id = strings.TrimSpace(id); id == "" || strings.HasPrefix(id, "-") {
				break // CUDA ignores what follows an invalid id
			}
			n++
		}
		return n
	}
	nodes, _ := filepath.Glob("/dev/nvidia[0-9]*")
	return int64(len(nodes))
}
