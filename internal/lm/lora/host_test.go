package lora

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// trained are adapters whose B is not zero.
func trained(t testing.TB, d decoder.Config, c Config) weights.Set {
	t.Helper()
	s, err := Init(d, c, 3)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for i := range s {
		for j := range s[i].Data {
			s[i].Data[j] += float32(r.NormFloat64()) * 0.1
		}
	}
	return s
}

// The host's gradients of adapters equal the graph's, with dropout of the same elements in
// rows of several lengths, whatever is below the lowest adapter.
func TestHostGradientsEqualGraph(t *testing.T) {
	dev, err := device.Open(device.CPU)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]Config{
		"all":           {Rank: 3, Alpha: 8, Targets: []string{"*"}},
		"dropout":       {Rank: 2, Alpha: 8, Targets: []string{"*"}, Dropout: 0.3},
		"rslora":        {Rank: 4, Alpha: 8, Targets: []string{"q_proj", "v_proj"}, RSLoRA: true, Dropout: 0.1},
		"output":        {Rank: 2, Alpha: 4, Targets: []string{"o_proj"}},
		"gate":          {Rank: 2, Alpha: 4, Targets: []string{"gate_proj"}},
		"down":          {Rank: 2, Alpha: 4, Targets: []string{"down_proj"}, Dropout: 0.5},
		"keys and down": {Rank: 2, Alpha: 4, Targets: []string{"k_proj", "down_proj"}},
	}
	for _, family := range []string{"llama", "llama-biases-linear", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3"} {
		d, base := readBase(t, family)
		const rows, seq = 3, 10
		lengths := []int{7, seq, 2}
		r := rand.New(rand.NewPCG(1, 2))
		var ids, labels []int32
		var w []float32
		for i := range rows * seq {
			ids, labels = append(ids, int32(r.IntN(d.Vocab))), append(labels, int32(r.IntN(d.Vocab)))
			w = append(w, 0)
			if i%seq < lengths[i/seq] {
				w[i] = float32(r.IntN(3)) / 2
			}
		}
		for name, c := range cases {
			t.Run(family+"/"+name, func(t *testing.T) {
				c, err := c.Resolve()
				if err != nil {
					t.Fatal(err)
				}
				s := trained(t, d, c)
				const seed = 77
				e, err := NewExec(dev.Backend, func(in []*Node) []*Node {
					m := &decoder.Model{Config: d, Params: in[:len(base)]}
					in = in[len(base):]
					params := in[:len(s)]
					in = in[len(s):]
					m.Delta = Delta(c, params, in[3])
					total, _ := m.ChunkedLoss(m.Hidden(in[0]), in[1], in[2], 0)
					return append([]*Node{total}, Gradient(total, params...)...)
				})
				if err != nil {
					t.Fatal(err)
				}
				want, err := e.Call(append(s.Args(base.Args(nil)), tensors.FromFlatDataAndDimensions(ids, rows, seq), labels, w, uint32(seed))...)
				if err != nil {
					t.Fatal(err)
				}
				loss := float64(tensors.ToScalar[float32](want[0]))
				var frozen []decoder.HostParam
				for i := range base {
					frozen = append(frozen, decoder.HostParam{F32: base[i].Data})
				}
				var before [][]float32
				for _, threads := range []int{1, 5} {
					h, err := decoder.NewHostTrainer(d, s, decoder.HostTrainOptions{Adapters: c.Host(), Base: frozen, Threads: threads, Recompute: threads == 5})
					if err != nil {
						t.Fatal(err)
					}
					defer h.Stop()
					total, grads := hostGrads(t, h, cut(ids, seq, lengths), cut(labels, seq, lengths), cut(w, seq, lengths),
						decoder.HostPass{Lengths: lengths, Seed: seed, Seq: seq})
					if math.Abs(total-loss) > 1e-5*loss {
						t.Errorf("loss %v, the graph's %v", total, loss)
					}
					for i := range s {
						if d := apart(grads[i], tensors.MustCopyFlatData[float32](want[i+1])); !(d < 2e-5) {
							t.Errorf("%s differs by %.2g", s[i].Name, d)
						}
						if before != nil && !slices.Equal(before[i], grads[i]) {
							t.Errorf("%d goroutines: other bits in %s", threads, s[i].Name)
						}
					}
					before = grads
				}
			})
		}
	}
}

// hostGrads is a training pass of the trainer: the loss and the gradients.
func hostGrads(t testing.TB, h *decoder.HostTrainer, ids, labels []int32, w []float32, p decoder.HostPass) (float64, [][]float32) {
	t.Helper()
	var grads [][]float32
	for _, x := range h.Trained() {
		grads = append(grads, make([]float32, len(x.Data)))
	}
	p.IDs, p.Training = ids, true
	if _, err := h.Forward(p); err != nil {
		t.Fatal(err)
	}
	total, err := h.TokenLoss(nil, labels, w, grads)
	if err != nil {
		t.Fatal(err)
	}
	h.Backward(grads)
	return total, grads
}

// cut takes the first lengths[r] columns of each row.
func cut[T any](x []T, seq int, lengths []int) (out []T) {
	for r, n := range lengths {
		out = append(out, x[r*seq:][:n]...)
	}
	return out
}

// apart is the norm of the difference, relative to that of what is wanted.
func apart(got, want []float32) float64 {
	var diff, size float64
	for i := range want {
		d := float64(got[i]) - float64(want[i])
		diff, size = diff+d*d, size+float64(want[i])*float64(want[i])
	}
	return math.Sqrt(diff / size)
}

// Without training nothing is dropped, and bfloat16 weights count as the numbers they are.
func TestHostForwardWithAdapters(t *testing.T) {
	d, base := readBase(t, "qwen2")
	c, err := Config{Rank: 2, Alpha: 4, Targets: []string{"*"}, Dropout: 0.5}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	s := trained(t, d, c)
	var f32, bf16 []decoder.HostParam
	for _, p := range base {
		half := make([]uint16, len(p.Data))
		for i, v := range p.Data {
			half[i] = uint16(math.Float32bits(v) >> 16)
			p.Data[i] = math.Float32frombits(uint32(half[i]) << 16)
		}
		f32, bf16 = append(f32, decoder.HostParam{F32: p.Data}), append(bf16, decoder.HostParam{BF16: half})
	}
	ids := []int32{1, 2, 3, 4, 5}
	labels, w := []int32{2, 3, 4, 5, 6}, []float32{1, 1, 0, 1, 1}
	run := func(p []decoder.HostParam, adapters *decoder.HostAdapters, pass decoder.HostPass) ([]float32, [][]float32) {
		h, err := decoder.NewHostTrainer(d, s, decoder.HostTrainOptions{Adapters: adapters, Base: p})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Stop()
		_, grads := hostGrads(t, h, ids, labels, w, pass)
		pass.IDs, pass.Training = ids, false
		hidden, err := h.Forward(pass)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(hidden), grads
	}
	pass := decoder.HostPass{Lengths: []int{3, 2}, Seed: 9}
	want, grads := run(f32, c.Host(), pass)
	half, halfGrads := run(bf16, c.Host(), pass)
	if !slices.Equal(want, half) {
		t.Error("bfloat16 weights give other hidden states")
	}
	for i := range grads {
		if !slices.Equal(grads[i], halfGrads[i]) {
			t.Errorf("bfloat16 weights give another gradient of %s", s[i].Name)
		}
	}
	plain := c
	plain.Dropout = 0
	if got, _ := run(f32, plain.Host(), pass); !slices.Equal(got, want) {
		t.Error("dropout changes hidden states without training")
	}
}

func TestDropKeepsTheShare(t *testing.T) {
	x, y := slices.Repeat([]float32{2}, 1<<14), make([]float32, 1<<14)
	for _, p := range []float64{0.1, 0.5, 0.9} {
		drop(y, x, 1, 2, 3, p)
		kept := 0
		for _, v := range y {
			if v != 0 {
				kept++
				if want := float32(2 * (1 / (1 - p))); math.Abs(float64(v-want)) > 1e-5 {
					t.Fatalf("%v, want %v", v, want)
				}
			}
		}
		if share := float64(kept) / float64(len(x)); math.Abs(share-(1-p)) > 0.02 {
			t.Errorf("%v of the elements are kept with a chance of %v to drop", share, p)
		}
		// Where a piece begins does not matter.
		z := make([]float32, 100)
		drop(z, x[50:], 1, 2, 53, p)
		if !slices.Equal(z, y[50:150]) {
			t.Error("a piece drops other elements than the whole")
		}
	}
}
