package merge

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, parts ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// folder copies a golden checkpoint of the decoder, stored as dtype, and gives it
// files of a tokenizer.
func folder(t testing.TB, name string, dtype safetensors.DType, change func(name string, v []float32)) string {
	t.Helper()
	dir := t.TempDir()
	from := filepath.Join("..", "decoder", "testdata", "hf", name)
	write(t, dir, pretrained.ConfigFile, string(read(t, from, pretrained.ConfigFile)))
	ck, err := safetensors.OpenCheckpoint(from)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	var all []safetensors.Tensor
	for _, n := range ck.Names() {
		x, err := ck.Tensor(n)
		if err != nil {
			t.Fatal(err)
		}
		v, err := x.Float32(nil)
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(n, v)
		}
		if x, err = safetensors.FromFloat32(n, dtype, x.Shape, v); err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
	if err := safetensors.WriteFile(filepath.Join(dir, safetensors.SingleFile), all, nil); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "tokenizer.json", "{}")
	write(t, dir, "tokenizer_config.json", `{"eos_token":"x"}`)
	write(t, dir, "chat_template.jinja", "the base's")
	write(t, dir, pretrained.GenerationFile, `{"eos_token_id":[7,9]}`)
	return dir
}

func open(t testing.TB, ref string) *pretrained.Model {
	t.Helper()
	m, err := pretrained.Open(context.Background(), ref, pretrained.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// adapter is the PEFT folder that the oracle of lora wrote for a checkpoint.
func adapter(name string) string { return filepath.Join("..", "lora", "testdata", name, "start") }

// want merges in memory.
func want(t testing.TB, m *pretrained.Model, name string, round func(float32) float32) (weights.Set, []lora.Drift) {
	t.Helper()
	c, s, _, err := lora.Load(adapter(name), m.Config)
	if err != nil {
		t.Fatal(err)
	}
	set, err := m.Host()
	if err != nil {
		t.Fatal(err)
	}
	return set, mergeAll(t, m.Config, set, c, s, round)
}

// The written folder opens as a model whose weights are those merged in memory,
// rounded to the type, in one file and in shards.
func TestFolder(t *testing.T) {
	for _, name := range []string{"llama", "qwen2", "gemma3"} {
		for _, c := range []struct{ stored, as safetensors.DType }{
			{safetensors.F32, ""}, {safetensors.BF16, ""}, {safetensors.F16, ""}, {safetensors.BF16, safetensors.F32}, {safetensors.F32, safetensors.BF16},
		} {
			t.Run(name+" "+string(c.stored)+" as "+string(c.as), func(t *testing.T) {
				base := open(t, folder(t, name, c.stored, nil))
				kind := c.as
				if kind == "" {
					kind = c.stored
				}
				round := safetensors.Rounder(kind)
				set, drift := want(t, base, name, round)
				if round != nil {
					for _, x := range set {
						for i, v := range x.Data {
							x.Data[i] = round(v)
						}
					}
				}
				for _, limit := range []int64{0, 5000, 1} {
					out := filepath.Join(t.TempDir(), "deep", "merged")
					r, err := Folder(t.Context(), base, adapter(name), out, Options{DType: c.as, ShardBytes: limit})
					if err != nil {
						t.Fatal(err)
					}
					got := open(t, out)
					if !slices.Equal(got.EOS, base.EOS) || got.Config.Tied != base.Config.Tied || filepath.Base(got.Tokenizer) != "tokenizer.json" {
						t.Errorf("ends %v, tied %v, tokenizer %s", got.EOS, got.Config.Tied, got.Tokenizer)
					}
					host, err := got.Host()
					if err != nil {
						t.Fatal(err)
					}
					if host.Hash() != set.Hash() {
						t.Error("the weights differ from those merged in memory")
					}
					if _, dtype, _ := got.Raw("model.norm.weight"); dtype != kind || r.DType != kind {
						t.Errorf("stored as %s, reported %s, want %s", dtype, r.DType, kind)
					}
					byName := map[string]lora.Drift{}
					for _, d := range r.Drift {
						byName[d.Module] = d
					}
					if len(byName) != len(drift) {
						t.Errorf("%d projections in the report, want %d", len(byName), len(drift))
					}
					for _, d := range drift {
						if byName[d.Module] != d {
							t.Errorf("drift %+v, in memory %+v", byName[d.Module], d)
						}
					}
					files, _ := filepath.Glob(filepath.Join(out, "*.safetensors"))
					switch {
					case limit == 0 && len(files) != 1, limit == 5000 && len(files) < 2, limit == 1 && len(files) != r.Tensors:
						t.Errorf("limit %d: %d files for %d tensors", limit, len(files), r.Tensors)
					}
					if base.Config.Tied && slices.ContainsFunc(host, func(x weights.Tensor) bool { return x.Name == "lm_head.weight" }) {
						t.Error("a tied head was written")
					}
					if left, _ := filepath.Glob(out + ".*"); left != nil {
						t.Errorf("left behind: %v", left)
					}
				}
			})
		}
	}
}

// The small files: copied, the student's own template instead of the base's, and the
// configuration only changed where the weights are.
func TestCompanions(t *testing.T) {
	base := open(t, folder(t, "llama", safetensors.BF16, nil))
	student := t.TempDir()
	if err := os.CopyFS(student, os.DirFS(adapter("llama"))); err != nil {
		t.Fatal(err)
	}
	merge := func(o Options) string {
		t.Helper()
		out := filepath.Join(t.TempDir(), "m")
		if _, err := Folder(t.Context(), base, student, out, o); err != nil {
			t.Fatal(err)
		}
		return out
	}
	config := func(dir string) (c map[string]any) {
		t.Helper()
		if err := json.Unmarshal(read(t, dir, pretrained.ConfigFile), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	out := merge(Options{})
	if got := string(read(t, out, "chat_template.jinja")); got != "the base's" {
		t.Errorf("template %q", got)
	}
	write(t, student, "chat_template.jinja", "the student's")
	tok := t.TempDir()
	write(t, tok, "tokenizer.model", "pieces")
	out = merge(Options{DType: safetensors.F32, Tokenizer: tok})
	if got := string(read(t, out, "chat_template.jinja")); got != "the student's" {
		t.Errorf("template %q", got)
	}
	if _, err := os.Stat(filepath.Join(out, "tokenizer.json")); err == nil || string(read(t, out, "tokenizer.model")) != "pieces" {
		t.Error("the base's tokenizer was taken in place of the one named")
	}
	before, after := config(base.Dir), config(out)
	key := "dtype"
	if _, has := before[key]; !has {
		key = "torch_dtype"
	}
	if after[key] != "float32" {
		t.Errorf("%s is %v", key, after[key])
	}
	for k, v := range before {
		x, _ := json.Marshal(v)
		y, _ := json.Marshal(after[k])
		if k != key && string(x) != string(y) {
			t.Errorf("%s: %s became %s", k, x, y)
		}
	}
}

// Of a multimodal model the language model is written, under the names of one.
func TestMultimodal(t *testing.T) {
	dir := folder(t, "gemma3", safetensors.F32, nil)
	var text map[string]any
	if err := json.Unmarshal(read(t, dir, pretrained.ConfigFile), &text); err != nil {
		t.Fatal(err)
	}
	delete(text, "eos_token_id")
	whole := map[string]any{"model_type": "gemma3", "architectures": []string{"Gemma3ForConditionalGeneration"}, "text_config": text, "eos_token_id": []int{5, 6}, "vision_config": map[string]any{}}
	data, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, pretrained.ConfigFile, string(data))
	f, err := safetensors.Open(filepath.Join(dir, safetensors.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	all := f.Tensors()
	for i := range all {
		all[i].Name = "language_model." + all[i].Name
	}
	all = append(all, safetensors.Tensor{Name: "vision_tower.x", DType: safetensors.F32, Shape: []int{1}, Data: make([]byte, 4)})
	if err := safetensors.WriteFile(filepath.Join(dir, "other"), all, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "other"), filepath.Join(dir, safetensors.SingleFile)); err != nil {
		t.Fatal(err)
	}
	base := open(t, dir)
	out := filepath.Join(t.TempDir(), "m")
	if _, err := Folder(t.Context(), base, adapter("gemma3"), out, Options{}); err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(read(t, out, pretrained.ConfigFile), &c); err != nil {
		t.Fatal(err)
	}
	if c["model_type"] != "gemma3_text" || c["vision_config"] != nil || c["eos_token_id"] == nil || c["architectures"].([]any)[0] != "Gemma3ForCausalLM" {
		t.Errorf("config %v", c)
	}
	got := open(t, out)
	set, _ := want(t, base, "gemma3", nil)
	if host, err := got.Host(); err != nil || host.Hash() != set.Hash() {
		t.Errorf("other weights, %v", err)
	}
	if names := slices.Collect(maps.Keys(c)); len(names) < 10 {
		t.Errorf("keys %v", names)
	}
}

// A GGUF file becomes a folder, in bfloat16.
func TestGGUF(t *testing.T) {
	base := open(t, filepath.Join("..", "gguf", "testdata", "llama.gguf"))
	c, err := lora.Config{Rank: 2, Alpha: 4, Targets: []string{"*"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	s, err := lora.Init(base.Config, c, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range s {
		for i := range x.Data {
			x.Data[i] += 0.01
		}
	}
	dir := t.TempDir()
	if err := lora.Save(dir, "", c, s); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "m")
	// The small file has no tokenizer in its metadata; tools/oracle/lora merges one that has.
	if _, err := Folder(t.Context(), base, dir, out, Options{}); err == nil || !strings.Contains(err.Error(), "llama.gguf: tokenizer in the metadata: ") {
		t.Fatalf("without a tokenizer: %v", err)
	}
	tok := t.TempDir()
	write(t, tok, "tokenizer.json", "{}")
	r, err := Folder(t.Context(), base, dir, out, Options{Tokenizer: tok})
	if err != nil {
		t.Fatal(err)
	}
	got := open(t, out)
	if r.DType != safetensors.BF16 || got.Config.Vocab != base.Config.Vocab || !slices.Equal(got.EOS, base.EOS) {
		t.Errorf("%s, ends %v, want %v", r.DType, got.EOS, base.EOS)
	}
	host, err := got.Host()
	if err != nil {
		t.Fatal(err)
	}
	set, err := base.Host()
	if err != nil {
		t.Fatal(err)
	}
	mergeAll(t, base.Config, set, c, s, nil)
	round := safetensors.Rounder(safetensors.BF16)
	for i := range set {
		for j, v := range set[i].Data {
			if host[i].Data[j] != round(v) {
				t.Fatalf("%s[%d] is %v, want %v rounded", set[i].Name, j, host[i].Data[j], v)
			}
		}
	}
}

// A merge holds one tensor at a time: what it allocates in all is a fraction of the
// model.
func TestMemory(t *testing.T) {
	c := decoder.Config{Arch: decoder.Llama, Vocab: 64, Dim: 128, Layers: 60, Heads: 4, KVHeads: 4, HeadDim: 32, FFN: 384, MaxSeq: 32, RopeTheta: 1e4, NormEps: 1e-6, Tied: true, InitStd: 0.02}
	set, err := decoder.Init(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	flat, err := decoder.Unpack(c, set)
	if err != nil {
		t.Fatal(err)
	}
	var all []safetensors.Tensor
	for _, x := range flat {
		y, err := safetensors.FromFloat32(x.Name, safetensors.BF16, x.Dims, x.Data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, y)
	}
	dir, student := t.TempDir(), t.TempDir()
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, pretrained.ConfigFile, string(config))
	write(t, dir, "tokenizer.json", "{}")
	if err := safetensors.WriteFile(filepath.Join(dir, safetensors.SingleFile), all, nil); err != nil {
		t.Fatal(err)
	}
	l, err := lora.Config{Rank: 1, Alpha: 1, Targets: []string{"*"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	s, err := lora.Init(c, l, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := lora.Save(student, "", l, s); err != nil {
		t.Fatal(err)
	}
	base := open(t, dir)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Folder(t.Context(), base, student, filepath.Join(t.TempDir(), "m"), Options{DType: safetensors.F32}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got, model := after.TotalAlloc-before.TotalAlloc, uint64(4*set.Count()); got > model/3 {
		t.Errorf("%d bytes were allocated for a model of %d", got, model)
	} else {
		t.Logf("%.1f MB were allocated in all for a model of %.1f MB", float64(got)/1e6, float64(model)/1e6)
	}
}

// mergeAll adds adapters to the weights of their base, in place.
func mergeAll(t testing.TB, d decoder.Config, base weights.Set, c lora.Config, s weights.Set, round func(float32) float32) (report []lora.Drift) {
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
