package generate

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/decoder"
)

// BenchmarkGreedy times greedy decoding of a batch of 8 prompts of 32 tokens, the reading
// of the prompts included. DISTILLFLOW_DEVICE names the device, DISTILLFLOW_BENCH_MODEL
// a checkpoint folder (default: random weights of the 6.3M-parameter Llama shape) and
// DISTILLFLOW_BENCH_NEW how many tokens each row gets. With DISTILLFLOW_BENCH_OUT the
// tokens are written there, as JSON. tools/oracle/bench/generate_ratio.sh sets it beside
// transformers.
func BenchmarkGreedy(b *testing.B) {
	const rows, prompt = 8, 32
	fresh := 128
	if v := os.Getenv("DISTILLFLOW_BENCH_NEW"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			b.Fatal(err)
		}
		fresh = n
	}
	dev := openDevice(b)
	var m Model
	if dir := os.Getenv("DISTILLFLOW_BENCH_MODEL"); dir != "" {
		m = pretrained(b, dir)
	} else {
		c := decoder.Config{Arch: decoder.Llama, Vocab: 4096, Dim: 256, Layers: 6, Heads: 8, KVHeads: 8, FFN: 800, MaxSeq: 2048, Tied: true, InitStd: 0.06}.WithDefaults()
		p, err := decoder.Init(c, 1)
		if err != nil {
			b.Fatal(err)
		}
		m = Model{Config: c, Params: p.Args(nil)}
	}
	prompts := make([][]int32, rows)
	for r := range prompts {
		for i := range prompt {
			prompts[r] = append(prompts[r], int32(3+(i*7919+r*104729)%(m.Config.Vocab-3)))
		}
	}
	g, err := New(dev, m)
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	var out []Output
	run := func() {
		if out, err = g.Run(context.Background(), prompts, Options{MaxNew: fresh, Batch: rows}); err != nil {
			b.Fatal(err)
		}
	}
	run() // compiles, and places the weights
	for b.Loop() {
		run()
	}
	b.ReportMetric(float64(b.N*rows*fresh)/b.Elapsed().Seconds(), "tok/s")
	if path := os.Getenv("DISTILLFLOW_BENCH_OUT"); path != "" {
		ids := make([][]int32, len(out))
		for i, o := range out {
			ids[i] = o.IDs
		}
		data, err := json.Marshal(ids)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}
