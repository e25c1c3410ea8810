package causal

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/generate"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/nf4"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// A quantised base answers and trains like a plain one with the weights that its codes
// mean, and takes a fraction of the memory.
func TestQuantizedBase(t *testing.T) {
	devices := []*device.Device{open(t)}
	if x, err := device.Open(device.XLA); err == nil {
		devices = append(devices, x)
	}
	for _, dev := range devices {
		for _, name := range []string{"qwen2", "gemma3"} {
			dir := folder(t, name)
			m, err := Open(context.Background(), dev, dir, Options{Quantize: NF4})
			if err != nil {
				t.Fatal(err)
			}
			p, err := pretrained.Open(context.Background(), dir, pretrained.Options{})
			if err != nil {
				t.Fatal(err)
			}
			q, err := nf4.Load(p.Config, p.Float32)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			plain := *m
			plain.base = Plain(dev, m.Config, q.Dequantized().Args(nil))

			prompts := [][]int32{{1, 5, 14, 6, 15}, {1, 7, 14}}
			a, err := m.Generate(context.Background(), prompts, generate.Options{MaxNew: 5})
			if err != nil {
				t.Fatal(err)
			}
			b, err := plain.Generate(context.Background(), prompts, generate.Options{MaxNew: 5})
			if err != nil {
				t.Fatal(err)
			}
			for i := range a {
				if !slices.Equal(a[i].IDs, b[i].IDs) {
					t.Errorf("%s, %s: prompt %d: %v quantised, %v from the weights it means", dev.Name(), name, i, a[i].IDs, b[i].IDs)
				}
			}

			c, err := lora.Config{Rank: 2, Alpha: 4, Targets: []string{"*"}}.Resolve()
			if err != nil {
				t.Fatal(err)
			}
			s, err := lora.Init(m.Config, c, 1)
			if err != nil {
				t.Fatal(err)
			}
			for i := range s { // with B at zero half of the gradients would be
				for j := range s[i].Data {
					s[i].Data[j] += 0.01 * float32(j%7-3)
				}
			}
			batch := batchOf(example(t, m, "1+2=", "3"), example(t, m, "9+9=", "18"))
			var want Result
			for k, base := range []Base{plain.base, m.base} {
				for _, recompute := range []bool{false, true} {
					tuner, err := NewTuner(s, TunerOptions{Bases: []Base{base}, LoRA: &c, Recompute: recompute})
					if err != nil {
						t.Fatal(err)
					}
					defer tuner.Close()
					got, err := tuner.Gradients(batch)
					if err != nil {
						t.Fatal(err)
					}
					if k == 0 && !recompute {
						want = got
						continue
					}
					if math.Abs(got.Terms[0]-want.Terms[0]) > 1e-4*want.Terms[0] {
						t.Errorf("%s, %s, base %d, recompute %v: loss %v, want %v", dev.Name(), name, k, recompute, got.Terms[0], want.Terms[0])
					}
					for i := range want.Grads {
						var off, size float64
						for j, v := range want.Grads[i] {
							off += math.Pow(float64(got.Grads[i][j]-v), 2)
							size += float64(v) * float64(v)
						}
						if off > 1e-6*size {
							t.Errorf("%s, %s, base %d, recompute %v: the gradient of %s is off by %.2g of its size", dev.Name(), name, k, recompute, s[i].Name, math.Sqrt(off/size))
						}
					}
				}
			}
		}
	}
}

// Quantised, the matrices of the layers take about a quarter of bfloat16's bytes on the
// device; embeddings, head and norms stay as they are.
func TestQuantizedBytes(t *testing.T) {
	dir := folder(t, "qwen2")
	size := func(o Options) (n int64) {
		o.BF16 = true
		m, err := Open(context.Background(), open(t), dir, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range m.base.args() {
			n += int64(a.(*tensors.Tensor).Shape().ByteSize())
		}
		return n
	}
	m, err := Open(context.Background(), open(t), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var inside, outside int64
	for _, p := range decoder.Layout(m.Config) {
		if n := int64(weights.Size(p.Dims)); p.IsProjection() {
			inside += n
		} else {
			outside += n
		}
	}
	plain, packed := size(Options{}), size(Options{Quantize: NF4})
	if plain != 2*(inside+outside) {
		t.Fatalf("plain: %d bytes, want %d", plain, 2*(inside+outside))
	}
	if r := float64(packed-2*outside) / float64(2*inside); r < 0.25 || r > 0.29 {
		t.Errorf("%d bytes quantised, %d plain: the matrices take %.3f of them", packed, plain, r)
	}
	job := pretrained.Job{DType: dtypes.BFloat16, WeightBits: nf4.Bits}
	if w := pretrained.Needs(m.Config, job).Weights; math.Abs(float64(w-packed)) > 0.05*float64(packed) {
		t.Errorf("estimated %d bytes of weights, they take %d", w, packed)
	}
}

// A replica on another device answers the same, and replicas that share out a batch
// give the gradients of one.
func TestOn(t *testing.T) {
	one := open(t)
	backend, err := compute.NewWithConfig("go:ops_sequential,parallelism=1")
	if err != nil {
		t.Fatal(err)
	}
	two := *one
	two.Backend = backend
	for _, quantize := range []string{"", NF4} {
		m, err := Open(context.Background(), one, folder(t, "qwen2"), Options{Quantize: quantize})
		if err != nil {
			t.Fatal(err)
		}
		if same, err := m.On(context.Background(), one); err != nil || same != m {
			t.Errorf("on its own device: %v", err)
		}
		r, err := m.On(context.Background(), &two)
		if err != nil {
			t.Fatal(err)
		}
		if r.Device() != &two || m.Device() != one {
			t.Error("not on the other device")
		}
		prompts := [][]int32{{1, 5, 14, 6, 15}, {1, 7, 14}}
		var answers [2][]generate.Output
		for i, x := range []*Model{m, r} {
			if answers[i], err = x.Generate(context.Background(), prompts, generate.Options{MaxNew: 5}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range prompts {
			if !slices.Equal(answers[0][i].IDs, answers[1][i].IDs) {
				t.Errorf("prompt %d: %v and %v", i, answers[0][i].IDs, answers[1][i].IDs)
			}
		}
		c, err := lora.Config{Rank: 2, Alpha: 4, Targets: []string{"q_proj", "v_proj"}}.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		s, err := lora.Init(m.Config, c, 1)
		if err != nil {
			t.Fatal(err)
		}
		batch := batchOf(example(t, m, "1+2=", "3"), example(t, m, "9+9=", "18"))
		var res [2]Result
		for i, bases := range [][]Base{{m.base}, {m.base, r.base}} {
			tuner, err := NewTuner(s, TunerOptions{Bases: bases, LoRA: &c})
			if err != nil {
				t.Fatal(err)
			}
			defer tuner.Close()
			if res[i], err = tuner.Gradients(batch); err != nil {
				t.Fatal(err)
			}
		}
		if math.Abs(res[0].Terms[0]-res[1].Terms[0]) > 1e-5*res[0].Terms[0] {
			t.Errorf("loss %v on one, %v on two", res[0].Terms[0], res[1].Terms[0])
		}
		for i := range res[0].Grads {
			for j, v := range res[0].Grads[i] {
				if math.Abs(float64(v-res[1].Grads[i][j])) > 1e-5+1e-4*math.Abs(float64(v)) {
					t.Fatalf("gradient of %s: %v on one, %v on two", s[i].Name, v, res[1].Grads[i][j])
				}
			}
		}
	}
	m, err := Open(context.Background(), one, folder(t, "qwen2"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	m.Config.Layers++
	if _, err := m.On(context.Background(), &two); err == nil || !strings.Contains(err.Error(), "not those") {
		t.Errorf("of another model: %v", err)
	}
}

// A model that does not fit is refused before its weights are read, with what to do.
func TestRefusesWhatDoesNotFit(t *testing.T) {
	big := decoder.Config{Arch: decoder.Llama, Vocab: 32000, Dim: 4096, Layers: 32, Heads: 32, FFN: 11008, MaxSeq: 4096}.WithDefaults()
	c, err := lora.Config{Rank: 32, Alpha: 64, Targets: []string{"q_proj", "v_proj"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	check := func(o Options) error {
		o.BF16, o.Job = true, pretrained.Job{LoRA: &c, Rows: 1, Seq: 512, Recompute: true}
		return fits(context.Background(), open(t), "llama", big, o, func() int64 { return 11 << 30 })
	}
	err = check(Options{})
	for _, want := range []string{"llama needs about", "GiB on cpu, 11.0 GiB free", "quantise the base to 4 bits", MemoryCheckVar + "=off"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %q", err, want)
		}
	}
	if err := check(Options{Quantize: NF4}); err != nil {
		t.Errorf("in 4 bits it fits: %v", err)
	}
	if err := check(Options{Quantize: "int3"}); err == nil || !strings.Contains(err.Error(), "there is nf4") {
		t.Errorf("int3: %v", err)
	}
	t.Setenv(MemoryCheckVar, "off")
	if err := check(Options{}); err != nil {
		t.Errorf("without the check: %v", err)
	}
}
