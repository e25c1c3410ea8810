package lora

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// The golden checkpoints of the decoder, and the adapters that
// tools/oracle/lora/make.py trained on them with PEFT.
var goldens = []string{"llama", "qwen2", "gemma3"}

func readBase(t testing.TB, name string) (decoder.Config, weights.Set) {
	t.Helper()
	dir := filepath.Join("..", "decoder", "testdata", "hf", name)
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := decoder.ParseHF(data)
	if err != nil {
		t.Fatal(err)
	}
	ck, err := safetensors.OpenCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	p, err := decoder.Pack(c, func(name string) ([]float32, []int, error) {
		x, err := ck.Tensor(name)
		if err != nil {
			return nil, nil, err
		}
		v, err := x.Float32(nil)
		return v, slices.Clone(x.Shape), err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, p
}

// floats reads tensors of a golden file.
func floats(t testing.TB, path string) func(name string) ([]float32, []int) {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return func(name string) ([]float32, []int) {
		x, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := x.Float32(nil)
		if err != nil {
			t.Fatal(err)
		}
		return v, x.Shape
	}
}

func toInts(v []float32) []int32 {
	out := make([]int32, len(v))
	for i, x := range v {
		out[i] = int32(x)
	}
	return out
}

func openDevice(t testing.TB) *device.Device {
	t.Helper()
	d, err := device.Open(device.CPU)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// logits runs a decoder with adapters, or without when c is nil.
func logits(t testing.TB, d decoder.Config, base weights.Set, c *Config, s weights.Set, ids []int32, rows int) []float32 {
	t.Helper()
	e, err := NewExec(openDevice(t).Backend, func(in []*Node) []*Node {
		m := &decoder.Model{Config: d, Params: in[:len(base)]}
		if c != nil {
			m.Delta = Delta(*c, in[len(base):len(in)-1], nil)
		}
		return []*Node{m.Logits(m.Hidden(in[len(in)-1]))}
	})
	if err != nil {
		t.Fatal(err)
	}
	args := base.Args(nil)
	if c != nil {
		args = s.Args(args)
	}
	out, err := e.Call(append(args, tensors.FromFlatDataAndDimensions(ids, rows, len(ids)/rows))...)
	if err != nil {
		t.Fatal(err)
	}
	return tensors.MustCopyFlatData[float32](out[0])
}

func furthest(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var worst float64
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i])-float64(b[i])))
	}
	return worst
}

func TestLogitsEqualPEFT(t *testing.T) {
	for _, name := range goldens {
		t.Run(name, func(t *testing.T) {
			d, base := readBase(t, name)
			c, s, _, err := Load(filepath.Join("testdata", name, "start"), d)
			if err != nil {
				t.Fatal(err)
			}
			ids, dims := floats(t, filepath.Join("..", "decoder", "testdata", "hf", name, "golden.safetensors"))("ids")
			want, _ := floats(t, filepath.Join("testdata", name, "golden.safetensors"))("logits")
			got := logits(t, d, base, &c, s, toInts(ids), dims[0])
			if diff := furthest(got, want); diff > 1e-4 {
				t.Errorf("logits with the adapter differ from PEFT's by %.3g", diff)
			}
			plain := logits(t, d, base, nil, nil, toInts(ids), dims[0])
			if diff := furthest(plain, want); diff < 1e-2 {
				t.Errorf("the adapter changes logits by only %.3g: the test shows nothing", diff)
			}
			// Merged weights give what adapters beside the base give.
			merged := base.Clone()
			report := mergeAll(t, d, merged, c, s, nil)
			if len(report) != len(s)/2 || !(report[0].Relative > 0) {
				t.Errorf("drift report %+v", report)
			}
			if diff := furthest(logits(t, d, merged, nil, nil, toInts(ids), dims[0]), want); diff > 2e-4 {
				t.Errorf("merged logits differ by %.3g", diff)
			}
		})
	}
}

// Twenty steps from the same start on the same batch give PEFT's losses and adapters, by a
// graph and without.
func TestTrainingEqualsPEFT(t *testing.T) {
	for _, name := range goldens {
		t.Run("graph/"+name, func(t *testing.T) { trainLikePEFT(t, name, graphGrads) })
		t.Run("host/"+name, func(t *testing.T) { trainLikePEFT(t, name, trainerGrads) })
	}
}

// gradsOf makes what gives the loss of a batch and the gradients of the adapters s.
type gradsOf func(t testing.TB, d decoder.Config, base weights.Set, c Config, s weights.Set, ids, labels []int32, w []float32, rows int) func() (float64, [][]float32)

func graphGrads(t testing.TB, d decoder.Config, base weights.Set, c Config, s weights.Set, ids, labels []int32, w []float32, rows int) func() (float64, [][]float32) {
	e, err := NewExec(openDevice(t).Backend, func(in []*Node) []*Node {
		nb, na := len(base), len(s)
		m := &decoder.Model{Config: d, Params: in[:nb], Delta: Delta(c, in[nb:nb+na], nil)}
		in, adapters := in[nb+na:], in[nb:nb+na]
		total, _ := m.Loss(m.Logits(m.Hidden(in[0])), in[1], in[2])
		return append([]*Node{total}, Gradient(total, adapters...)...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() (float64, [][]float32) {
		out, err := e.Call(append(s.Args(base.Args(nil)), tensors.FromFlatDataAndDimensions(ids, rows, len(ids)/rows), labels, w)...)
		if err != nil {
			t.Fatal(err)
		}
		var grads [][]float32
		for _, g := range out[1:] {
			grads = append(grads, tensors.MustCopyFlatData[float32](g))
		}
		return float64(tensors.ToScalar[float32](out[0])), grads
	}
}

func trainerGrads(t testing.TB, d decoder.Config, base weights.Set, c Config, s weights.Set, ids, labels []int32, w []float32, rows int) func() (float64, [][]float32) {
	var frozen []decoder.HostParam
	for i := range base {
		frozen = append(frozen, decoder.HostParam{F32: base[i].Data})
	}
	h, err := decoder.NewHostTrainer(d, s, decoder.HostTrainOptions{Adapters: c.Host(), Base: frozen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Stop)
	pass := decoder.HostPass{Lengths: slices.Repeat([]int{len(ids) / rows}, rows)}
	return func() (float64, [][]float32) { return hostGrads(t, h, ids, labels, w, pass) }
}

func trainLikePEFT(t *testing.T, name string, how gradsOf) {
	d, base := readBase(t, name)
	c, s, _, err := Load(filepath.Join("testdata", name, "start"), d)
	if err != nil {
		t.Fatal(err)
	}
	_, end, _, err := Load(filepath.Join("testdata", name, "end"), d)
	if err != nil {
		t.Fatal(err)
	}
	golden := floats(t, filepath.Join("testdata", name, "golden.safetensors"))
	batch, dims := golden("batch")
	mask, _ := golden("weight")
	want, _ := golden("losses")
	rows, seq := dims[0], dims[1]
	ids := toInts(batch)
	labels, w := make([]int32, len(ids)), make([]float32, len(ids))
	var n float32
	for i := range ids {
		if i%seq+1 < seq {
			labels[i], w[i] = ids[i+1], mask[i+1]
			n += w[i]
		}
	}
	for i := range w {
		w[i] /= n
	}
	grads := how(t, d, base, c, s, ids, labels, w, rows)
	opt := optim.NewAdamW(s, slices.Repeat([]bool{true}, len(s)))
	opt.Clip = 1
	for step, loss := range want {
		got, g := grads()
		if rel := math.Abs(got-float64(loss)) / float64(loss); rel > 1e-3 {
			t.Fatalf("step %d: loss %v, PEFT's %v", step, got, loss)
		}
		if _, err := opt.Step(s, g, 1e-2); err != nil {
			t.Fatal(err)
		}
	}
	for i := range s {
		if diff := furthest(s[i].Data, end[i].Data); diff > 1e-3 {
			t.Errorf("%s differs from PEFT's by %.3g", s[i].Name, diff)
		}
	}
}

func TestSaveLoad(t *testing.T) {
	d, _ := readBase(t, "llama")
	c, err := Config{Rank: 2, Alpha: 4, Dropout: 0.1, Targets: []string{"*_proj"}, RSLoRA: true}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Targets) != len(decoder.Targets) {
		t.Errorf("targets %v", c.Targets)
	}
	s, err := Init(d, c, 5)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := Save(dir, "owner/base", c, s); err != nil {
		t.Fatal(err)
	}
	got, again, base, err := Load(dir, d)
	if err != nil {
		t.Fatal(err)
	}
	if again.Hash() != s.Hash() || base != "owner/base" || got.Scale() != c.Scale() || got.Dropout != c.Dropout {
		t.Errorf("read back %+v of %q with other contents", got, base)
	}
	other := d
	other.Dim *= 2
	if _, _, _, err := Load(dir, other); err == nil || !strings.Contains(err.Error(), "want [") || !strings.Contains(err.Error(), WeightsFile) {
		t.Errorf("the adapter of another model: %v", err)
	}
	other = d
	other.Layers++
	if _, _, _, err := Load(dir, other); err == nil || !strings.Contains(err.Error(), "another model") {
		t.Errorf("an adapter with fewer layers: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	d, _ := readBase(t, "llama")
	read := func() map[string]any {
		data, err := os.ReadFile(filepath.Join("testdata", "llama", "start", ConfigFile))
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for name, change := range map[string]func(map[string]any){
		"use_dora":            func(m map[string]any) { m["use_dora"] = true },
		"peft_type":           func(m map[string]any) { m["peft_type"] = "LOHA" },
		"bias":                func(m map[string]any) { m["bias"] = "all" },
		"rank_pattern":        func(m map[string]any) { m["rank_pattern"] = map[string]int{"q_proj": 2} },
		"modules_to_save":     func(m map[string]any) { m["modules_to_save"] = []string{"lm_head"} },
		"embed_tokens":        func(m map[string]any) { m["target_modules"] = []string{"embed_tokens"} },
		"missing closing":     func(m map[string]any) { m["target_modules"] = "(q_proj" },
		"layers_to_transform": func(m map[string]any) { m["layers_to_transform"] = []int{0} },
		"rank 0":              func(m map[string]any) { m["r"] = 0 },

		`init_lora_weights "pissa"`:         func(m map[string]any) { m["init_lora_weights"] = "pissa" },
		`init_lora_weights "pissa_niter_4"`: func(m map[string]any) { m["init_lora_weights"] = "pissa_niter_4" },
		`init_lora_weights "OLoRA"`:         func(m map[string]any) { m["init_lora_weights"] = "OLoRA" },
		`init_lora_weights "corda"`:         func(m map[string]any) { m["init_lora_weights"] = "corda" },
		`init_lora_weights "lora_ga"`:       func(m map[string]any) { m["init_lora_weights"] = "lora_ga" },
		`init_lora_weights "loftq"`:         func(m map[string]any) { m["init_lora_weights"] = "loftq" },
		`init_lora_weights "unheard of"`:    func(m map[string]any) { m["init_lora_weights"] = "unheard of" },
		"alora_invocation_tokens":           func(m map[string]any) { m["alora_invocation_tokens"] = []int{5, 6} },
		"exclude_modules":                   func(m map[string]any) { m["exclude_modules"] = "(q_proj" },
		"leave out all":                     func(m map[string]any) { m["exclude_modules"] = []string{"q_proj", "self_attn.v_proj"} },
		"q_proj in 3 of 4 layers":           func(m map[string]any) { m["exclude_modules"] = []string{"layers.1.self_attn.q_proj"} },
		"v_proj in 1 of 4 layers":           func(m map[string]any) { m["target_modules"] = `.*q_proj|.*layers\.0\..*v_proj` },
	} {
		m := read()
		change(m)
		dir := t.TempDir()
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ConfigFile), data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := Load(dir, d); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), ConfigFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Settings that change how training began, or name what has no adapter anyway, leave
// the numbers alone.
func TestLoadAccepts(t *testing.T) {
	d, _ := readBase(t, "llama")
	_, want, _, err := Load(adapterFolder(t, nil, nil), d)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string]any){
		"gaussian":     func(m map[string]any) { m["init_lora_weights"] = "gaussian" },
		"eva":          func(m map[string]any) { m["init_lora_weights"] = "eva" },
		"orthogonal":   func(m map[string]any) { m["init_lora_weights"] = "orthogonal" },
		"false":        func(m map[string]any) { m["init_lora_weights"] = false },
		"null":         func(m map[string]any) { m["init_lora_weights"], m["alora_invocation_tokens"] = nil, nil },
		"nothing left": func(m map[string]any) { m["exclude_modules"] = []string{"lm_head", "vision_tower.q_proj", "proj"} },
		"out of all": func(m map[string]any) {
			m["target_modules"], m["exclude_modules"] = "all-linear", []string{"k_proj", "o_proj", "gate_proj", "up_proj", "mlp.down_proj"}
		},
		"by expression": func(m map[string]any) {
			m["target_modules"], m["exclude_modules"] = "all-linear", `.*\.mlp\..*|.*(k|o)_proj`
		},
		"excluded twice": func(m map[string]any) {
			m["target_modules"], m["exclude_modules"] = []string{"q_proj", "v_proj", "o_proj"}, []string{"o_proj"}
		},
	} {
		_, got, _, err := Load(adapterFolder(t, change, nil), d)
		if err != nil || got.Hash() != want.Hash() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	for _, c := range []Config{
		{Rank: 0, Alpha: 1, Targets: []string{"q_proj"}},
		{Rank: 1, Alpha: math.NaN(), Targets: []string{"q_proj"}},
		{Rank: 1, Alpha: 1, Dropout: 1, Targets: []string{"q_proj"}},
		{Rank: 1, Alpha: 1},
		{Rank: 1, Alpha: 1, Targets: []string{"query"}},
		{Rank: 1, Alpha: 1, Targets: []string{"[q"}},
	} {
		if _, err := c.Resolve(); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}

// Dropout keeps the mean, drops the share it is told to, and repeats for a seed.
func TestDropout(t *testing.T) {
	const n, p = 20000, 0.3
	e, err := NewExec(openDevice(t).Backend, func(x, seed *Node) []*Node {
		return []*Node{dropout(x, seed, 3, p), dropout(x, seed, 4, p)}
	})
	if err != nil {
		t.Fatal(err)
	}
	ones := slices.Repeat([]float32{1}, n)
	run := func(seed uint32) ([]float32, []float32) {
		out, err := e.Call(tensors.FromFlatDataAndDimensions(ones, 100, n/100), seed)
		if err != nil {
			t.Fatal(err)
		}
		return tensors.MustCopyFlatData[float32](out[0]), tensors.MustCopyFlatData[float32](out[1])
	}
	a, other := run(1)
	again, _ := run(1)
	b, _ := run(2)
	if !slices.Equal(a, again) {
		t.Error("the same seed dropped others")
	}
	agree := func(x, y []float32) float64 {
		same := 0
		for i := range x {
			if (x[i] == 0) == (y[i] == 0) {
				same++
			}
		}
		return float64(same) / n
	}
	// Independent masks agree where both keep or both drop.
	want := p*p + (1-p)*(1-p)
	for name, y := range map[string][]float32{"another seed": b, "another stream": other, "neighbours": append(slices.Clone(a[1:]), a[0])} {
		if got := agree(a, y); math.Abs(got-want) > 0.02 {
			t.Errorf("%s: masks agree in %.3f, independent ones in %.3f", name, got, want)
		}
	}
	var sum float64
	for _, v := range a {
		sum += float64(v)
	}
	if mean := sum / n; math.Abs(mean-1) > 0.02 {
		t.Errorf("mean %v after dropout, want 1", mean)
	}
}

// mergeAll adds adapters to the weights of their base, in place.
func mergeAll(t testing.TB, d decoder.Config, base weights.Set, c Config, s weights.Set, round func(float32) float32) (report []Drift) {
	t.Helper()
	flat, err := decoder.Unpack(d, base) // shares base's memory
	if err != nil {
		t.Fatal(err)
	}
	pairs := c.Pairs(s)
	for _, x := range flat {
		p, ok := pairs[x.Name]
		if !ok {
			continue
		}
		drift, err := c.AddTo(x.Data, p, round)
		if err != nil {
			t.Fatal(err)
		}
		report = append(report, drift)
	}
	return report
}
