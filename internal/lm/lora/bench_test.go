package lora

import (
	"os"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
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
	c, err := Config{Rank: 8, Alpha: 32, Targets: []string{"q_proj", "v_proj"}}.Resolve()
	if err != nil {
		b.Fatal(err)
	}
	adapters, err := Init(d, c, 2)
	if err != nil {
		b.Fatal(err)
	}
	nb, na := len(base), len(adapters)
	e, err := NewExec(dev.Backend, func(in []*Node) []*Node {
		m := &decoder.Model{Config: d, Params: in[:nb], Delta: Delta(c, in[nb:nb+na], nil)}
		a, rest := in[nb:nb+na], in[nb+na:]
		total, _ := m.ChunkedLoss(m.Hidden(rest[0]), rest[1], rest[2], 512)
		return append([]*Node{total}, Gradient(total, a...)...)
	})
	if err != nil {
		b.Fatal(err)
	}
	n := rows * seq
	ids, labels, w := make([]int32, n), make([]int32, n), make([]float32, n)
	for i := range ids {
		ids[i] = int32(i * 7919 % d.Vocab)
		labels[i], w[i] = int32((i+1)*7919%d.Vocab), 1/float32(n)
	}
	frozen := base.Args(nil)
	batch := []any{tensors.FromFlatDataAndDimensions(ids, rows, seq), tensors.FromFlatDataAndDimensions(labels, n), tensors.FromFlatDataAndDimensions(w, n)}
	opt := optim.NewAdamW(adapters, nil)
	step := func() {
		args := adapters.Args(append([]any(nil), frozen...))
		out, err := e.Call(append(args, batch...)...)
		if err != nil {
			b.Fatal(err)
		}
		var grads [][]float32
		for _, g := range out[1:] {
			grads = append(grads, tensors.MustCopyFlatData[float32](g))
		}
		if _, err := opt.Step(adapters, grads, 2e-4); err != nil {
			b.Fatal(err)
		}
	}
	step() // compiles
	for b.Loop() {
		step()
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "tok/s")
}
