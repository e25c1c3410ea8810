package pretrained

import (
	"cmp"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/hub/hubtest"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

func config(arch decoder.Arch) decoder.Config {
	return decoder.Config{Arch: arch, Vocab: 40, Dim: 16, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 4, FFN: 24, MaxSeq: 32, RopeTheta: 1e4, NormEps: 1e-6, Tied: arch == decoder.Gemma}
}

// write makes a checkpoint, whose tensors change may alter.
func write(t testing.TB, c decoder.Config, dtype safetensors.DType, change func([]safetensors.Tensor) []safetensors.Tensor) (dir string, set weights.Set) {
	t.Helper()
	dir = t.TempDir()
	c.InitStd = 0.1
	set, err := decoder.Init(c, 3)
	if err != nil {
		t.Fatal(err)
	}
	flat, err := decoder.Unpack(c, set)
	if err != nil {
		t.Fatal(err)
	}
	var ts []safetensors.Tensor
	for _, w := range flat {
		x, err := safetensors.FromFloat32(w.Name, dtype, w.Dims, w.Data)
		if err != nil {
			t.Fatal(err)
		}
		ts = append(ts, x)
	}
	if change != nil {
		ts = change(ts)
	}
	writeJSON(t, filepath.Join(dir, ConfigFile), c)
	if err := safetensors.WriteFile(filepath.Join(dir, safetensors.SingleFile), ts, nil); err != nil {
		t.Fatal(err)
	}
	return dir, set
}

func writeJSON(t testing.TB, name string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// cpu is the device of the tests; DISTILLFLOW_TEST_DEVICE names another, such as xla.
func cpu(t testing.TB) *device.Device {
	t.Helper()
	d, err := device.Open(cmp.Or(os.Getenv("DISTILLFLOW_TEST_DEVICE"), device.CPU))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func openModel(t testing.TB, ref string) *Model {
	t.Helper()
	m, err := Open(t.Context(), ref, Options{})
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

// values reads parameters back and frees them.
func values(t testing.TB, params []*tensors.Tensor) [][]float32 {
	t.Helper()
	var out [][]float32
	for _, p := range params {
		var v []float32
		var err error
		if p.DType() == dtypes.BFloat16 {
			err = tensors.ConstFlatData(p, func(flat []bfloat16.BFloat16) {
				for _, x := range flat {
					v = append(v, x.Float32())
				}
			})
		} else {
			v, err = tensors.CopyFlatData[float32](p)
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
		if err := p.FinalizeAll(); err != nil {
			t.Error(err)
		}
	}
	return out
}

func round(v []float32) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = math.Float32frombits(uint32(safetensors.ToBF16(x)) << 16)
	}
	return out
}

// Every pair of stored and wanted type gives the packed parameters in order.
func TestLoadParams(t *testing.T) {
	for _, stored := range []safetensors.DType{safetensors.F32, safetensors.BF16} {
		for _, want := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
			t.Run(string(stored)+" as "+want.String(), func(t *testing.T) {
				c := config(decoder.Qwen2)
				dir, set := write(t, c, stored, nil)
				m := openModel(t, dir)
				params, err := m.LoadParams(cpu(t), want)
				if err != nil {
					t.Fatal(err)
				}
				for i, p := range params {
					if !slices.Equal(p.Shape().Dimensions, set[i].Dims) || p.DType() != want {
						t.Errorf("%s: shape %s, want %v", set[i].Name, p.Shape(), set[i].Dims)
					}
				}
				for i, got := range values(t, params) {
					ref := set[i].Data
					if stored == safetensors.BF16 || want == dtypes.BFloat16 {
						ref = round(ref)
					}
					if !slices.Equal(got, ref) {
						t.Errorf("%s: numbers differ", set[i].Name)
					}
				}
				// The way of devices with memory of their own.
				var scratch []byte
				for i, p := range decoder.Layout(c) {
					x, err := m.upload(cpu(t), p, want, &scratch)
					if err != nil {
						t.Fatal(err)
					}
					ref := set[i].Data
					if stored == safetensors.BF16 || want == dtypes.BFloat16 {
						ref = round(ref)
					}
					if got := values(t, []*tensors.Tensor{x}); !slices.Equal(got[0], ref) {
						t.Errorf("%s: numbers differ after an upload", p.Name)
					}
				}
				host, err := m.Host()
				if err != nil {
					t.Fatal(err)
				}
				if err := set.SameShapes(host); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A GGUF file gives the parameters of the checkpoint it was made from.
func TestGGUF(t *testing.T) {
	m := openModel(t, filepath.Join("..", "gguf", "testdata", "llama.gguf"))
	ref, err := safetensors.Open(filepath.Join("..", "gguf", "testdata", "llama.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	want, err := decoder.Pack(m.Config, func(name string) ([]float32, []int, error) {
		x, err := ref.Tensor(name)
		if err != nil {
			return nil, nil, err
		}
		v, err := x.Float32(nil)
		return v, x.Shape, err
	})
	if err != nil {
		t.Fatal(err)
	}
	params, err := m.LoadParams(cpu(t), dtypes.Float32)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range values(t, params) {
		if !slices.Equal(got, want[i].Data) {
			t.Errorf("%s: numbers differ", want[i].Name)
		}
	}
	if m.Tokenizer != "" || len(m.Files) != 1 {
		t.Errorf("tokenizer %q, files %v", m.Tokenizer, m.Files)
	}
	if _, err := m.LoadTokenizer(""); err == nil || !strings.Contains(err.Error(), "llama.gguf: tokenizer in the metadata: there are no tokens") {
		t.Error(err)
	}
	meta := m.src.(*ggufSource).gg.Metadata
	for k, v := range map[string]any{
		"model": "gpt2", "pre": "qwen2", "tokens": []string{"a", "b", "ab", "<|end|>", "<x>"}, "token_type": []int64{1, 1, 1, 3, 3},
		"merges": []string{"a b"}, "eos_token_id": uint64(3), "padding_token_id": uint64(3),
	} {
		meta["tokenizer.ggml."+k] = v
	}
	tok, err := m.LoadTokenizer("")
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Special(); got.EOS != 3 || got.BOS != -1 || got.Pad != 4 { // padding as EOS is none
		t.Errorf("%+v", got)
	}
	if e, err := tok.Tokenizer.Encode("ab<|end|>", false); err != nil || !slices.Equal(e.IDs, []int32{2, 3}) {
		t.Errorf("%v, %v", e, err)
	}
	plain, err := m.Template("")
	if err != nil || plain.Source != "" || plain.Tokens.EOS != "<|end|>" || plain.Tokens.Pad != "" {
		t.Errorf("%+v, %v", plain, err)
	}
	meta["tokenizer.chat_template"] = "{{ messages[0].content }}{{ eos_token }}"
	if tmpl, err := m.Template(""); err != nil || tmpl.Source == "" {
		t.Errorf("%+v, %v", tmpl, err)
	}
}

// Shards, and the names of tensors inside multimodal models.
func TestLayouts(t *testing.T) {
	c := config(decoder.Gemma)
	whole, set := write(t, c, safetensors.F32, nil)
	f, err := safetensors.Open(filepath.Join(whole, safetensors.SingleFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, prefix := range prefixes {
		dir := t.TempDir()
		writeJSON(t, filepath.Join(dir, ConfigFile), c)
		shards := [][]safetensors.Tensor{nil, nil}
		index := map[string]string{}
		files := []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}
		for i, x := range f.Tensors() {
			x.Name = prefix + strings.TrimPrefix(x.Name, "model.")
			shards[i%2] = append(shards[i%2], x)
			index[x.Name] = files[i%2]
		}
		other, err := safetensors.FromFloat32("vision_tower.x", safetensors.F32, []int{1}, []float32{1})
		if err != nil {
			t.Fatal(err)
		}
		shards[0] = append(shards[0], other)
		index[other.Name] = files[0]
		for i := range files {
			if err := safetensors.WriteFile(filepath.Join(dir, files[i]), shards[i], nil); err != nil {
				t.Fatal(err)
			}
		}
		writeJSON(t, filepath.Join(dir, safetensors.IndexFile), map[string]any{"weight_map": index})
		m := openModel(t, dir)
		got, err := m.Host()
		if err != nil {
			t.Fatal(err)
		}
		if got.Hash() != set.Hash() {
			t.Errorf("prefix %q: numbers differ", prefix)
		}
		if len(m.Files) != 4 {
			t.Errorf("files %v", m.Files)
		}
		if err := os.Remove(filepath.Join(dir, files[1])); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), dir, Options{}); err == nil || !strings.Contains(err.Error(), files[1]) {
			t.Errorf("a missing shard: %v", err)
		}
	}
}

func TestRefuses(t *testing.T) {
	pick := func(ts []safetensors.Tensor, name string) *safetensors.Tensor {
		return &ts[slices.IndexFunc(ts, func(x safetensors.Tensor) bool { return x.Name == name })]
	}
	const k = "model.layers.1.self_attn.k_proj.weight"
	for title, c := range map[string]struct {
		change func([]safetensors.Tensor) []safetensors.Tensor
		load   bool // the error comes when it is loaded
		want   []string
	}{
		"NaN": {func(ts []safetensors.Tensor) []safetensors.Tensor {
			copy(pick(ts, k).Data[2*77:], "\xc0\x7f")
			return ts
		}, true, []string{k, "number 77 is NaN", safetensors.SingleFile}},
		"infinity": {func(ts []safetensors.Tensor) []safetensors.Tensor { copy(pick(ts, k).Data[4:], "\x80\xff"); return ts }, true, []string{k, "number 2 is -Inf"}},
		"missing": {func(ts []safetensors.Tensor) []safetensors.Tensor {
			return slices.DeleteFunc(ts, func(x safetensors.Tensor) bool { return x.Name == k })
		}, false, []string{k, "no tensor"}},
		"shape": {func(ts []safetensors.Tensor) []safetensors.Tensor {
			x := pick(ts, k)
			x.Shape = []int{16, 8}
			return ts
		}, false, []string{k, "[16 8]", "[8 16]", safetensors.SingleFile}},
		"one more": {func(ts []safetensors.Tensor) []safetensors.Tensor {
			x := *pick(ts, k)
			x.Name += ".x"
			return append(ts, x)
		}, false, []string{k + ".x", "not a part of a llama"}},
		"no decoder": {func(ts []safetensors.Tensor) []safetensors.Tensor { return ts[1:2] }, false, []string{embedName}},
		"not numbers": {func(ts []safetensors.Tensor) []safetensors.Tensor {
			x := pick(ts, k)
			x.DType = safetensors.I16
			return ts
		}, true, []string{k, "I16"}},
	} {
		t.Run(title, func(t *testing.T) {
			dir, _ := write(t, config(decoder.Llama), safetensors.BF16, c.change)
			m, err := Open(t.Context(), dir, Options{})
			if c.load {
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				for _, d := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
					var params []*tensors.Tensor
					if params, err = m.LoadParams(cpu(t), d); params != nil || err == nil {
						t.Errorf("as %s: %d parameters, %v", d, len(params), err)
					}
				}
			}
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("error %v\ndoes not say %s", err, w)
				}
			}
		})
	}
	t.Run("type", func(t *testing.T) {
		dir, _ := write(t, config(decoder.Llama), safetensors.BF16, nil)
		if _, err := openModel(t, dir).LoadParams(cpu(t), dtypes.Int32); err == nil {
			t.Error("no error")
		}
	})
	for ref, want := range map[string]string{"no/such": "hf://owner/name", "pretrained_test.go": "a folder"} {
		if _, err := Open(t.Context(), ref, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestFirstBad(t *testing.T) {
	for n := range 13 {
		good := make([]byte, 2*n)
		for i := range n {
			good[2*i], good[2*i+1] = 0x7f, 0x7f // the largest finite exponent
		}
		if got := firstBad16(good); got != -1 {
			t.Errorf("%d good ones: %d", n, got)
		}
		for i := range n {
			for _, bad := range []string{"\x80\x7f", "\x80\xff", "\xc1\x7f", "\xff\xff"} {
				b := slices.Clone(good)
				copy(b[2*i:], bad)
				if got := firstBad16(b); got != i {
					t.Errorf("%x: %d, want %d", b, got, i)
				}
			}
		}
	}
}

// A model on the Hub, with its end of text, and offline a second time.
func TestHub(t *testing.T) {
	dir, set := write(t, config(decoder.Llama), safetensors.F32, nil)
	repo := &hubtest.Repo{Kind: "model", Name: "acme/tiny", Large: []string{safetensors.SingleFile, "q.gguf"}, Files: map[string][]byte{
		"README.md": []byte("# x"), GenerationFile: []byte(`{"eos_token_id": [7, 9]}`), "tokenizer.json": []byte("{}"), "pytorch_model.bin": []byte("x"),
	}}
	for _, n := range []string{ConfigFile, safetensors.SingleFile} {
		b, err := os.ReadFile(filepath.Join(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		repo.Files[n] = b
	}
	s := hubtest.New(repo)
	defer s.Close()
	o := Options{hub.Options{Endpoint: s.URL, CacheDir: t.TempDir()}}
	for _, offline := range []bool{false, true} {
		o.Hub.Offline = offline
		m, err := Open(t.Context(), "hf://acme/tiny", o)
		if err != nil {
			t.Fatal(err)
		}
		if m.Resolved != "hf://acme/tiny@"+repo.Commit() || !slices.Equal(m.EOS, []int32{7, 9}) || filepath.Base(m.Tokenizer) != "tokenizer.json" {
			t.Errorf("%s, ends %v, tokenizer %s", m.Resolved, m.EOS, m.Tokenizer)
		}
		got, err := m.Host()
		if err != nil || got.Hash() != set.Hash() {
			t.Errorf("numbers differ, %v", err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if slices.Contains(s.Requests, "/acme/tiny/resolve/"+repo.Commit()+"/pytorch_model.bin") {
		t.Error("a file was loaded that is not read")
	}
	t.Run("no safetensors", func(t *testing.T) {
		s.With(func(*hubtest.Server) { delete(repo.Files, safetensors.SingleFile) })
		o.Hub.Offline, o.Hub.CacheDir = false, t.TempDir() // a process asks once where a reference stands
		if _, err := Open(t.Context(), "hf://acme/tiny", o); err == nil || !strings.Contains(err.Error(), "refs/pr/1") {
			t.Error(err)
		}
	})
	t.Run("GGUF", func(t *testing.T) {
		b, err := os.ReadFile(filepath.Join("..", "gguf", "testdata", "llama.gguf"))
		if err != nil {
			t.Fatal(err)
		}
		s.With(func(*hubtest.Server) { repo.Files["q.gguf"] = b })
		o.Hub.CacheDir = t.TempDir()
		if _, err := Open(t.Context(), "hf://acme/tiny", o); err == nil || !strings.Contains(err.Error(), "hf://acme/tiny/q.gguf") {
			t.Error(err)
		}
		m, err := Open(t.Context(), "hf://acme/tiny/q.gguf", o)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if m.Config.Vocab != 64 || m.Resolved != "hf://acme/tiny@"+repo.Commit()+"/q.gguf" {
			t.Errorf("%s, %+v", m.Resolved, m.Config)
		}
	})
}

func TestNeeds(t *testing.T) {
	c := decoder.Config{Arch: decoder.Llama, Vocab: 32000, Dim: 4096, Layers: 32, Heads: 32, KVHeads: 32, HeadDim: 128, FFN: 11008, MaxSeq: 4096, RopeTheta: 1e4, NormEps: 1e-5}
	l, err := lora.Config{Rank: 16, Alpha: 32, Targets: []string{"*_proj"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	job := Job{DType: dtypes.BFloat16, LoRA: &l, Rows: 4, Seq: 768, Recompute: true, LossTokens: 512}
	n := Needs(c, job)
	if n.Weights != 2*6_738_415_616 { // the parameters of Llama 2 7B
		t.Errorf("weights %d", n.Weights)
	}
	if n.Adapters != 4*39_976_960 || n.Optimizer != 3*n.Adapters { // what PEFT counts
		t.Errorf("adapters %d, optimizer %d", n.Adapters, n.Optimizer)
	}
	grows := func(what string, change func(*Job)) {
		more := job
		change(&more)
		if Needs(c, more).Total() <= n.Total() {
			t.Errorf("%s: no more is needed", what)
		}
	}
	grows("rows", func(j *Job) { j.Rows = 8 })
	grows("longer", func(j *Job) { j.Seq = 1024 })
	grows("no checkpointing", func(j *Job) { j.Recompute = false })
	grows("whole logits", func(j *Job) { j.LossTokens = 0 })
	grows("float32", func(j *Job) { j.DType = dtypes.Float32 })
	grows("all weights", func(j *Job) { j.Full = true })
	small := job
	small.WeightBits = 4.127
	packed := Needs(c, small).Activations
	small.Recompute = false
	if more := Needs(c, small).Activations - packed; more < 2*6_476_005_376 {
		t.Errorf("without checkpointing %d bytes more: less than its matrices in bfloat16", more)
	}
	if w := Needs(c, small).Weights; w > n.Weights/3 {
		t.Errorf("quantised weights take %d", w)
	}
	for _, free := range []int64{80 << 30, 0} {
		if err := n.Fits("hf://acme/tiny", "cuda:0", free, job); err != nil {
			t.Error(err)
		}
	}
	err = n.Fits("hf://acme/tiny", "cuda:0", 11<<30, job)
	for _, w := range []string{"hf://acme/tiny needs about", "on cuda:0, 11.0 GiB free", "quantise the base"} {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error %v, want %s", err, w)
		}
	}
	if got := available(strings.NewReader("MemTotal: 5 kB\nMemAvailable:   3000 kB\n")); got != 3000<<10 {
		t.Errorf("free %d", got)
	}
}
