package flow_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/stage"
)

// heldDevices is what stages of the type gpu hold at the moment, and what each
// has held.
type heldDevices struct {
	mu     sync.Mutex
	now    map[string]bool
	had    map[string]string // tag -> devices
	shared string            // a device that two held at a time
}

type gpuConfig struct {
	Tag string `json:"tag" doc:"Tells stages apart."`
}

func deviceToy(h *heldDevices) *stage.Type {
	return stage.Define(stage.Spec{Type: "gpu", Version: 1, Class: stage.Pure, Doc: "Holds GPUs for a while."},
		func(_ context.Context, env *stage.Env, c gpuConfig, _ noIn, out wordsOut) error {
			h.mu.Lock()
			if h.now == nil {
				h.now, h.had = map[string]bool{}, map[string]string{}
			}
			h.had[c.Tag] = strings.Join(env.GPUs, ",")
			for _, d := range env.GPUs {
				if h.now[d] {
					h.shared = d
				}
				h.now[d] = true
			}
			h.mu.Unlock()
			for range 50 {
				runtime.Gosched()
			}
			h.mu.Lock()
			for _, d := range env.GPUs {
				delete(h.now, d)
			}
			h.mu.Unlock()
			return out.Words.Write(word{c.Tag})
		})
}

func TestStagesHaveGPUsOfTheirOwn(t *testing.T) {
	var text strings.Builder
	text.WriteString("stages:\n  none: {uses: gpu, with: {tag: none}}\n")
	for i := range 20 {
		fmt.Fprintf(&text, "  s%d: {uses: gpu, with: {tag: s%d}, resources: {gpus: %d}}\n", i, i, 1+i%3)
	}
	for _, tt := range []struct {
		visible string
		gpus    int64
		from    string // what may be given out
	}{
		{"", 4, "0,1,2,3"},
		{"2,GPU-8f3a,5, 7,9", 4, "2,GPU-8f3a,5,7"},
	} {
		b := newBench(t, text.String())
		b.eng.Getenv = func(name string) string {
			if name == stage.VisibleGPUs {
				return tt.visible
			}
			return ""
		}
		if _, _, err := b.run(flow.RunOptions{Jobs: 8, Limits: limits(64, 1<<40, tt.gpus)}); err != nil {
			t.Fatal(err)
		}
		h := &b.gate.devices
		if h.shared != "" {
			t.Errorf("device %s was given to two stages at a time", h.shared)
		}
		if h.had["none"] != "" {
			t.Errorf("a stage that declares no GPU got %s", h.had["none"])
		}
		known := map[string]bool{}
		for _, d := range strings.Split(tt.from, ",") {
			known[d] = true
		}
		for i := range 20 {
			got := strings.Split(h.had[fmt.Sprintf("s%d", i)], ",")
			for _, d := range got {
				if !known[d] {
					t.Errorf("s%d got %q, which is none of %s", i, d, tt.from)
				}
			}
			if len(got) != 1+i%3 {
				t.Errorf("s%d got %v, want %d", i, got, 1+i%3)
			}
		}
	}
}

// Fewer devices than the limit says: nobody is given a share that is too small.
func TestFewerDevicesThanTheLimit(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: gpu, with: {tag: a}, resources: {gpus: 2}}
`)
	b.eng.Getenv = func(string) string { return "3" }
	if _, _, err := b.run(flow.RunOptions{Limits: limits(64, 1<<40, 4)}); err != nil {
		t.Fatal(err)
	}
	if got := b.gate.devices.had["a"]; got != "" {
		t.Errorf("got %s", got)
	}
}
