package flow

import (
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
)

// devices are the GPUs that stages which declare gpus: share, as CUDA names them:
// the first of those that CUDA_VISIBLE_DEVICES leaves to this process, or else
// their numbers. Without a limit they are not known, and nobody is given any.
func devices(l exec.Limits, getenv func(string) string) []string {
	if l.GPUs == nil {
		return nil
	}
	var ids []string
	if list := getenv(stage.VisibleGPUs); list != "" {
		for id := range strings.SplitSeq(list, ",") {
			if id = strings.TrimSpace(id); id == "" || strings.HasPrefix(id, "-") {
				break // CUDA ignores what follows an invalid id
			}
			ids = append(ids, id)
		}
	} else {
		for i := range min(*l.GPUs, maxDevices) {
			ids = append(ids, strconv.FormatInt(i, 10))
		}
	}
	return ids[:min(int64(len(ids)), *l.GPUs)]
}

// maxDevices bounds what a --gpus that means "any number" costs.
const maxDevices = 1024
