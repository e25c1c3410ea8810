package causal

import (
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/optim"
)

// BenchmarkLoRAStep times a training step of rank 8 on queries and values of a Llama
// with 6.3M parameters, 8 x 256 tokens, AdamW included. DISTILLFLOW_DEVICE names the
// device. tools/oracle/bench/lora_ratio.sh sets it beside transformers and PEFT.
func BenchmarkLoRAStep(b *testing.B) {
	name := os.Getenv("DISTILLFLOW_DEVICE")
	if name == "" {
		name = device.CPU
	}
	dev, err := device.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	const rows, seq = 8, 256
	d := decoder.Config{Arch: decoder.Llama, Vocab: 4096, Dim: 256, Layers: 6, Heads: 8, KVHeads: 8, FFN: 800, MaxSeq: seq, Tied: true, InitStd: 0.02}.WithDefaults()
	base, err := decoder.Init(d, 1)
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
	ids, labels, w := make([]int32, n), make([]int32, n), make([]float32, n)
	for i := range ids {
		ids[i] = int32(i * 7919 % d.Vocab)
		labels[i], w[i] = int32((i+1)*7919%d.Vocab), 1/float32(n)
	}
	bases := []Base{Plain(dev, d, base.Args(nil))}
	parts := 1
	if !dev.IsXLA() {
		parts = 4 // as the training stages do
		bases = slices.Repeat(bases, min(parts, runtime.GOMAXPROCS(0)))
	}
	var batches []Batch
	for k := range parts {
		lo, hi := n/parts*k, n/parts*(k+1)
		batches = append(batches, Batch{Rows: rows / parts, Seq: seq, IDs: ids[lo:hi], Labels: labels[lo:hi], Weight: w[lo:hi]})
	}
	t, err := NewTuner(adapters, TunerOptions{Bases: bases, LoRA: &c})
	if err != nil {
		b.Fatal(err)
	}
	opt := optim.NewAdamW(adapters, nil)
	step := func() {
		r, err := t.Gradients(batches...)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := opt.Step(adapters, r.Grads, 2e-4); err != nil {
			b.Fatal(err)
		}
	}
	step() // compiles
	for b.Loop() {
		step()
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "tok/s")
}
