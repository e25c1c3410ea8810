package recipe

import (
	"strings"
	"testing"
	"time"
)

func TestStageResources(t *testing.T) {
	r, diags := Parse("r.yaml", []byte(`
params: {cores: 3, patience: 90s}
stages:
  a:
    uses: x
    stream: 7
    timeout: "${{ params.patience }}"
    retries: "${{ params.cores - 1 }}"
    shards: "${{ params.cores + 1 }}"
    resources: {cpus: "${{ params.cores / 2.0 }}", memory: 16GiB, gpus: 1}
    retry: {memory: x2, time: x1.5}
    executor: slurm
  b: {uses: x}
`), Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	a := r.Stage("a")
	if a.Stream != "7" || a.Timeout != 90*time.Second || a.Retries != 2 || a.Shards != 4 {
		t.Errorf("stream %q, timeout %v, retries %d, shards %d", a.Stream, a.Timeout, a.Retries, a.Shards)
	}
	if got := a.Resources; got.CPUs != 1.5 || got.Memory != 16<<30 || got.GPUs != 1 {
		t.Errorf("resources %+v", got)
	}
	if a.Growth != (Growth{2, 1.5}) || a.Executor != "slurm" {
		t.Errorf("growth %+v, executor %q", a.Growth, a.Executor)
	}
	if got := r.Stage("b").Resources; got != (Resources{}) {
		t.Errorf("nothing declared: %+v", got)
	}
}

func TestGrowth(t *testing.T) {
	for text, want := range map[string]struct {
		retries int
		message string // of the first mistake; "" for none
	}{
		"retry: {memory: x2}":           {2, ""},
		"retry: {time: x2}, retries: 0": {0, ""},
		"retry: {}":                     {0, ""},
		"retry: {memory: 2}":            {2, "is a factor such as x2"},
		"retry: {memory: x1}":           {2, "above x1"},
		"retry: {memory: x1e9}":         {2, "at most x100"},
		"retry: {memory: xNaN}":         {2, "above x1"},
		"retry: {gpus: x2}":             {2, "gpus"},
		"retry: 3":                      {2, "maps memory and time"},
		"executor: [a]":                 {0, "names what runs the stage"},
	} {
		r, diags := Parse("r.yaml", []byte("stages: {a: {uses: x, "+text+"}}"), Options{})
		switch {
		case want.message != "" && (len(diags) == 0 || !strings.Contains(diags[0].Summary, want.message)):
			t.Errorf("%s: %v, want %q", text, diags, want.message)
		case want.message == "" && (diags.HasErrors() || r.Stage("a").Retries != want.retries):
			t.Errorf("%s: %d retries, %v", text, r.Stage("a").Retries, diags)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "123": 123, "16GB": 16e9, "16 gb": 16e9, "512MiB": 512 << 20, "1.5k": 1500, "2T": 2e12, "7b": 7,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GB", "-1", "16XB", "nan", "inf", "1e30GB", "0x"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q: %d, want an error", text, got)
		}
	}
}
