package merge

import (
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
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// oracleText is what models with a tokenizer read.
const oracleText = "Question: Ann has 3 apples and buys 4 more. How many apples does she have? Answer: 3 + 4 = 7."

// oracleAdapters differ in what PEFT must understand: rank, scale, targets.
var oracleAdapters = map[string]lora.Config{
	"attention": {Rank: 4, Alpha: 8, Dropout: 0.1, Targets: []string{"q_proj", "v_proj"}},
	"pattern":   {Rank: 3, Alpha: 9, RSLoRA: true, Targets: []string{"*_proj"}},
	"mlp":       {Rank: 1, Alpha: 0.5, Targets: []string{"down*", "gate_proj"}},
}

// Adapters and merged models written here are what PEFT and transformers load with the
// same logits. tools/oracle/lora/load_ours.py compares what this writes.
func TestWriteForOracle(t *testing.T) {
	out := os.Getenv("DISTILLFLOW_ORACLE_OUT")
	if out == "" {
		t.Skip("set DISTILLFLOW_ORACLE_OUT to an empty folder; tools/oracle/lora/load_ours.py says how")
	}
	bases, err := filepath.Glob(filepath.Join("..", "decoder", "testdata", "hf", "*", pretrained.ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range bases {
		bases[i] = filepath.Dir(b)
	}
	if more := os.Getenv("DISTILLFLOW_ORACLE_BASES"); more != "" {
		bases = strings.Fields(more)
	}
	for _, ref := range bases {
		t.Run(filepath.Base(ref), func(t *testing.T) { writeForOracle(t, ref, filepath.Join(out, filepath.Base(ref))) })
	}
}

func writeForOracle(t *testing.T, ref, out string) {
	base := open(t, ref)
	d := base.Config
	ids := make([]int32, 24)
	for i := range ids {
		ids[i] = int32((i*i*31 + i*7 + 5) % d.Vocab)
	}
	meta := map[string]any{"base": ref}
	options := Options{}
	if tok, err := base.LoadTokenizer(""); err == nil {
		e, err := tok.Tokenizer.Encode(oracleText, true)
		if err != nil {
			t.Fatal(err)
		}
		ids, meta["text"] = e.IDs, oracleText
	} else {
		options.Tokenizer = t.TempDir() // the small checkpoints have none
		write(t, options.Tokenizer, "tokenizer.json", "{}")
	}
	if abs, err := filepath.Abs(ref); err == nil {
		meta["base"] = abs
	}
	dev, err := device.Open(device.CPU)
	if err != nil {
		t.Fatal(err)
	}
	set, err := base.Host()
	if err != nil {
		t.Fatal(err)
	}
	logits := func(set weights.Set, c *lora.Config, s weights.Set) []float32 {
		t.Helper()
		e, err := NewExec(dev.Backend, func(in []*Node) []*Node {
			m := &decoder.Model{Config: d, Params: in[:len(set)]}
			if c != nil {
				m.Delta = lora.Delta(*c, in[len(set):len(in)-1], nil)
			}
			h := m.Hidden(in[len(in)-1])
			return []*Node{m.Logits(Slice(h, AxisRange(len(ids)-8, len(ids)), AxisRange()))}
		})
		if err != nil {
			t.Fatal(err)
		}
		out, err := e.Call(append(s.Args(set.Args(nil)), tensors.FromFlatDataAndDimensions(ids, 1, len(ids)))...)
		if err != nil {
			t.Fatal(err)
		}
		return tensors.MustCopyFlatData[float32](out[0])
	}
	var saved []safetensors.Tensor
	save := func(name string, v []float32) {
		t.Helper()
		x, err := safetensors.FromFloat32(name, safetensors.F32, []int{8, d.Vocab}, v)
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, x)
	}
	plain := logits(set, nil, nil)
	save("base", plain)
	names := make([]string, 0, len(oracleAdapters))
	for name := range oracleAdapters {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		c, err := oracleAdapters[name].Resolve()
		if err != nil {
			t.Fatal(err)
		}
		s, err := lora.Init(d, c, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		for k := 1; k < len(s); k += 2 {
			s[k] = weights.Normal(uint64(i), 0.05, s[k].Name, s[k].Dims...)
		}
		dir := filepath.Join(out, name)
		if err := lora.Save(dir, meta["base"].(string), c, s); err != nil {
			t.Fatal(err)
		}
		with := logits(set, &c, s)
		var moved float64
		for j := range with {
			moved = max(moved, math.Abs(float64(with[j]-plain[j])))
		}
		if moved < 1e-2 {
			t.Errorf("%s moves the logits by only %.3g: the comparison would show nothing", name, moved)
		}
		save(name, with)
		for _, o := range []Options{{DType: safetensors.F32, ShardBytes: 1 << 28}, {DType: safetensors.BF16}} {
			o.Tokenizer = options.Tokenizer
			if len(names) > 1 && d.Vocab > 1000 && name != "pattern" {
				continue // one merged model of a large one is enough
			}
			merged := filepath.Join(out, name+"-"+string(o.DType))
			r, err := Folder(t.Context(), base, dir, merged, o)
			if err != nil {
				t.Fatal(err)
			}
			total := lora.Total(r.Drift)
			t.Logf("%s as %s: moved %.3g, rounding %.3g of it, kept %.4g", name, o.DType, total.Relative, total.Rounding, total.Kept)
			again, err := open(t, merged).Host()
			if err != nil {
				t.Fatal(err)
			}
			save(name+"-"+string(o.DType), logits(again, nil, nil))
		}
	}
	x, err := safetensors.FromFloat32("ids", safetensors.F32, []int{1, len(ids)}, func() (v []float32) {
		for _, id := range ids {
			v = append(v, float32(id))
		}
		return v
	}())
	if err != nil {
		t.Fatal(err)
	}
	if err := safetensors.WriteFile(filepath.Join(out, "ours.safetensors"), append(saved, x), nil); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(filepath.Join(out, "meta.json"), meta); err != nil {
		t.Fatal(err)
	}
}
