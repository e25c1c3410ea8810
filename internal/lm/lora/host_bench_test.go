package lora

import (
	"slices"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/decoder"
)

// BenchmarkHostLoRAStep times losses and gradients of rank 8 on queries and values, without a
// graph: of a Llama with 6.3M parameters, 8 x 256 tokens, and in the shape of Gemma 3 270M,
// 4 x 256.
func BenchmarkHostLoRAStep(b *testing.B) {
	llama := decoder.Config{Arch: decoder.Llama, Vocab: 4096, Dim: 256, Layers: 6, Heads: 8, KVHeads: 8, FFN: 800, MaxSeq: 256, Tied: true, InitStd: 0.02}
	gemma := decoder.Config{Arch: decoder.Gemma3, Vocab: 262144, Dim: 640, Layers: 18, Heads: 4, KVHeads: 1, HeadDim: 256, FFN: 2048, MaxSeq: 256, Tied: true, InitStd: 0.02}
	for _, s := range []struct {
		name   string
		config decoder.Config
		rows   int
	}{{"llama-6M", llama, 8}, {"gemma3-270M", gemma, 4}} {
		b.Run(s.name, func(b *testing.B) {
			const seq = 256
			d := s.config.WithDefaults()
			base, err := decoder.Init(d, 1)
			if err != nil {
				b.Fatal(err)
			}
			c, err := Config{Rank: 8, Alpha: 32, Targets: []string{"q_proj", "v_proj"}}.Resolve()
			if err != nil {
				b.Fatal(err)
			}
			var frozen []decoder.HostParam
			for i := range base {
				frozen = append(frozen, decoder.HostParam{F32: base[i].Data})
			}
			n := s.rows * seq
			ids, labels, w := make([]int32, n), make([]int32, n), make([]float32, n)
			for i := range ids {
				ids[i], labels[i], w[i] = int32(i*7919%d.Vocab), int32((i+1)*7919%d.Vocab), 1/float32(n)
			}
			h, err := decoder.NewHostTrainer(d, trained(b, d, c), decoder.HostTrainOptions{Adapters: c.Host(), Base: frozen})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Stop()
			pass := decoder.HostPass{Lengths: slices.Repeat([]int{seq}, s.rows)}
			hostGrads(b, h, ids, labels, w, pass) // makes the buffers
			for b.Loop() {
				hostGrads(b, h, ids, labels, w, pass)
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "tok/s")
		})
	}
}
