package gguf

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

func parseTokenizer(t *testing.T, f *File) *hf.Tokenizer {
	t.Helper()
	name, data, err := f.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	parse := hf.Parse
	if name == "tokenizer.model" {
		parse = hf.ParseSentencePiece
	}
	tok, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func ids(t *testing.T, tok *hf.Tokenizer, text string, special bool) []int32 {
	t.Helper()
	e, err := tok.Encode(text, special)
	if err != nil {
		t.Fatal(err)
	}
	return e.IDs
}

func TestTokenizer(t *testing.T) {
	pieces := func(add ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(add); i += 2 {
			m["tokenizer.ggml."+add[i].(string)] = add[i+1]
		}
		return m
	}
	for title, c := range map[string]struct {
		meta map[string]any
		text string
		want []int32
	}{
		"SentencePiece": {pieces("model", "llama", "tokens", []string{"<unk>", "<s>", "a", "b", "ab", "\u2581", "\u2581ab", "<0x21>"},
			"scores", []float64{0, 0, -10, -11, -1, -12, -2, 0}, "token_type", []int64{2, 3, 1, 1, 1, 1, 1, 6},
			"bos_token_id", uint64(1), "unknown_token_id", uint64(0), "add_space_prefix", false), "ab ab!", []int32{1, 4, 6, 7}},
		"byte level": {pieces("model", "gpt2", "pre", "qwen2", "tokens", []string{"a", "b", "ab", "\u0120", "<|end|>", "\u0120ab"},
			"token_type", []int64{1, 1, 1, 1, 3, 1}, "merges", []string{"a b", "\u0120 ab"}), "ab ab<|end|>", []int32{2, 5, 4}},
		"byte level with BOS": {pieces("model", "gpt2", "pre", "llama-bpe", "tokens", []string{"a", "b", "ab", "<|begin|>"},
			"token_type", []int64{1, 1, 1, 3}, "merges", []string{"a b"}, "bos_token_id", uint64(3), "add_bos_token", true), "aba", []int32{3, 2, 0}},
	} {
		t.Run(title, func(t *testing.T) {
			f := &File{Path: "x.gguf", Metadata: c.meta}
			if got := ids(t, parseTokenizer(t, f), c.text, true); !slices.Equal(got, c.want) {
				t.Errorf("ids %v, want %v", got, c.want)
			}
		})
	}
	for want, meta := range map[string]map[string]any{
		"no tokens":             pieces("model", "llama"),
		"tokens without scores": pieces("model", "llama", "tokens", []string{"a"}),
		"kind \"bert\"":         pieces("model", "bert", "tokens", []string{"a"}),
		"cuts texts as \"xyz\"": pieces("model", "gpt2", "pre", "xyz", "tokens", []string{"a"}),
		"with 0 scores and 2":   pieces("model", "gpt2", "tokens", []string{"a"}, "token_type", []int64{1, 1}),
		"is there twice":        pieces("model", "gpt2", "pre", "qwen2", "tokens", []string{"a", "a"}, "merges", []string{"a a"}),
		"merge 0":               pieces("model", "gpt2", "pre", "qwen2", "tokens", []string{"a"}, "merges", []string{"a"}),
	} {
		_, _, err := (&File{Path: "x.gguf", Metadata: meta}).Tokenizer()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "x.gguf") {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// The tokenizer of a published model gives the ids of its tokenizer.json; see TestReal.
func TestRealTokenizer(t *testing.T) {
	path, dir := os.Getenv("DISTILLFLOW_GGUF"), os.Getenv("DISTILLFLOW_GGUF_HF")
	if path == "" || dir == "" {
		t.Skip("set DISTILLFLOW_GGUF and DISTILLFLOW_GGUF_HF (CONTRIBUTING.md)")
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ref, err := hf.Load(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	tok := parseTokenizer(t, f)
	texts := []string{
		"The capital of France is", "  two  spaces\n\n\tand tabs ", "\u00e9t\u00e9 \u6f22\u5b57 \U0001f600\u200d x\u0301", "12345 + 67,890 = ?",
		"<start_of_turn>user\nhi<end_of_turn>\n<unused5>", "", "a\r\nb\u00a0c",
	}
	for _, text := range texts {
		if got, want := ids(t, tok, text, true), ids(t, ref, text, true); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
