package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
)

// The count against one made by hand for a model of one layer.
func TestModelFLOP(t *testing.T) {
	c := decoder.Config{Arch: decoder.Llama, Vocab: 10, Dim: 4, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 2, FFN: 6}
	const rows, seq = 2, 8
	weights := 4*4 + 2*(2*4) + 4*4 + 3*(4*6) + 10*4 // q, k and v, o, ffn, head; an untied embedding is looked up
	// Scores and their use: 2 products of 2*seq*width operations a token, half of them masked.
	attention := 3 * (2 * 2 * seq * 4 / 2) * rows * seq
	want := float64(4*weights*rows*seq + attention)
	if got := modelFLOP(c, rows, seq); got != want {
		t.Errorf("%g, want %g", got, want)
	}
}

func TestJobTrainsAndTable(t *testing.T) {
	dir := t.TempDir()
	if err := run(t.Context(), []string{"jobs", "-shapes", "tiny-mistral", "-rows", "2", "-seq", "8", "-steps", "3", "-rank", "2", "-dtype", "float32", "-out", dir}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "tiny-mistral.job.json"))
	if err != nil {
		t.Fatal(err)
	}
	var j job
	if err := json.Unmarshal(data, &j); err != nil {
		t.Fatal(err)
	}
	for _, id := range j.IDs {
		if id < 0 || int(id) >= j.Config.Vocab {
			t.Fatalf("id %d of %d", id, j.Config.Vocab)
		}
	}
	j.LR = 1e-2
	r := result{Work: training, System: "distillflow", Shape: j.Shape}
	if err := train(t.Context(), device.CPU, j, false, &r); err != nil {
		t.Fatal(err)
	}
	// Fresh random weights know nothing: the first loss is about log(vocabulary).
	if math.Abs(r.FirstLoss-math.Log(512)) > 0.1 || !(r.LastLoss < r.FirstLoss) || !(r.TokensPerSec > 0) {
		t.Errorf("%+v", r)
	}
	if err := writeJSON(filepath.Join(dir, "a.result.json"), r); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(filepath.Join(dir, "b.result.json"), result{Work: training, System: eagerSystem, Shape: "tiny-mistral", TokensPerSec: r.TokensPerSec / 2, Error: "out of\nmemory"}); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := table(&out, []string{dir}, 0.001); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "failed: out of memory") || strings.Count(s, "\n") != 3 || !strings.Contains(s, " % ") || !strings.Contains(s, "2.00 x eager") {
		t.Error(s)
	}
}

func TestReadSize(t *testing.T) {
	for in, want := range map[string]int64{"0 B": 0, "12 B": 12, "1.5 KiB": 1536, "2.0 GiB": 2 << 30, "x": 0, "3 MB": 3e6} {
		if got := readSize(in); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

func TestUnknown(t *testing.T) {
	for _, args := range [][]string{nil, {"fly"}, {"jobs", "-shapes", "9b", "-out", t.TempDir()}, {"train", "-job", "none"}, {"table"}, {"parity", "-device", "cpu", "-repo", t.TempDir(), "-out", t.TempDir()}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

func TestStepBytes(t *testing.T) {
	c := decoder.Config{Arch: decoder.Llama, Vocab: 10, Dim: 4, Layers: 1, Heads: 2, KVHeads: 1, HeadDim: 2, FFN: 6}
	weights := 4*4 + 2*(2*4) + 4*4 + 3*(4*6) + 10*4 + 3*4 // the embedding is looked up
	cache := 3 * 5 * 2 * 2                                // rows, positions, keys and values
	if got, want := stepBytes(c, 3, 5, 2), float64(2*(weights+cache)); got != want {
		t.Errorf("%g, want %g", got, want)
	}
}

func TestDecode(t *testing.T) {
	c, err := shapeOf("tiny-gemma", 8)
	if err != nil {
		t.Fatal(err)
	}
	var r result
	j := job{Config: c, Rows: 2, Seq: 3, DType: "float32", IDs: []int32{1, 2, 3, 4, 5, 6}}
	if err := decode(t.Context(), device.CPU, j, 4, 100, &r); err != nil {
		t.Fatal(err)
	}
	if !(r.StepSeconds > 0) || !(r.Bandwidth > 0) {
		t.Errorf("%+v", r)
	}
}

// What checkpoint writes opens as a published model of its shape.
func TestCheckpoint(t *testing.T) {
	for _, shape := range []string{"tiny-mistral", "tiny-gemma"} {
		dir := t.TempDir()
		if err := run(t.Context(), []string{"checkpoint", "-shapes", shape, "-repo", filepath.Join("..", "..", ".."), "-out", dir}); err != nil {
			t.Fatal(err)
		}
		dev, err := device.Open(device.CPU)
		if err != nil {
			t.Fatal(err)
		}
		m, err := causal.Open(t.Context(), dev, dir, causal.Options{})
		if err != nil {
			t.Fatal(shape, err)
		}
		if m.Config.Arch != models[shape].Arch || m.Config.Dim != models[shape].Dim {
			t.Errorf("%s: %+v", shape, m.Config)
		}
	}
}

func TestReadRouted(t *testing.T) {
	const start = `{"time":"2026-01-01T00:00:00Z","kind":"stage_started","stage":"pair"}
{"time":"2026-01-01T00:00:01Z","kind":"stage_progress","stage":"other","values":{"x":9}}
`
	const steps = `{"time":"2026-01-01T00:00:10Z","kind":"stage_progress","stage":"pair","values":{"nll/a":3,"nll/b":5}}
{"time":"2026-01-01T00:00:12Z","kind":"stage_progress","stage":"pair","values":{"nll/a":2,"nll/b":2}}
{"time":"2026-01-01T00:00:14Z","kind":"stage_progress","stage":"pair","values":{"nll/a":1,"nll/b":2}}
`
	for name, c := range map[string]struct{ events, want string }{
		"whole":   {start + steps + `{"time":"2026-01-01T00:00:15Z","kind":"stage_done","stage":"pair","values":{"tokens_per_second":7,"steps_per_second":0.5}}`, ""},
		"stopped": {start + steps, "stopped after 3 steps"},
		"none":    {start, "no step"},
		"failed":  {start + `{"kind":"stage_failed","stage":"pair","error":"out of memory"}`, "out of memory"},
		"broken":  {start + "{", "unexpected end"},
	} {
		file := filepath.Join(t.TempDir(), "events")
		if err := os.WriteFile(file, []byte(c.events), 0o600); err != nil {
			t.Fatal(err)
		}
		var r result
		err := readRouted(file, &r)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
			continue
		}
		if err != nil || r.StepSeconds != 2 || r.CompileSeconds != 8 || r.FirstLoss != 4 || r.LastLoss != 1.5 || r.TokensPerSec != 7 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}
