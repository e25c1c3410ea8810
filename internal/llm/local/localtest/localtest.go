// Package localtest makes a small model folder for tests of what asks a local model.
package localtest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// Folder copies a model of 4 layers with random weights into a folder of its own, with a
// tokenizer of single letters. What it says is letters without sense; it says the same
// each time.
func Folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(root, "internal", "lm", "decoder", "testdata", "hf", "qwen2", f))
		if err != nil {
			t.Fatal(err)
		}
		Put(t, dir, f, string(data))
	}
	vocab := map[string]int{"<pad>": 0, "<s>": 1, "</s>": 2, "?": 3}
	for c := 'a'; c <= 'z'; c++ {
		vocab[string(c)] = len(vocab)
	}
	for c := 'A'; len(vocab) < 62; c++ {
		vocab[string(c)] = len(vocab)
	}
	v, err := json.Marshal(vocab)
	if err != nil {
		t.Fatal(err)
	}
	Put(t, dir, "tokenizer.json", fmt.Sprintf(`{"version":"1.0","added_tokens":[
 {"id":0,"content":"<pad>","special":true},{"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true}],
 "pre_tokenizer":{"type":"Split","pattern":{"Regex":"."},"behavior":"Isolated","invert":false},
 "decoder":{"type":"Fuse"},"model":{"type":"WordLevel","unk_token":"?","vocab":%s}}`, v))
	Put(t, dir, "tokenizer_config.json", `{"bos_token":"<s>","eos_token":"</s>","pad_token":"<pad>"}`)
	return dir
}

// GGUF writes the model of [Folder] as a GGUF file that stands alone in a folder, with the
// tokenizer and more in its metadata. The values in more are of type uint32, float32,
// bool, string, []string, []float32 or []int32; nil takes a key away.
func GGUF(t testing.TB, more map[string]any) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(root, "internal", "lm", "decoder", "testdata", "hf", "qwen2", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	texts, scores, kinds := []string{"<pad>", "<s>", "</s>", "?"}, make([]float32, 62), []int32{3, 3, 3, 2}
	for c := 'a'; c <= 'z'; c++ {
		texts = append(texts, string(c))
	}
	for c := 'A'; len(texts) < 62; c++ {
		texts = append(texts, string(c))
	}
	for len(kinds) < len(texts) {
		kinds = append(kinds, 1)
	}
	meta := map[string]any{
		"general.architecture": "qwen2", "qwen2.embedding_length": uint32(32), "qwen2.block_count": uint32(4), "qwen2.feed_forward_length": uint32(48),
		"qwen2.context_length": uint32(64), "qwen2.attention.head_count": uint32(4), "qwen2.attention.head_count_kv": uint32(2),
		"qwen2.attention.layer_norm_rms_epsilon": float32(1e-6), "qwen2.rope.freq_base": float32(10000),
		"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": texts, "tokenizer.ggml.scores": scores, "tokenizer.ggml.token_type": kinds,
		"tokenizer.ggml.bos_token_id": uint32(1), "tokenizer.ggml.eos_token_id": uint32(2), "tokenizer.ggml.unknown_token_id": uint32(3),
		"tokenizer.ggml.padding_token_id": uint32(0), "tokenizer.ggml.add_bos_token": true, "tokenizer.ggml.add_space_prefix": false,
	}
	for k, v := range more {
		if meta[k] = v; v == nil {
			delete(meta, k)
		}
	}
	var out, data bytes.Buffer
	put := func(vs ...any) {
		for _, v := range vs {
			if s, ok := v.(string); ok {
				v = append(binary.LittleEndian.AppendUint64(nil, uint64(len(s))), s...)
			}
			if err := binary.Write(&out, binary.LittleEndian, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	put([]byte("GGUF"), uint32(3), uint64(len(f.Tensors())), uint64(len(meta)))
	for k, v := range meta {
		put(k)
		switch v := v.(type) {
		case uint32:
			put(uint32(4), v)
		case float32:
			put(uint32(6), v)
		case bool:
			put(uint32(7), v)
		case string:
			put(uint32(8), v)
		case []int32:
			put(uint32(9), uint32(5), uint64(len(v)), v)
		case []float32:
			put(uint32(9), uint32(6), uint64(len(v)), v)
		case []string:
			put(uint32(9), uint32(8), uint64(len(v)))
			for _, s := range v {
				put(s)
			}
		default:
			t.Fatalf("%s: a value of type %T", k, v)
		}
	}
	names := strings.NewReplacer("model.layers.", "blk.", "self_attn.o_proj", "attn_output", "self_attn.q_proj", "attn_q", "self_attn.k_proj", "attn_k",
		"self_attn.v_proj", "attn_v", "mlp.gate_proj", "ffn_gate", "mlp.up_proj", "ffn_up", "mlp.down_proj", "ffn_down", "post_attention_layernorm", "ffn_norm",
		"input_layernorm", "attn_norm", "model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output")
	for _, x := range f.Tensors() {
		v, err := x.Float32(nil)
		if err != nil {
			t.Fatal(err)
		}
		put(names.Replace(x.Name), uint32(len(x.Shape)))
		for _, d := range slices.Backward(x.Shape) {
			put(uint64(d))
		}
		put(uint32(0), uint64(data.Len()))
		if err := binary.Write(&data, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
		data.Write(make([]byte, (32-data.Len()%32)%32))
	}
	put(make([]byte, (32-out.Len()%32)%32), data.Bytes())
	dir := t.TempDir()
	Put(t, dir, "model.gguf", out.String())
	return filepath.Join(dir, "model.gguf")
}

// Put writes a file of a folder.
func Put(t testing.TB, dir, name, data string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

// moduleRoot finds the folder of go.mod above a test's own.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, serr := os.Stat(filepath.Join(dir, "go.mod")); serr == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the test")
		}
		dir = up
	}
	return "", err
}
