package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

const (
	logitsTolerance = 1e-4 // of float32 logits; 10 times that on a GPU, which adds in another order
	bf16Factor      = 1.5  // how much further from float32 than transformers bfloat16 may be
	lossTolerance   = 1e-3 // relative, over 20 steps
)

// check is one line of the parity suite.
type check struct {
	Name   string  `json:"name"`
	Got    float64 `json:"got"`
	Limit  float64 `json:"limit"`
	Passed bool    `json:"passed"`
}

// parity compares the device with the golden files of transformers and PEFT that lie
// in the repository, and fails when anything is too far off.
func parity(ctx context.Context, name, repo, out string, r *result) error {
	dev, err := device.Open(name)
	if err != nil {
		return err
	}
	lm := filepath.Join(repo, "internal", "lm")
	dirs, err := filepath.Glob(filepath.Join(lm, "decoder", "testdata", "hf", "*", "golden.safetensors"))
	if err != nil || len(dirs) == 0 {
		return fmt.Errorf("no golden checkpoints below %s (-repo names the repository): %w", lm, errors.Join(err, os.ErrNotExist))
	}
	var checks []check
	passed := 0
	add := func(name string, got, limit float64) {
		c := check{name, got, limit, got <= limit}
		checks = append(checks, c)
		if c.Passed {
			passed++
		}
		r.Note = fmt.Sprintf("%d of %d checks passed", passed, len(checks))
		fmt.Printf("%-34s %-4s %.3g (limit %.3g)\n", name, map[bool]string{true: "ok", false: "FAIL"}[c.Passed], got, limit)
	}
	limit := logitsTolerance
	if dev.IsGPU() {
		limit *= 10
	}
	r.Device = dev.Platform()
	fmt.Printf("parity on %s\n", r.Device)
	for _, golden := range dirs {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir := filepath.Dir(golden)
		name := filepath.Base(dir)
		want, _, err := floats(golden, "logits")
		if err != nil {
			return err
		}
		hf, _, err := floats(golden, "logits_bf16")
		if err != nil {
			return err
		}
		for _, dtype := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
			got, err := logitsOf(ctx, dev, dir, golden, dtype)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if dtype == dtypes.Float32 {
				add(name+" float32 logits", furthest(got, want), limit)
			} else {
				add(name+" bfloat16 logits, rms", rms(got, want), bf16Factor*rms(hf, want))
			}
		}
	}
	starts, err := filepath.Glob(filepath.Join(lm, "lora", "testdata", "*", "start"))
	if err != nil {
		return err
	}
	for _, start := range starts {
		if _, err := os.Stat(filepath.Join(filepath.Dir(start), "golden.safetensors")); err != nil {
			continue // an adapter without a record of training
		}
		name := filepath.Base(filepath.Dir(start))
		worst, err := trainingOf(ctx, dev, filepath.Join(lm, "decoder", "testdata", "hf", name), filepath.Dir(start))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		add(name+" losses of LoRA training", worst, lossTolerance)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(out, "parity.json"), checks); err != nil {
		return err
	}
	if passed < len(checks) {
		return fmt.Errorf("%d of %d parity checks failed", len(checks)-passed, len(checks))
	}
	return nil
}

// loaded are a checkpoint's parameters on the device.
func loaded(ctx context.Context, dev *device.Device, dir string, dtype dtypes.DType) (c decoder.Config, params []any, err error) {
	m, err := pretrained.Open(ctx, dir, pretrained.Options{})
	if err != nil {
		return c, nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	ts, err := m.LoadParams(dev, dtype)
	for _, t := range ts {
		params = append(params, t)
	}
	return m.Config, params, err
}

func logitsOf(ctx context.Context, dev *device.Device, dir, golden string, dtype dtypes.DType) ([]float32, error) {
	c, params, err := loaded(ctx, dev, dir, dtype)
	if err != nil {
		return nil, err
	}
	ids, dims, err := floats(golden, "ids")
	if err != nil {
		return nil, err
	}
	e, err := NewExec(dev.Backend, func(in []*Node) *Node {
		m := &decoder.Model{Config: c, Params: in[:len(params)]}
		return m.Logits(m.Hidden(in[len(params)]))
	})
	if err != nil {
		return nil, err
	}
	defer e.Finalize()
	out, err := e.Call(append(params, tensors.FromFlatDataAndDimensions(integers(ids), dims...))...)
	if err != nil {
		return nil, err
	}
	return tensors.CopyFlatData[float32](out[0])
}

// trainingOf repeats PEFT's training steps and returns the largest relative
// difference of a loss.
func trainingOf(ctx context.Context, dev *device.Device, base, adapter string) (worst float64, err error) {
	c, params, err := loaded(ctx, dev, base, dtypes.Float32)
	if err != nil {
		return 0, err
	}
	l, s, _, err := lora.Load(filepath.Join(adapter, "start"), c)
	if err != nil {
		return 0, err
	}
	golden := filepath.Join(adapter, "golden.safetensors")
	text, dims, err := floats(golden, "batch")
	if err != nil {
		return 0, err
	}
	mask, _, err := floats(golden, "weight")
	if err != nil {
		return 0, err
	}
	want, _, err := floats(golden, "losses")
	if err != nil {
		return 0, err
	}
	ids := integers(text)
	labels, w := nextTokens(ids, mask, dims[1])
	tuner, err := causal.NewTuner(s, causal.TunerOptions{Bases: []causal.Base{causal.Plain(dev, c, params)}, LoRA: &l})
	if err != nil {
		return 0, err
	}
	opt := optim.NewAdamW(s, slices.Repeat([]bool{true}, len(s)))
	opt.Clip = 1
	batch := causal.Batch{Rows: dims[0], Seq: dims[1], IDs: ids, Labels: labels, Weight: w}
	for _, loss := range want {
		got, err := step1(tuner, opt, batch, 1e-2) // the rate of tools/oracle/lora
		if err != nil {
			return 0, err
		}
		worst = math.Max(worst, math.Abs(got-float64(loss))/float64(loss))
	}
	return worst, nil
}

func floats(file, name string) (v []float32, dims []int, err error) {
	f, err := safetensors.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	t, err := f.Tensor(name)
	if err != nil {
		return nil, nil, err
	}
	v, err = t.Float32(nil)
	return v, slices.Clone(t.Shape), err
}

func integers(v []float32) []int32 {
	out := make([]int32, len(v))
	for i, x := range v {
		out[i] = int32(x)
	}
	return out
}

func furthest(a, b []float32) (worst float64) {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	for i := range a {
		if d := math.Abs(float64(a[i] - b[i])); !(d <= worst) {
			worst = d
		}
	}
	return worst
}

func rms(a, b []float32) (sum float64) {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	for i := range a {
		d := float64(a[i] - b[i])
		sum += d * d / float64(len(a))
	}
	return math.Sqrt(sum)
}
