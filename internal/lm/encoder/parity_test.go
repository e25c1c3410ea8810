package encoder

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"golang.org/x/sync/errgroup"

	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

const tolerance = 1e-4

var goldens = []string{"bert", "bert-tanh", "roberta"}

func goldenDir(name string) string { return filepath.Join("testdata", "hf", name) }

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

// golden is a checkpoint of testdata/hf with what transformers computes from it;
// tools/oracle/encoder/make.py writes them.
type golden struct {
	config              Config
	params              weights.Set
	ids, types, lengths []int32
	rows, seq           int
	hidden, embeddings  []float32
}

func readFloats(t testing.TB, path string) func(string) ([]float32, []int) {
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

func ints(v []float32) []int32 {
	out := make([]int32, len(v))
	for i := range v {
		out[i] = int32(v[i])
	}
	return out
}

func readGolden(t testing.TB, name string) golden {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(goldenDir(name), configFile))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if g.config, err = ParseHF(data); err != nil {
		t.Fatal(err)
	}
	ck, err := safetensors.OpenCheckpoint(goldenDir(name))
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	if g.params, err = Pack(g.config, ck); err != nil {
		t.Fatal(err)
	}
	get := readFloats(t, filepath.Join(goldenDir(name), "golden.safetensors"))
	ids, dims := get("ids")
	types, _ := get("types")
	lengths, _ := get("lengths")
	g.ids, g.types, g.lengths, g.rows, g.seq = ints(ids), ints(types), ints(lengths), dims[0], dims[1]
	g.hidden, _ = get("hidden")
	g.embeddings, _ = get("embeddings")
	return g
}

// run computes the hidden states of the golden's rows.
func (g golden) run(t testing.TB, dev *device.Device) []float32 {
	t.Helper()
	e, err := NewExec(dev.Backend, func(in []*Node) *Node {
		n := len(g.params)
		m := &Model{Config: g.config, Params: in[:n]}
		return m.Hidden(in[n], in[n+1], in[n+2], in[n+3])
	})
	if err != nil {
		t.Fatal(err)
	}
	positions := make([]int32, len(g.ids))
	for i := range positions {
		positions[i] = int32(g.config.FirstPos + i%g.seq)
	}
	grid := func(v []int32) any { return tensors.FromFlatDataAndDimensions(v, g.rows, g.seq) }
	out, err := e.Call(append(g.params.Args(nil), grid(g.ids), grid(positions), grid(g.types), tensors.FromFlatDataAndDimensions(g.lengths, g.rows))...)
	if err != nil {
		t.Fatal(err)
	}
	return tensors.MustCopyFlatData[float32](out[0])
}

// furthest is the largest difference to the golden's hidden states, at tokens.
func (g golden) furthest(got []float32) float64 {
	if len(got) != len(g.hidden) {
		return math.Inf(1)
	}
	var worst float64
	d := g.config.Dim
	for i := range got {
		if pos := i / d % g.seq; pos >= int(g.lengths[i/d/g.seq]) {
			continue
		}
		if diff := math.Abs(float64(got[i]) - float64(g.hidden[i])); !(diff <= worst) {
			worst = diff
		}
	}
	return worst
}

func TestHiddenStatesEqualTransformers(t *testing.T) {
	for _, dev := range devices(t) {
		for _, name := range goldens {
			t.Run(dev.Name()+"/"+name, func(t *testing.T) {
				g := readGolden(t, name)
				d := g.furthest(g.run(t, dev))
				if d > tolerance {
					t.Errorf("hidden states differ by %.3g", d)
				}
				t.Logf("hidden states differ by %.2g", d)
			})
		}
	}
}

// Every feature must show: without it the hidden states are far from the golden ones.
func TestEveryFeatureShows(t *testing.T) {
	zero := func(p int) func(*golden) {
		return func(g *golden) { clear(g.params[p].Data) }
	}
	for _, c := range []struct {
		name, what string
		change     func(*golden)
	}{
		{"bert", "token types", func(g *golden) { clear(g.types) }},
		{"roberta", "the row of its only token type", zero(typeEmbed)},
		{"bert", "positions", zero(posEmbed)},
		{"roberta", "position offset", func(g *golden) { g.config.FirstPos = 0 }},
		{"bert", "erf in GELU", func(g *golden) { g.config.Act = ReLU }},
		{"bert-tanh", "GELU", func(g *golden) { g.config.Act = ReLU }},
		{"bert", "padding mask", func(g *golden) { g.lengths = []int32{20, 20} }},
		{"bert", "normalisation of the embedding", func(g *golden) {
			for i := range g.params[embedNorm].Data {
				g.params[embedNorm].Data[i] = 1
			}
		}},
		{"roberta", "biases of queries, keys and values", zero(embedParams + qkv + 1)},
		{"bert", "bias of the last normalisation", zero(embedParams + 2*layerParams + ffnNorm + 1)},
	} {
		g := readGolden(t, c.name)
		valid := slices.Clone(g.lengths)
		c.change(&g)
		got := g.run(t, devices(t)[0])
		g.lengths = valid
		if d := g.furthest(got); d < 100*tolerance {
			t.Errorf("%s without %s: hidden states differ by only %.3g", c.name, c.what, d)
		}
	}
	// The two forms of GELU differ by less than 5e-4 each time; over three layers
	// that still shows above the tolerance.
	g := readGolden(t, "bert-tanh")
	g.config.Act = GELU
	if d := g.furthest(g.run(t, devices(t)[0])); d < 3*tolerance {
		t.Errorf("erf in place of tanh: hidden states differ by only %.3g", d)
	}
}

// Embeddings of whole texts, some of them longer than the limit of 16 tokens.
func TestEmbeddingsEqualTransformers(t *testing.T) {
	for _, dev := range devices(t) {
		for _, name := range goldens {
			t.Run(dev.Name()+"/"+name, func(t *testing.T) {
				s, err := Load(goldenDir(name), dev)
				if err != nil {
					t.Fatal(err)
				}
				texts := readTexts(t, name)
				want := readGolden(t, name).embeddings
				got, err := s.Encode(texts)
				if err != nil {
					t.Fatal(err)
				}
				if d := apart(slices.Concat(got...), want); d > tolerance {
					t.Errorf("embeddings differ by %.3g", d)
				}
				// In other company, and so in another batch.
				again, err := s.Encode([]string{texts[1], "", texts[0] + texts[1] + texts[2], texts[3]})
				if err != nil {
					t.Fatal(err)
				}
				if d := max(apart(again[0], got[1]), apart(again[3], got[3])); d > 1e-5 {
					t.Errorf("a text's vector depends on its company: by %.3g", d)
				}
				if d := apart(again[2], got[0]); d < 100*tolerance {
					t.Errorf("what lies past the limit does not count: vectors differ by %.3g", d)
				}
			})
		}
	}
}

// Batches run side by side on one set of parameters, and so may callers.
func TestConcurrent(t *testing.T) {
	texts := slices.Repeat(readTexts(t, "bert"), 20)
	for range 5 { // each with parameters that no graph has used
		s, err := Load(goldenDir("bert"), devices(t)[0])
		if err != nil {
			t.Fatal(err)
		}
		var g errgroup.Group
		got := make([][][]float32, 4)
		for i := range got {
			g.Go(func() (err error) {
				got[i], err = s.Encode(texts)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if d := apart(slices.Concat(got[i]...), slices.Concat(got[0]...)); d != 0 {
				t.Errorf("call %d differs by %.3g", i, d)
			}
		}
	}
}

func readTexts(t testing.TB, name string) (texts []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(goldenDir(name), "texts.json"))
	if err == nil {
		err = json.Unmarshal(data, &texts)
	}
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// apart is the largest difference of two vectors.
func apart(a, b []float32) float64 {
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
