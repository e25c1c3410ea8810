package device

import (
	"strings"
	"testing"
)

// What nvidia-smi writes is a list of GPUs or an error.
func FuzzParseGPUs(f *testing.F) {
	f.Add("0, GPU-1, NVIDIA H200, 580.1, 143771, 1000\n1, GPU-2, \"x, y\", 1, [N/A], -5\n")
	f.Add("0,\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		gpus, err := parseGPUs(text)
		if err != nil {
			return
		}
		for _, g := range gpus {
			if g.Total < 0 || g.Free < 0 {
				t.Errorf("%q: %+v", text, g)
			}
		}
		if len(gpus) > strings.Count(text, "\n")+1 {
			t.Errorf("%d of %q", len(gpus), text)
		}
	})
}
