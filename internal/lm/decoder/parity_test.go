package decoder_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// golden is a checkpoint of testdata/hf with what transformers computes from it;
// tools/oracle/decoder/make.py writes them.
type golden struct {
	config        decoder.Config
	params        weights.Set
	ids           []int32
	rows, seq     int
	hidden, first []float32 // after the last norm; after the first layer
	logits, bf16  []float32
}

func readGolden(t testing.TB, name string) golden {
	t.Helper()
	dir := filepath.Join("testdata", "hf", name)
	data, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if g.config, err = decoder.ParseHF(data); err != nil {
		t.Fatal(err)
	}
	find := func(file string) func(string) ([]float32, []int, error) {
		set, err := checkpoint.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		return func(name string) ([]float32, []int, error) {
			i := set.Find(name)
			if i < 0 {
				return nil, nil, os.ErrNotExist
			}
			return set[i].Data, set[i].Dims, nil
		}
	}
	if g.params, err = decoder.Pack(g.config, find("model.safetensors")); err != nil {
		t.Fatal(err)
	}
	get := find("golden.safetensors")
	for name, to := range map[string]*[]float32{"hidden": &g.hidden, "layer1": &g.first, "logits": &g.logits, "logits_bf16": &g.bf16} {
		if *to, _, err = get(name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	ids, dims, err := get("ids")
	if err != nil {
		t.Fatal(err)
	}
	g.rows, g.seq = dims[0], dims[1]
	for _, v := range ids {
		g.ids = append(g.ids, int32(v))
	}
	return g
}

func families(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join("testdata", "hf", "*", "golden.safetensors"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no golden checkpoints: %v", err)
	}
	var names []string
	for _, d := range dirs {
		names = append(names, filepath.Base(filepath.Dir(d)))
	}
	return names
}

// run computes hidden states and logits of the golden's ids with config c.
func (g golden) run(t testing.TB, dev *device.Device, c decoder.Config, dtype dtypes.DType) (hidden, logits []float32) {
	t.Helper()
	e, err := NewExec(dev.Backend, func(in []*Node) []*Node {
		n := len(g.params)
		params := make([]*Node, n)
		for i := range params {
			params[i] = ConvertDType(in[i], dtype)
		}
		m := &decoder.Model{Config: c, Params: params}
		h := m.Hidden(in[n])
		return []*Node{ConvertDType(h, dtypes.Float32), m.Logits(h)}
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.Call(append(g.params.Args(nil), tensors.FromFlatDataAndDimensions(g.ids, g.rows, g.seq))...)
	if err != nil {
		t.Fatal(err)
	}
	return tensors.MustCopyFlatData[float32](out[0]), tensors.MustCopyFlatData[float32](out[1])
}

func furthest(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var worst float64
	for i := range a {
		if d := math.Abs(float64(a[i]) - float64(b[i])); !(d <= worst) {
			worst = d
		}
	}
	return worst
}

// rms is the root mean square difference: that of rounding noise is steady where
// its largest value is luck.
func rms(a, b []float32) float64 {
	var sum float64
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(a)))
}

const tolerance = 1e-4

// devices are the backends to check: pure Go and, where a plugin for it is found,
// XLA on the CPU.
func devices(t testing.TB) []*device.Device {
	t.Helper()
	d, err := device.Open(device.CPU)
	if err != nil {
		t.Fatal(err)
	}
	all := []*device.Device{d}
	if x, err := device.Open(device.XLA); err == nil {
		all = append(all, x)
	} else {
		t.Logf("without XLA: %v", err)
	}
	return all
}

func TestLogitsEqualTransformers(t *testing.T) {
	for _, dev := range devices(t) {
		for _, name := range families(t) {
			t.Run(dev.Name()+"/"+name, func(t *testing.T) {
				g := readGolden(t, name)
				hidden, logits := g.run(t, dev, g.config, dtypes.Float32)
				if d := furthest(hidden, g.hidden); d > tolerance {
					t.Errorf("hidden states differ by %.3g", d)
				}
				if d := furthest(logits, g.logits); d > tolerance {
					t.Errorf("logits differ by %.3g", d)
				}
				_, half := g.run(t, dev, g.config, dtypes.BFloat16)
				ours, theirs := rms(half, g.logits), rms(g.bf16, g.logits)
				if ours > 1.5*theirs {
					t.Errorf("bfloat16 is %.3g from float32, that of transformers %.3g", ours, theirs)
				}
				t.Logf("logits differ by %.2g; bfloat16 by %.3g, that of transformers by %.3g", furthest(logits, g.logits), ours, theirs)
			})
		}
	}
}

// Every feature must show: without it the logits are far from the golden ones.
func TestEveryFeatureShows(t *testing.T) {
	changes := map[string]func(*decoder.Features){
		"window":        func(f *decoder.Features) { f.Sliding = nil },
		"attention cap": func(f *decoder.Features) { f.AttnCap = 0 },
		"logit cap":     func(f *decoder.Features) { f.LogitCap = 0 },
		"query scale":   func(f *decoder.Features) { f.QueryScale = 0 },
		"embed scale":   func(f *decoder.Features) { f.EmbedScale = 0 },
		"1+w":           func(f *decoder.Features) { f.NormPlusOne = false },
		"rope scaling":  func(f *decoder.Features) { f.Rope.Kind = "" },
		"rope scale":    func(f *decoder.Features) { f.Rope.Scale = 1 },
		"rope blend":    func(f *decoder.Features) { f.Rope.Exact = false },
		"local rope":    func(f *decoder.Features) { f.SlidingRope = f.Rope },
		"activation": func(f *decoder.Features) {
			f.Act = map[bool]decoder.Activation{true: decoder.GELU, false: decoder.SiLU}[f.Act == decoder.SiLU]
		},
	}
	shown := map[string][]string{
		"llama3-rope-tied": {"rope scaling", "activation"}, "llama-biases-linear": {"rope scaling"},
		"qwen2-yarn": {"rope scaling", "rope scale"}, "llama-yarn-blended": {"rope scaling", "rope scale", "rope blend"},
		"mistral": {"window"}, "qwen2": {"window"},
		"gemma":  {"embed scale", "1+w", "activation"},
		"gemma2": {"window", "attention cap", "logit cap", "query scale", "embed scale", "1+w"},
		"gemma3": {"window", "query scale", "embed scale", "1+w", "rope scaling", "local rope"},
	}
	dev := devices(t)[0]
	for name, features := range shown {
		g := readGolden(t, name)
		for _, feature := range features {
			c, f := g.config, g.config.Features()
			changes[feature](&f)
			c.Given = &f
			if _, logits := g.run(t, dev, c, dtypes.Float32); furthest(logits, g.logits) < 100*tolerance {
				t.Errorf("%s without %s: logits differ by only %.3g", name, feature, furthest(logits, g.logits))
			}
		}
	}
	// Biases and norms of queries and keys are parameters: neutral values switch them off.
	for name, part := range map[string]string{"qwen2": "qkv_proj.bias", "llama-biases-linear": "mlp.down_proj.bias", "qwen3": "q_norm", "gemma3": "k_norm"} {
		g := readGolden(t, name)
		hit := false
		for i, p := range g.params {
			if !strings.Contains(p.Name, part) {
				continue
			}
			hit = true
			g.params[i].Data = make([]float32, len(p.Data))
			if strings.Contains(part, "norm") && name == "qwen3" {
				for j := range g.params[i].Data {
					g.params[i].Data[j] = 1
				}
			}
		}
		if _, logits := g.run(t, dev, g.config, dtypes.Float32); !hit || furthest(logits, g.logits) < 100*tolerance {
			t.Errorf("%s without %s: logits differ by only %.3g", name, part, furthest(logits, g.logits))
		}
	}
}

func TestPackUnpack(t *testing.T) {
	g := readGolden(t, "qwen2")
	flat, err := decoder.Unpack(g.config, g.params)
	if err != nil {
		t.Fatal(err)
	}
	again, err := decoder.Pack(g.config, func(name string) ([]float32, []int, error) {
		i := flat.Find(name)
		if i < 0 {
			return nil, nil, os.ErrNotExist
		}
		return flat[i].Data, flat[i].Dims, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if again.Hash() != g.params.Hash() {
		t.Error("packing what was unpacked gave other parameters")
	}
}
