package generate

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
)

var special = tokenizer.Special{Pad: 0, BOS: 1, EOS: 2}

// openDevice opens the device that DISTILLFLOW_DEVICE names, the pure-Go one without it.
func openDevice(t testing.TB) *device.Device {
	t.Helper()
	name := os.Getenv("DISTILLFLOW_DEVICE")
	if name == "" {
		name = device.CPU
	}
	dev, err := device.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// generators are all ways of generating with a model on a device.
func generators(t testing.TB, dev *device.Device, m Model) map[string]*Generator {
	t.Helper()
	out := map[string]*Generator{}
	g, err := New(dev, m)
	if err != nil {
		t.Fatal(err)
	}
	if g.host != nil {
		out["host"] = g
	}
	graphs := &Generator{dev: dev, m: m}
	t.Cleanup(graphs.Close)
	out["graphs"] = graphs
	return out
}

func model(t testing.TB, arch decoder.Arch, seed uint64) (*device.Device, Model) {
	t.Helper()
	dev := openDevice(t)
	c := decoder.Config{Arch: arch, Vocab: 11, Dim: 8, Layers: 2, Heads: 2, KVHeads: 1, MaxSeq: 48, Tied: arch == decoder.Gemma, InitStd: 0.6}.WithDefaults()
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
			var got []Output
			var at string
			gens := generators(t, dev, m)
			for kind, g := range gens {
				out, err := g.Run(context.Background(), prompts, Options{MaxNew: 20, Batch: 2})
				if err != nil {
					t.Fatal(err)
				}
				got, at = append(got, out...), at+" "+kind
			}
			wants := make([]Output, len(prompts))
			for i, p := range prompts {
				wants[i] = slow(t, dev, m, p, 20)
			}
			for i := range got {
				want := wants[i%len(prompts)]
				if !slices.Equal(got[i].IDs, want.IDs) || got[i].Ended != want.Ended {
					t.Fatalf("%s seed %d prompt %d by%s: %v, want %v", arch, seed, i, at, got[i], want)
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

// The model's positions end a row, the others of its batch go on.
func TestPositionsEndRows(t *testing.T) {
	dev, m := model(t, decoder.Llama, 1)
	m.Ends = nil // nothing ends by itself
	prompts := [][]int32{make([]int32, 20), make([]int32, 47), make([]int32, 40)}
	for kind, g := range generators(t, dev, m) {
		out, err := g.Run(t.Context(), prompts, Options{MaxNew: 20, Batch: 3})
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range prompts {
			if want := slow(t, dev, m, p, min(20, 48-len(p))); out[i].Ended || !slices.Equal(out[i].IDs, want.IDs) {
				t.Errorf("%s, a prompt of %d: %v, want %v", kind, len(p), out[i].IDs, want.IDs)
			}
		}
		if _, err := g.Run(t.Context(), prompts[:1], Options{MaxNew: 1 << 40}); err != nil {
			t.Errorf("%s: as much as there is room for: %v", kind, err)
		}
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
	if _, err := Run(ctx, dev, m, [][]int32{{1}, make([]int32, 48)}, Options{MaxNew: 4}); err == nil || !strings.Contains(err.Error(), "prompt 1 has 48 tokens") {
		t.Errorf("a prompt without room for an answer: %v", err)
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

// Run continues prompts with a generator of its own.
func Run(ctx context.Context, dev *device.Device, m Model, prompts [][]int32, o Options) ([]Output, error) {
	g, err := New(dev, m)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	return g.Run(ctx, prompts, o)
}
