package decoder

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/weights"
)

// hostVariants are the variants and each feature by itself.
func hostVariants() map[string]Config {
	all := map[string]Config{}
	for name, c := range variants {
		all[name] = c
	}
	for name, change := range map[string]func(*Features){
		"plain":         func(*Features) {},
		"gelu":          func(f *Features) { f.Act = GELU },
		"gelu tanh":     func(f *Features) { f.Act = GELUTanh },
		"1+w":           func(f *Features) { f.NormPlusOne = true },
		"embed scale":   func(f *Features) { f.EmbedScale = 3 },
		"qkv bias":      func(f *Features) { f.QKVBias = true },
		"o bias":        func(f *Features) { f.OBias = true },
		"mlp bias":      func(f *Features) { f.MLPBias = true },
		"qk norm":       func(f *Features) { f.QKNorm = true },
		"sandwich norm": func(f *Features) { f.SandwichNorm = true },
		"attention cap": func(f *Features) { f.AttnCap = 1 },
		"logit cap":     func(f *Features) { f.LogitCap = 1 },
		"query scale":   func(f *Features) { f.QueryScale = 0.9 },
		"window":        func(f *Features) { f.Window, f.Sliding = 3, []bool{false, true} },
		"local rope":    func(f *Features) { f.Window, f.Sliding, f.SlidingRope.Theta = 4, []bool{true, false}, 10 },
		"rope scale":    func(f *Features) { f.Rope.Scale = 1.2 },
		"linear rope":   func(f *Features) { f.Rope.Kind, f.Rope.Factor = "linear", 3 },
	} {
		all[name] = with(testConfig(Llama, 4, 2, false), change)
	}
	return all
}

// startOf draws parameters of which none is neutral.
func startOf(t testing.TB, c Config) weights.Set {
	t.Helper()
	p, err := Init(c, 7)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for i := range p {
		if len(p[i].Dims) == 1 {
			for j := range p[i].Data {
				p[i].Data[j] += float32(r.NormFloat64()) * 0.2
			}
		}
	}
	return p
}

func newTrainer(t testing.TB, c Config, trained weights.Set, o HostTrainOptions) *HostTrainer {
	t.Helper()
	h, err := NewHostTrainer(c, trained, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Stop)
	return h
}

// hostGrads is a training pass over rows of these lengths: the loss and the gradients.
func hostGrads(t testing.TB, h *HostTrainer, ids, labels []int32, w []float32, lengths []int) (float64, [][]float32) {
	t.Helper()
	var grads [][]float32
	for _, x := range h.Trained() {
		grads = append(grads, make([]float32, len(x.Data)))
	}
	if _, err := h.Forward(HostPass{IDs: ids, Lengths: lengths, Training: true}); err != nil {
		t.Fatal(err)
	}
	total, err := h.TokenLoss(nil, labels, w, grads)
	if err != nil {
		t.Fatal(err)
	}
	h.Backward(grads)
	return total, grads
}

// apart is the largest difference, relative to the largest number.
func apart(got, want []float32) float64 {
	var worst, size float64
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i])-float64(want[i])))
		size = max(size, math.Abs(float64(want[i])))
		if got[i] != got[i] {
			return math.NaN()
		}
	}
	if size == 0 {
		return worst
	}
	return worst / size
}

// ragged takes the first lengths[r] columns of each row of x [rows, seq].
func ragged[T any](x []T, seq int, lengths []int) (out []T) {
	for r, n := range lengths {
		out = append(out, x[r*seq:][:n]...)
	}
	return out
}

func TestHostGradientsEqualGraph(t *testing.T) {
	const seq = 11
	lengths := []int{seq, 4, 7}
	for name, c := range hostVariants() {
		t.Run(name, func(t *testing.T) {
			p := startOf(t, c)
			ids, labels, w := randomBatch(c, len(lengths), seq)
			for r, n := range lengths {
				clear(w[r*seq+n : (r+1)*seq])
			}
			total, want, _ := lossAndGrads(t, c, p, false, ids, labels, w, len(lengths), seq)
			for _, recompute := range []bool{false, true} {
				h := newTrainer(t, c, p, HostTrainOptions{Recompute: recompute, Threads: 2})
				loss, got := hostGrads(t, h, ragged(ids, seq, lengths), ragged(labels, seq, lengths), ragged(w, seq, lengths), lengths)
				if math.Abs(loss-float64(total)) > 1e-5*math.Abs(loss) {
					t.Errorf("recompute %v: loss %v, the graph's %v", recompute, loss, total)
				}
				for i := range p {
					if slices.Max(want[i]) == 0 {
						t.Errorf("%s: the graph's gradient is zero: the test shows nothing", p[i].Name)
					}
					if d := apart(got[i], want[i]); !(d < 1e-5) {
						t.Errorf("recompute %v: %s differs by %.2g", recompute, p[i].Name, d)
					}
				}
			}
		})
	}
}

// More positions than a block of queries, of positions and of logits.
func TestHostGradientsOfLongRows(t *testing.T) {
	for name, change := range map[string]func(*Features){
		"plain":  func(*Features) {},
		"wide":   func(f *Features) { f.QKNorm, f.SandwichNorm = true, true },
		"window": func(f *Features) { f.Window, f.Sliding = 40, []bool{true, false} },
		"cap":    func(f *Features) { f.AttnCap = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(Llama, 4, 2, true)
			c.MaxSeq, c.Vocab = 512, 50
			if name == "wide" { // than the kernels' tiles
				c.Dim, c.HeadDim, c.FFN, c.Vocab, c.InitStd = 72, 20, 100, 333, 0.1
			}
			c = with(c, change)
			const seq = 4*attendBlock + 37
			p := startOf(t, c)
			ids, labels, w := randomBatch(c, 1, seq)
			total, want, _ := lossAndGrads(t, c, p, false, ids, labels, w, 1, seq)
			h := newTrainer(t, c, p, HostTrainOptions{Threads: 2})
			h.logitRows = 31
			loss, got := hostGrads(t, h, ids, labels, w, []int{seq})
			if math.Abs(loss-float64(total)) > 1e-5*math.Abs(loss) {
				t.Errorf("loss %v, the graph's %v", loss, total)
			}
			for i := range p {
				if d := apart(got[i], want[i]); !(d < 1e-5) {
					t.Errorf("%s differs by %.2g", p[i].Name, d)
				}
			}
		})
	}
}

// The bits do not depend on the number of goroutines, on recomputing, nor on what the
// trainer did before.
func TestHostTrainerBits(t *testing.T) {
	for _, name := range []string{"llama-gqa", "biases", "gemma2", "gemma3", "qwen3"} {
		c := variants[name]
		c.MaxSeq = 256
		p := startOf(t, c)
		lengths := []int{100, 1, 133}
		ids, labels, w := randomBatch(c, 1, 234)
		var loss float64
		var want [][]float32
		for _, threads := range []int{1, 2, 9} {
			for _, recompute := range []bool{false, true} {
				h := newTrainer(t, c, p, HostTrainOptions{Threads: threads, Recompute: recompute})
				for pass := range 2 {
					if pass == 1 { // a shorter one between
						hostGrads(t, h, ids[:9], labels[:9], w[:9], []int{4, 5})
					}
					got, grads := hostGrads(t, h, ids, labels, w, lengths)
					if want == nil {
						loss, want = got, grads
					}
					if got != loss {
						t.Errorf("%s: loss %v and %v", name, got, loss)
					}
					for i := range want {
						if !slices.Equal(grads[i], want[i]) {
							t.Fatalf("%s: %d goroutines, recompute %v: other bits in the gradient of %s", name, threads, recompute, p[i].Name)
						}
					}
				}
			}
		}
	}
}

// Along its own gradient each tensor's loss has the slope that the gradient says.
func TestHostGradientsMatchFiniteDifferences(t *testing.T) {
	for _, name := range []string{"gemma2", "gemma3", "biases"} {
		c := variants[name]
		p := startOf(t, c)
		h := newTrainer(t, c, p, HostTrainOptions{Threads: 1})
		ids, labels, w := randomBatch(c, 1, 12)
		lengths := []int{5, 7}
		loss, grads := hostGrads(t, h, ids, labels, w, lengths)
		for i := range p {
			var norm float64
			for _, g := range grads[i] {
				norm += float64(g) * float64(g)
			}
			norm = math.Sqrt(norm)
			const eps = 2e-3
			start := slices.Clone(p[i].Data)
			at := func(sign float64) float64 {
				for j := range p[i].Data {
					p[i].Data[j] = start[j] + float32(sign*eps*float64(grads[i][j])/norm)
				}
				loss, _ := hostGrads(t, h, ids, labels, w, lengths)
				return loss
			}
			// The error of the fourth order is small enough for a step that rounding allows.
			slope := (8*(at(1)-at(-1)) - (at(2) - at(-2))) / (12 * eps)
			copy(p[i].Data, start)
			// The loss is only known to float32.
			if math.Abs(slope-norm) > 1e-3*norm+2e-8*loss/eps {
				t.Errorf("%s: %s: slope %v, norm of the gradient %v", name, p[i].Name, slope, norm)
			}
		}
	}
}

// What terms read besides the loss of tokens: hidden states, logits, losses by token.
func TestHostTrainerValues(t *testing.T) {
	for _, name := range []string{"llama-gqa", "gemma2"} {
		c := variants[name]
		p := startOf(t, c)
		ids, labels, w := randomBatch(c, 2, 8)
		_, want, logits := lossAndGrads(t, c, p, false, ids, labels, w, 2, 8)
		h := newTrainer(t, c, p, HostTrainOptions{})
		lengths := []int{8, 8}
		if _, err := h.Forward(HostPass{IDs: ids, Lengths: lengths}); err != nil {
			t.Fatal(err)
		}
		nll := make([]float32, len(ids))
		if err := h.NLL(nll, nil, labels); err != nil {
			t.Fatal(err)
		}
		same, ranks := make([]float32, len(ids)), make([]float32, len(ids))
		if err := h.Surprisals(same, ranks, nil, labels); err != nil {
			t.Fatal(err)
		}
		for i, label := range labels {
			row := slices.Sorted(slices.Values(logits[i*c.Vocab:][:c.Vocab]))
			slices.Reverse(row)
			if rank := slices.Index(row, logits[i*c.Vocab+int(label)]) + 1; same[i] != nll[i] || int(ranks[i]) != rank {
				t.Errorf("%s: position %d has the loss %v and the rank %v, want %v and %d", name, i, same[i], ranks[i], nll[i], rank)
			}
		}
		at := []int32{15, 3, 4}
		some := make([]float32, len(at)*c.Vocab)
		if err := h.Logits(some, at); err != nil {
			t.Fatal(err)
		}
		for i, p := range at {
			row := logits[int(p)*c.Vocab:][:c.Vocab]
			if d := apart(some[i*c.Vocab:][:c.Vocab], row); !(d < 1e-5) {
				t.Errorf("%s: logits of position %d differ by %.2g", name, p, d)
			}
			var sum float64
			for _, v := range row {
				sum += math.Exp(float64(v))
			}
			if d := float64(nll[p]) - math.Log(sum) + float64(row[labels[p]]); math.Abs(d) > 1e-5 {
				t.Errorf("%s: loss of position %d differs by %.2g", name, p, d)
			}
		}
		// The loss by hand, from logits of all positions in two parts.
		var grads [][]float32
		for i := range p {
			grads = append(grads, make([]float32, len(p[i].Data)))
		}
		if _, err := h.Forward(HostPass{IDs: ids, Lengths: lengths, Training: true}); err != nil {
			t.Fatal(err)
		}
		var first, last []int32
		for i := range ids {
			if i < 5 {
				first = append(first, int32(i))
			} else {
				last = append(last, int32(i))
			}
		}
		slices.Reverse(last)
		for _, at := range [][]int32{first, last} {
			x, d := make([]float32, len(at)*c.Vocab), make([]float32, len(at)*c.Vocab)
			if err := h.Logits(x, at); err != nil {
				t.Fatal(err)
			}
			for i, pos := range at {
				row := x[i*c.Vocab:][:c.Vocab]
				var sum float64
				for _, v := range row {
					sum += math.Exp(float64(v))
				}
				for k, v := range row {
					d[i*c.Vocab+k] = w[pos] * float32(math.Exp(float64(v))/sum)
				}
				d[i*c.Vocab+int(labels[pos])] -= w[pos]
			}
			if err := h.LogitsBack(d, x, at, grads); err != nil {
				t.Fatal(err)
			}
		}
		h.Backward(grads)
		for i := range p {
			if d := apart(grads[i], want[i]); !(d < 1e-5) {
				t.Errorf("%s: by logits the gradient of %s differs by %.2g", name, p[i].Name, d)
			}
		}
	}
}

// packedRows is a packed matrix that is not.
type packedRows struct {
	data []float32
	cols int
}

func (p packedRows) Rows(dst []float32, from, to int) { copy(dst, p.data[from*p.cols:to*p.cols]) }

// Matrices that are unpacked in parts give what the whole ones do, and what reads hidden
// states may add to their gradient.
func TestHostTrainsOnPackedBase(t *testing.T) {
	c := variants["biases"]
	p := startOf(t, c)
	a := &HostAdapters{Targets: []string{"k_proj", "up_proj"}, Rank: 2, Scale: 3}
	var s weights.Set
	for l := range c.Layers {
		for _, target := range a.Targets {
			out, in, _ := TargetDims(c, target)
			name := fmt.Sprint(l, target)
			s = append(s, weights.Normal(1, 0.3, name+"A", a.Rank, in), weights.Normal(2, 0.3, name+"B", out, a.Rank))
		}
	}
	plain, packed := make([]HostParam, len(p)), make([]HostParam, len(p))
	for i, x := range Layout(c) {
		plain[i].F32, packed[i].F32 = p[i].Data, p[i].Data
		if x.IsProjection() {
			packed[i] = HostParam{Packed: packedRows{p[i].Data, x.Dims[1]}}
		}
	}
	ids, labels, w := randomBatch(c, 1, 9)
	lengths := []int{4, 5}
	h := newTrainer(t, c, s, HostTrainOptions{Adapters: a, Base: plain})
	_, want := hostGrads(t, h, ids, labels, w, lengths)
	in := newTrainer(t, c, s, HostTrainOptions{Adapters: a, Base: packed})
	in.unpacked = 5 * c.Dim
	_, got := hostGrads(t, in, ids, labels, w, lengths)
	for i := range want {
		if d := apart(got[i], want[i]); !(d < 1e-5) {
			t.Errorf("%s differs by %.2g", s[i].Name, d)
		}
	}

	// The same gradient from outside, by hand.
	if _, err := h.Forward(HostPass{IDs: ids, Lengths: lengths, Training: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.TokenLoss(nil, labels, w, nil); err != nil {
		t.Fatal(err)
	}
	d := slices.Clone(h.HiddenGradient())
	if _, err := h.Forward(HostPass{IDs: ids, Lengths: lengths, Training: true}); err != nil {
		t.Fatal(err)
	}
	for i, v := range d {
		h.HiddenGradient()[i] += v
	}
	for i := range got {
		clear(got[i])
	}
	h.Backward(got)
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("from outside: other bits in %s", s[i].Name)
		}
	}
}

func TestHostTrainerRefuses(t *testing.T) {
	c := variants["llama"]
	p := startOf(t, c)
	if _, err := NewHostTrainer(c, p[1:], HostTrainOptions{}); err == nil {
		t.Error("a missing parameter was accepted")
	}
	var base []HostParam
	for i := range p {
		base = append(base, HostParam{F32: p[i].Data})
	}
	none := make(weights.Set, 2*c.Layers)
	for name, a := range map[string]HostAdapters{
		"no rank": {Targets: []string{"q_proj"}}, "no target": {Rank: 1}, "an unknown target": {Targets: []string{"x_proj"}, Rank: 1},
		"short tensors": {Targets: []string{"q_proj"}, Rank: 1}, "few tensors": {Targets: []string{"q_proj", "v_proj"}, Rank: 1},
	} {
		if _, err := NewHostTrainer(c, none, HostTrainOptions{Adapters: &a, Base: base}); err == nil {
			t.Errorf("adapters with %s were accepted", name)
		}
	}
	h := newTrainer(t, c, p, HostTrainOptions{})
	for name, pass := range map[string]HostPass{
		"no token": {}, "token -1": {IDs: []int32{-1}, Lengths: []int{1}}, "token V": {IDs: []int32{int32(c.Vocab)}, Lengths: []int{1}},
		"lengths": {IDs: []int32{1, 2}, Lengths: []int{1}}, "negative": {IDs: []int32{1}, Lengths: []int{-1, 2}},
	} {
		if _, err := h.Forward(pass); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := h.Forward(HostPass{IDs: []int32{1, 2, 3}, Lengths: []int{0, 2, 1}, Training: true}); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"label":         second(h.TokenLoss(nil, []int32{1, 2, 99}, []float32{1, 1, 1}, nil)),
		"many weights":  second(h.TokenLoss(nil, []int32{1, 2}, []float32{1, 1, 1}, nil)),
		"few places":    second(h.TokenLoss([]int32{1}, []int32{1, 2}, []float32{1, 1}, nil)),
		"no ranks":      h.Surprisals(make([]float32, 3), nil, nil, []int32{1, 2, 3}),
		"little room":   h.NLL(make([]float32, 2), nil, []int32{1, 2, 3}),
		"weights":       second(h.TokenLoss(nil, []int32{1, 2, 3}, []float32{1, 1}, nil)),
		"position":      h.NLL(make([]float32, 1), []int32{3}, []int32{1}),
		"many labels":   h.NLL(make([]float32, 3), []int32{1}, []int32{1, 2, 3}),
		"few gradients": h.LogitsBack(make([]float32, c.Vocab), make([]float32, c.Vocab), nil, nil),
	} {
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func BenchmarkHostTrainStep(b *testing.B) {
	for _, s := range []struct{ dim, heads, rows, seq int }{{64, 2, 24, 48}, {128, 2, 16, 128}} {
		c := Config{Arch: Llama, Vocab: 128, Dim: s.dim, Layers: 2, Heads: s.heads, MaxSeq: s.seq, Tied: true}.WithDefaults()
		b.Run(fmt.Sprintf("d%d-B%d-S%d", s.dim, s.rows, s.seq), func(b *testing.B) {
			h := newTrainer(b, c, startOf(b, c), HostTrainOptions{})
			ids, labels, w := randomBatch(c, s.rows, s.seq)
			lengths := slices.Repeat([]int{s.seq}, s.rows)
			for b.Loop() {
				hostGrads(b, h, ids, labels, w, lengths)
			}
			b.ReportMetric(float64(b.N*s.rows*s.seq)/b.Elapsed().Seconds(), "tok/s")
		})
	}
}
