package encoder

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// copyGolden copies an encoder's folder and hands it to change.
func copyGolden(t *testing.T, name string, change func(dir string)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(goldenDir(name))); err != nil {
		t.Fatal(err)
	}
	change(dir)
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tensorsOf rewrites the weights of a folder.
func tensorsOf(t *testing.T, dir string, change func(*safetensors.Tensor) (keep bool)) {
	t.Helper()
	path := filepath.Join(dir, safetensors.SingleFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := safetensors.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	var out []safetensors.Tensor
	for _, x := range all {
		if change(&x) {
			out = append(out, x)
		}
	}
	if err := safetensors.WriteFile(path, out, nil); err != nil {
		t.Fatal(err)
	}
}

func TestLoadRefuses(t *testing.T) {
	set := func(file, field string, v any) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			data, err := os.ReadFile(filepath.Join(dir, file))
			m := map[string]any{}
			if err != nil || json.Unmarshal(data, &m) != nil {
				t.Fatal(err)
			}
			m[field] = v
			b, _ := json.Marshal(m)
			write(t, dir, file, string(b))
		}
	}
	for _, c := range []struct {
		name   string
		change func(*testing.T, string)
		want   []string
	}{
		{"family", set(configFile, "model_type", "mpnet"), []string{"config.json", `"mpnet"`, "bert roberta"}},
		{"activation", set(configFile, "hidden_act", "silu"), []string{`"silu"`}},
		{"positions", set(configFile, "position_embedding_type", "relative_key"), []string{`"relative_key"`}},
		{"decoder", set(configFile, "is_decoder", true), []string{"is_decoder"}},
		{"heads", set(configFile, "num_attention_heads", 5), []string{"num_attention_heads 5"}},
		{"layers of all memory", set(configFile, "num_hidden_layers", 1<<40), []string{"num_hidden_layers 1099511627776"}},
		{"a vocabulary of all memory", set(configFile, "vocab_size", 1<<50), []string{"vocab_size"}},
		{"positions of all memory", set(configFile, "max_position_embeddings", 1<<27), []string{"position_embeddings", "shape"}},
		{"quantised", set(configFile, "quantization_config", map[string]any{"bits": 4}), []string{"quantization_config"}},
		{"vocabulary", set(configFile, "vocab_size", 100), []string{"the tokenizer has 106 ids, the model 100"}},
		{"broken config", func(t *testing.T, dir string) { write(t, dir, configFile, "{") }, []string{"config.json"}},
		{"no tokenizer", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, tokenizerFile)) }, []string{tokenizerFile}},
		{"pooling", func(t *testing.T, dir string) { write(t, dir, poolingFile, `{"pooling_mode_cls_token": true}`) }, []string{"pooling_mode_cls_token is true"}},
		{"pooling by name", func(t *testing.T, dir string) { write(t, dir, poolingFile, `{"pooling_mode": "max"}`) }, []string{"pooling_mode is max"}},
		{"module", func(t *testing.T, dir string) {
			write(t, dir, modulesFile, `[{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]`)
		}, []string{modulesFile, "models.Dense"}},
		{"missing tensor", func(t *testing.T, dir string) {
			tensorsOf(t, dir, func(x *safetensors.Tensor) bool { return x.Name != "encoder.layer.1.output.dense.bias" })
		}, []string{"encoder.layer.1.output.dense.bias"}},
		{"shape", func(t *testing.T, dir string) {
			tensorsOf(t, dir, func(x *safetensors.Tensor) bool {
				if x.Name == "encoder.layer.0.intermediate.dense.weight" {
					slices.Reverse(x.Shape)
				}
				return true
			})
		}, []string{"encoder.layer.0.intermediate.dense.weight", "[32 48]", "[48 32]"}},
		{"not a number", func(t *testing.T, dir string) {
			tensorsOf(t, dir, func(x *safetensors.Tensor) bool {
				if x.Name == "embeddings.LayerNorm.bias" {
					x.Data = slices.Clone(x.Data)
					copy(x.Data, []byte{0, 0, 0xc0, 0x7f})
				}
				return true
			})
		}, []string{"embeddings.LayerNorm.bias", "NaN"}},
		{"truncated", func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, safetensors.SingleFile), 1000); err != nil {
				t.Fatal(err)
			}
		}, []string{safetensors.SingleFile}},
		{"no room for text", set(limitFile, "max_seq_length", 1), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyGolden(t, "bert", func(dir string) { c.change(t, dir) })
			s, err := Load(dir, devices(t)[0])
			if err == nil && c.want == nil {
				_, err = s.Encode([]string{"a text"})
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v: does not name %s", err, w)
				}
			}
		})
	}
}

// Checkpoints converted from TensorFlow call the weights of normalisations gamma
// and beta; folders without sentence-transformers' files give plain means.
func TestOtherFolders(t *testing.T) {
	dev := devices(t)[0]
	texts := readTexts(t, "bert")
	encode := func(dir string) [][]float32 {
		t.Helper()
		s, err := Load(dir, dev)
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.Encode(texts)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	want := encode(goldenDir("bert"))
	old := copyGolden(t, "bert", func(dir string) {
		tensorsOf(t, dir, func(x *safetensors.Tensor) bool {
			x.Name = "bert." + strings.NewReplacer("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta").Replace(x.Name)
			return true
		})
	})
	if got := encode(old); apart(slices.Concat(got...), slices.Concat(want...)) != 0 {
		t.Error("old names gave other vectors")
	}
	plain := copyGolden(t, "bert", func(dir string) {
		for _, f := range []string{modulesFile, limitFile, poolingFile} {
			os.Remove(filepath.Join(dir, filepath.FromSlash(f)))
		}
		write(t, dir, tokenConfig, `{"model_max_length": 1e30}`)
	})
	s, err := Load(plain, dev)
	if err != nil {
		t.Fatal(err)
	}
	if s.Limit() != 40 {
		t.Errorf("limit %d, the model has 40 positions", s.Limit())
	}
	var sq float64
	for _, v := range encode(plain)[1] {
		sq += float64(v) * float64(v)
	}
	if sq > 0.98 && sq < 1.02 {
		t.Errorf("length² %v: nothing asks for normalisation", sq)
	}
	other := copyGolden(t, "bert", func(dir string) { write(t, dir, limitFile, `{"max_seq_length": 16, "do_lower_case": true}`) })
	s, err = Load(other, dev)
	if err != nil {
		t.Fatal(err)
	}
	if !s.settings.lower || s.Limit() != 16 || s.Dim() != 32 || !strings.HasPrefix(s.Name(), "bert-32-") {
		t.Errorf("settings %+v, limit %d, %d wide, called %s", s.settings, s.Limit(), s.Dim(), s.Name())
	}
}

func TestFiles(t *testing.T) {
	got, err := Files(goldenDir("bert"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{configFile, tokenizerFile, modulesFile, limitFile, poolingFile, safetensors.SingleFile}
	if !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	// A checkpoint in shards: the index and what it lists.
	dir := copyGolden(t, "bert", func(dir string) {
		if err := os.Rename(filepath.Join(dir, safetensors.SingleFile), filepath.Join(dir, "part-1.safetensors")); err != nil {
			t.Fatal(err)
		}
		write(t, dir, safetensors.IndexFile, `{"weight_map": {"embeddings.LayerNorm.bias": "part-1.safetensors"}}`)
	})
	got, err = Files(dir)
	if err != nil || !slices.Contains(got, "part-1.safetensors") || !slices.Contains(got, safetensors.IndexFile) {
		t.Errorf("files %v, %v", got, err)
	}
	if s, err := Load(dir, devices(t)[0]); err != nil || s.Dim() != 32 {
		t.Errorf("shards: %v", err)
	}
	if _, err := Files(t.TempDir()); err == nil || !strings.Contains(err.Error(), configFile) {
		t.Errorf("empty folder: %v", err)
	}
}

// A reference to the Hub is answered from its cache when there is no network.
func TestLocateOffline(t *testing.T) {
	const commit = "0123456789012345678901234567890123456789"
	cache := t.TempDir()
	repo := filepath.Join(cache, "models--acme--tiny-bert")
	dir := filepath.Join(repo, "snapshots", commit)
	if err := os.CopyFS(dir, os.DirFS(goldenDir("bert"))); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(repo, "refs"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, repo, "refs/main", commit)
	got, err := Locate(context.Background(), "hf://acme/tiny-bert", hub.Options{CacheDir: cache, Offline: true})
	if err != nil || got != dir {
		t.Errorf("%s, %v; want %s", got, err, dir)
	}
	if _, err := Locate(context.Background(), "hf://acme/other", hub.Options{CacheDir: cache, Offline: true}); err == nil {
		t.Error("a model that is not in the cache was found")
	}
	for ref, part := range map[string]string{
		filepath.Join(goldenDir("bert"), configFile): "not a folder", "no/such/folder": "no such file",
	} {
		if _, err := Locate(context.Background(), ref, hub.Options{}); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestBatchesHoldEveryChunkOnce(t *testing.T) {
	for _, dev := range devices(t) {
		s := &Sentence{dev: dev, limit: 256}
		var chunks []chunk
		for i := range 300 {
			n := 1 + i*37%256
			chunks = append(chunks, chunk{text: i, ids: make([]int32, n), seq: s.bucket(n)})
		}
		seen, shapes := map[int]bool{}, map[[2]int]bool{}
		for _, b := range s.batches(chunks) {
			shapes[[2]int{b.rows, b.seq}] = true
			if len(b.chunks) > b.rows || b.rows*b.seq > batchTokens {
				t.Fatalf("%d chunks in %d rows of %d", len(b.chunks), b.rows, b.seq)
			}
			for _, c := range b.chunks {
				if seen[c.text] || len(c.ids) > b.seq {
					t.Fatalf("chunk %d of %d tokens in rows of %d", c.text, len(c.ids), b.seq)
				}
				seen[c.text] = true
			}
		}
		if len(seen) != 300 {
			t.Errorf("%d of 300 chunks", len(seen))
		}
		if limit := map[bool]int{true: 5, false: 50}[dev.IsXLA()]; len(shapes) > limit {
			t.Errorf("%d shapes: %v", len(shapes), slices.Collect(maps.Keys(shapes)))
		}
	}
}
