// Package machine tells what the machine has.
package machine

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
)

// Memory is the memory of the machine, or of the container if that has less, in
// bytes; 0 where it cannot be told, as on systems without /proc.
func Memory() int64 {
	var total int64
	if f, err := os.Open("/proc/meminfo"); err == nil {
		defer f.Close()
		for sc := bufio.NewScanner(f); sc.Scan(); {
			if kb, ok := strings.CutPrefix(sc.Text(), "MemTotal:"); ok {
				n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(kb, "kB")), 10, 64)
				total = n << 10
				break
			}
		}
	}
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil { // "max" is no number: no limit
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 && (total == 0 || n < total) {
			total = n
		}
	}
	return total
}

// GPUs counts the NVIDIA GPUs that programs see.
func GPUs(getenv func(string) string) int64 {
	if list := getenv(stage.VisibleGPUs); list != "" {
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
