package decoder

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

func testConfig(arch Arch, heads, kv int, tied bool) Config {
	return Config{
		Arch: arch, Vocab: 17, Dim: 12, Layers: 2, Heads: heads, KVHeads: kv, HeadDim: 4,
		FFN: 10, MaxSeq: 16, Tied: tied, InitStd: 0.3,
	}.WithDefaults()
}

var variants = map[string]Config{
	"llama":      testConfig(Llama, 2, 2, false),
	"llama-gqa":  testConfig(Llama, 4, 2, false),
	"llama-tied": testConfig(Llama, 2, 1, true),
	"gemma":      testConfig(Gemma, 2, 2, true),
	"gemma-gqa":  testConfig(Gemma, 4, 1, true),
	"qwen2":      testConfig(Qwen2, 4, 2, false),
	"qwen3":      testConfig(Qwen3, 4, 2, false),
	"biases": with(testConfig(Llama, 2, 1, false), func(f *Features) {
		f.QKVBias, f.OBias, f.MLPBias, f.Act = true, true, true, GELU
		f.Rope = Rope{Theta: 100, Kind: "yarn", Factor: 4, LowFreq: 0.1, HighFreq: 1, Original: 16, Scale: 1.3}
	}),
	"gemma2": with(testConfig(Gemma2, 4, 2, true), func(f *Features) {
		f.AttnCap, f.LogitCap, f.QueryScale = 2, 3, 0.7
		f.Window, f.Sliding = 3, []bool{true, false}
	}),
	"gemma3": with(testConfig(Gemma3, 4, 1, true), func(f *Features) {
		f.Window, f.Sliding = 2, []bool{true, false}
		f.SlidingRope.Theta = 100
		f.Rope = Rope{Theta: 10000, Kind: "llama3", Factor: 8, LowFreq: 1, HighFreq: 4, Original: 32}
	}),
}

// with changes some features of a family's default ones.
func with(c Config, change func(*Features)) Config {
	f := c.Features()
	change(&f)
	c.Given = &f
	return c
}

func open(t testing.TB) *device.Device {
	t.Helper()
	d, err := device.Open(device.CPU)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// lossAndGrads runs one training graph and returns the loss, the gradients and
// the logits.
func lossAndGrads(t *testing.T, c Config, p weights.Set, plain bool, ids, labels []int32, w []float32, rows, seq int) (float32, [][]float32, []float32) {
	t.Helper()
	e, err := NewExec(open(t).Backend, func(in []*Node) []*Node {
		m := &Model{Config: c, Params: in[:len(p)], Plain: plain}
		in = in[len(p):]
		logits := m.Logits(m.Hidden(in[0]))
		total, _ := m.Loss(logits, in[1], in[2])
		return append([]*Node{total, logits}, Gradient(total, m.Params...)...)
	})
	if err != nil {
		t.Fatal(err)
	}
	args := p.Args(nil)
	args = append(args,
		tensors.FromFlatDataAndDimensions(ids, rows, seq),
		tensors.FromFlatDataAndDimensions(labels, rows*seq),
		tensors.FromFlatDataAndDimensions(w, rows*seq))
	out, err := e.Call(args...)
	if err != nil {
		t.Fatal(err)
	}
	var grads [][]float32
	for _, g := range out[2:] {
		grads = append(grads, tensors.MustCopyFlatData[float32](g))
	}
	return tensors.ToScalar[float32](out[0]), grads, tensors.MustCopyFlatData[float32](out[1])
}

func randomBatch(c Config, rows, seq int) (ids, labels []int32, w []float32) {
	r := rand.New(rand.NewPCG(1, 2))
	for range rows * seq {
		ids = append(ids, int32(r.IntN(c.Vocab)))
		labels = append(labels, int32(r.IntN(c.Vocab)))
		w = append(w, float32(r.IntN(3))/2)
	}
	return ids, labels, w
}

func TestHandGivenGradientsMatchAutodiff(t *testing.T) {
	for name, c := range variants {
		t.Run(name, func(t *testing.T) {
			p, err := Init(c, 7)
			if err != nil {
				t.Fatal(err)
			}
			const rows, seq = 3, 6
			ids, labels, w := randomBatch(c, rows, seq)
			want, wantG, _ := lossAndGrads(t, c, p, true, ids, labels, w, rows, seq)
			got, gotG, _ := lossAndGrads(t, c, p, false, ids, labels, w, rows, seq)
			if diff := math.Abs(float64(got - want)); diff > 1e-4 {
				t.Errorf("loss %v, plain graph %v", got, want)
			}
			for i := range p {
				var num, den float64
				for j := range wantG[i] {
					d := float64(gotG[i][j] - wantG[i][j])
					num += d * d
					den += float64(wantG[i][j]) * float64(wantG[i][j])
				}
				if den == 0 {
					t.Errorf("%s: the plain gradient is zero: the test shows nothing", p[i].Name)
				}
				if rel := math.Sqrt(num / den); rel > 2e-5 {
					t.Errorf("%s: gradient differs by %.2g of its norm", p[i].Name, rel)
				}
			}
		})
	}
}

// The analytic gradient is also checked against finite differences, so that a
// mistake common to both graphs shows.
func TestGradientMatchesFiniteDifferences(t *testing.T) {
	c := variants["gemma-gqa"]
	p, err := Init(c, 3)
	if err != nil {
		t.Fatal(err)
	}
	const rows, seq = 2, 5
	ids, labels, w := randomBatch(c, rows, seq)
	_, grads, _ := lossAndGrads(t, c, p, false, ids, labels, w, rows, seq)
	for _, name := range []string{"model.layers.0.self_attn.qkv_proj.weight", "model.layers.1.mlp.gate_up_proj.weight", "model.norm.weight"} {
		i := p.Find(name)
		// Along the gradient itself the change is largest, so float32 suffices.
		var norm float64
		for _, g := range grads[i] {
			norm += float64(g) * float64(g)
		}
		norm = math.Sqrt(norm)
		const eps = 1e-2
		at := func(sign float64) float64 {
			q := p.Clone()
			for j := range q[i].Data {
				q[i].Data[j] += float32(sign * eps * float64(grads[i][j]) / norm)
			}
			l, _, _ := lossAndGrads(t, c, q, false, ids, labels, w, rows, seq)
			return float64(l)
		}
		slope := (at(1) - at(-1)) / (2 * eps)
		if math.Abs(slope-norm) > 0.02*norm {
			t.Errorf("%s: slope %v, gradient norm %v", name, slope, norm)
		}
	}
}

func TestPaddingToTheRightChangesNothing(t *testing.T) {
	c := variants["llama"]
	p, err := Init(c, 5)
	if err != nil {
		t.Fatal(err)
	}
	run := func(ids []int32, seq int) []float32 {
		_, _, logits := lossAndGrads(t, c, p, false, ids, make([]int32, len(ids)), make([]float32, len(ids)), 1, seq)
		return logits
	}
	short := run([]int32{3, 4, 5}, 3)
	long := run([]int32{3, 4, 5, 9, 9}, 5)
	for i := range short {
		if math.Abs(float64(short[i]-long[i])) > 1e-6 {
			t.Fatalf("logit %d: %v alone, %v with padding", i, short[i], long[i])
		}
	}
}

func TestConfigValidate(t *testing.T) {
	good := variants["llama"]
	for name, change := range map[string]func(*Config){
		"arch":      func(c *Config) { c.Arch = "bert" },
		"vocab":     func(c *Config) { c.Vocab = 0 },
		"kv heads":  func(c *Config) { c.KVHeads = 3 },
		"odd width": func(c *Config) { c.HeadDim = 5 },
		"theta":     func(c *Config) { c.RopeTheta = math.NaN() },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil {
			t.Errorf("%s: no error for %+v", name, c)
		}
		if _, err := Init(c, 1); err == nil {
			t.Errorf("%s: Init accepted it", name)
		}
	}
	for name, c := range variants {
		s, err := Init(c, 1)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(s) != NumParams(c) {
			t.Errorf("%s: %d tensors, NumParams says %d", name, len(s), NumParams(c))
		}
	}
}

func BenchmarkTrainStep(b *testing.B) {
	for _, arch := range []Arch{Llama, Gemma} {
		for _, s := range []struct{ dim, heads, rows, seq int }{{64, 2, 24, 48}, {48, 2, 24, 48}} {
			c := Config{Arch: arch, Vocab: 128, Dim: s.dim, Layers: 2, Heads: s.heads, MaxSeq: s.seq, Tied: arch == Gemma}.WithDefaults()
			b.Run(fmt.Sprintf("%s-d%d-B%d-S%d", arch, s.dim, s.rows, s.seq), func(b *testing.B) {
				p, err := Init(c, 7)
				if err != nil {
					b.Fatal(err)
				}
				e, err := NewExec(open(b).Backend, func(in []*Node) []*Node {
					m := &Model{Config: c, Params: in[:len(p)]}
					in = in[len(p):]
					total, _ := m.Loss(m.Logits(m.Hidden(in[0])), in[1], in[2])
					return append([]*Node{total}, Gradient(total, m.Params...)...)
				})
				if err != nil {
					b.Fatal(err)
				}
				ids, labels, w := randomBatch(c, s.rows, s.seq)
				for b.Loop() {
					args := p.Args(nil)
					args = append(args,
						tensors.FromFlatDataAndDimensions(ids, s.rows, s.seq),
						tensors.FromFlatDataAndDimensions(labels, s.rows*s.seq),
						tensors.FromFlatDataAndDimensions(w, s.rows*s.seq))
					if _, err := e.Call(args...); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N*s.rows*s.seq)/b.Elapsed().Seconds(), "tok/s")
			})
		}
	}
}
