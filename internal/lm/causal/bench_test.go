package causal

import (
	"os"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/optim"
)

// BenchmarkLoRAStep times a training step of rank 8 on queries and values, AdamW included,
// of random weights in the shapes of a Llama with 6.3M parameters and of Gemma 3 270M.
// DISTILLFLOW_DEVICE names the device. tools/oracle/bench/lora_ratio.sh sets it beside
// transformers and PEFT.
func BenchmarkLoRAStep(b *testing.B) {
	for _, s := range []struct {
		name      string
		rows, seq int
		config    decoder.Config
	}{
		{"llama6m", 8, 256, decoder.Config{Arch: decoder.Llama, Vocab: 4096, Dim: 256, Layers: 6, Heads: 8, KVHeads: 8, FFN: 800, Tied: true}},
		{"gemma270m", 4, 256, decoder.Config{Arch: decoder.Gemma3, Vocab: 262144, Dim: 640, Layers: 18, Heads: 4, KVHeads: 1, HeadDim: 256, FFN: 2048, Tied: true}},
	} {
		s.config.MaxSeq = s.seq
		b.Run(s.name, func(b *testing.B) { loraStep(b, s.config.WithDefaults(), s.rows, s.seq) })
	}
}

func loraStep(b *testing.B, d decoder.Config, rows, seq int) {
	name := os.Getenv("DISTILLFLOW_DEVICE")
	if name == "" {
		name = device.CPU
	}
	dev, err := device.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	c, err := lora.Config{Rank: 8, Alpha: 32, Targets: []string{"q_proj", "v_proj"}}.Resolve()
	if err != nil {
		b.Fatal(err)
	}
	adapters, err := lora.Init(d, c, 2)
	if err != nil {
		b.Fatal(err)
	}
	n := rows * seq
	x := Batch{Rows: rows, Seq: seq, IDs: make([]int32, n), Labels: make([]int32, n), Weight: make([]float32, n)}
	for i := range x.IDs {
		x.IDs[i] = int32(i * 7919 % d.Vocab)
		x.Labels[i], x.Weight[i] = int32((i+1)*7919%d.Vocab), 1/float32(n)
	}
	t, err := NewTuner(adapters, TunerOptions{Bases: []Base{Plain(dev, d, noise(d))}, LoRA: &c})
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	opt := optim.NewAdamW(adapters, nil)
	step := func() {
		r, err := t.Gradients(x)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := opt.Step(adapters, r.Grads, 2e-4); err != nil {
			b.Fatal(err)
		}
	}
	step() // compiles, or makes room
	for b.Loop() {
		step()
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "tok/s")
	b.ReportMetric(float64(status(b, "VmHWM")>>20), "peak-MiB")
}

// noise is small numbers in the shapes of a decoder's parameters; norms are close to 1.
func noise(c decoder.Config) (params []any) {
	seed := uint32(1)
	for _, p := range decoder.Layout(c) {
		t := tensors.FromShape(shapes.Make(dtypes.Float32, p.Dims...))
		_ = t.MutableFlatData(func(flat any) {
			for i := range flat.([]float32) {
				seed = seed*1664525 + 1013904223
				v := (float32(seed>>8)/(1<<24) - 0.5) * 0.07 // of a standard deviation of 0.02
				if len(p.Dims) == 1 && !c.Features().NormPlusOne {
					v++
				}
				flat.([]float32)[i] = v
			}
		})
		params = append(params, t)
	}
	return params
}
