package generate

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
)

var special = tokenizer.Special{Pad: 0, BOS: 1, EOS: 2}

func model(t testing.TB, arch decoder.Arch, seed uint64) (*device.Device, Model) {
	t.Helper()
	dev, err := device.Open(device.Auto)
	if err != nil {
		t.Fatal(err)
	}
	c := decoder.Config{Arch: arch, Vocab: 11, Dim: 8, Layers: 2, Heads: 2, KVHeads: 1, MaxSeq: 32, Tied: arch == decoder.Gemma, InitStd: 0.6}.WithDefaults()
	p, err := decoder.Init(c, seed)
	if err != nil {
		t.Fatal(err)
	}
	return dev, Model{Config: c, Params: p.Args(nil), Pad: special.Pad, Ends: []int32{special.EOS}}
}

// slow continues one prompt by running the whole sequence for every token.
func slow(t *testing.T, dev *device.Device, m Model, prompt []int32, maxNew int) Output {
	t.Helper()
	n := len(m.Params)
	e, err := NewExec(dev.Backend, func(in []*Node) *Node {
		d := &decoder.Model{Config: m.Config, Params: in[:n], Plain: true}
		return LogSoftmax(d.Logits(d.Hidden(in[n])), -1)
	})
	if err != nil {
		t.Fatal(err)
	}
	var out Output
	ids := slices.Clone(prompt)
	for range maxNew {
		res, err := e.Call(append(slices.Clone(m.Params), tensors.FromFlatDataAndDimensions(ids, 1, len(ids)))...)
		if err != nil {
			t.Fatal(err)
		}
		flat := tensors.MustCopyFlatData[float32](res[0])
		row := flat[len(flat)-m.Config.Vocab:]
		best := 0
		for i, v := range row {
			if v > row[best] {
				best = i
			}
		}
		out.LogProbs = append(out.LogProbs, float64(row[best]))
		if slices.Contains(m.Ends, int32(best)) {
			out.Ended = true
			break
		}
		out.IDs = append(out.IDs, int32(best))
		ids = append(ids, int32(best))
	}
	return out
}

func TestGreedyMatchesWholeSequences(t *testing.T) {
	ended, open := 0, 0
	for _, arch := range []decoder.Arch{decoder.Llama, decoder.Gemma} {
		for seed := range uint64(4) {
			dev, m := model(t, arch, seed)
			r := rand.New(rand.NewPCG(seed, 1))
			var prompts [][]int32
			for i := range 5 {
				p := []int32{special.BOS}
				for range 1 + 3*i {
					p = append(p, int32(3+r.IntN(8)))
				}
				prompts = append(prompts, p)
			}
			got, err := Run(context.Background(), dev, m, prompts, Options{MaxNew: 8, Batch: 2})
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range prompts {
				want := slow(t, dev, m, p, 8)
				if !slices.Equal(got[i].IDs, want.IDs) || got[i].Ended != want.Ended {
					t.Fatalf("%s seed %d prompt %d: %v, want %v", arch, seed, i, got[i], want)
				}
				for j := range want.LogProbs {
					if math.Abs(got[i].LogProbs[j]-want.LogProbs[j]) > 1e-4 {
						t.Fatalf("%s seed %d prompt %d token %d: log-probability %v, want %v", arch, seed, i, j, got[i].LogProbs[j], want.LogProbs[j])
					}
				}
				if want.Ended {
					ended++
				} else {
					open++
				}
			}
		}
	}
	if ended == 0 || open == 0 {
		t.Errorf("%d rows ended, %d did not: the test covers one case only", ended, open)
	}
}

func TestErrors(t *testing.T) {
	dev, m := model(t, decoder.Llama, 1)
	ctx := context.Background()
	if _, err := Run(ctx, dev, m, [][]int32{{1}, {}}, Options{MaxNew: 4}); err == nil {
		t.Error("empty prompt accepted")
	}
	if _, err := Run(ctx, dev, m, [][]int32{{1}}, Options{}); err == nil {
		t.Error("no new tokens accepted")
	}
	if _, err := Run(ctx, dev, m, [][]int32{make([]int32, 30)}, Options{MaxNew: 4}); err == nil {
		t.Error("too long accepted")
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	m.Ends = nil // nothing ends by itself
	if _, err := Run(done, dev, m, [][]int32{{1}}, Options{MaxNew: 4}); err == nil {
		t.Error("a cancelled context was ignored")
	}
	if out, err := Run(ctx, dev, m, nil, Options{MaxNew: 4}); err != nil || out != nil {
		t.Errorf("no prompts: %v, %v", out, err)
	}
}

func BenchmarkGreedy(b *testing.B) {
	dev, err := device.Open(device.CPU)
	if err != nil {
		b.Fatal(err)
	}
	c := decoder.Config{Arch: decoder.Llama, Vocab: 128, Dim: 64, Layers: 2, Heads: 2, MaxSeq: 64}.WithDefaults()
	p, err := decoder.Init(c, 1)
	if err != nil {
		b.Fatal(err)
	}
	m := Model{Config: c, Params: p.Args(nil)}
	prompts := make([][]int32, 64)
	for i := range prompts {
		prompts[i] = []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	}
	for _, batch := range []int{16, 64} {
		b.Run(fmt.Sprintf("B%d", batch), func(b *testing.B) {
			start := time.Now()
			n := 0
			for b.Loop() {
				if _, err := Run(context.Background(), dev, m, prompts, Options{MaxNew: 32, Batch: batch}); err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64(n*64*32)/time.Since(start).Seconds(), "tok/s")
		})
	}
}
