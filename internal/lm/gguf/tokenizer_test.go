package gguf

import (
	"encoding/json"
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
		// A text's own space goes before it and after each special token, as in llama.cpp.
		"SentencePiece with a space in front": {pieces("model", "llama", "tokens", []string{"<unk>", "<s>", "</s>", "a", "b", "ab", "\u2581", "\u2581ab", "[X]", "", "<0x21>"},
			"scores", []float64{0, 0, 0, -10, -11, -1, -12, -2, 0, 0, 0}, "token_type", []int64{2, 3, 3, 1, 1, 1, 1, 1, 4, 5, 6}, "add_eos_token", true),
			"ab</s>ab[X]ab!", []int32{1, 7, 2, 7, 8, 7, 10, 2}},
		"Unigram": {pieces("model", "t5", "tokens", []string{"<pad>", "</s>", "<unk>", "\u2581", "\u2581ab", "a", "b", "ab"},
			"scores", []float64{0, 0, 0, -3, -4, -5, -5, -6}, "token_type", []int64{3, 3, 2, 1, 1, 1, 1, 1},
			"add_space_prefix", true, "remove_extra_whitespaces", true), "  ab  abz ", []int32{4, 4, 2, 1}},
		"WordPiece": {pieces("model", "bert", "tokens", []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581ab", "ab", "\u2581a", "\u2581!"},
			"token_type", []int64{3, 3, 3, 3, 1, 1, 1, 1}, "unknown_token_id", uint64(1), "bos_token_id", uint64(2), "seperator_token_id", uint64(3)),
			"ABab! \u00e1[SEP]zz", []int32{2, 4, 5, 7, 6, 3, 1, 3}},
		"the default pattern": {pieces("model", "gpt2", "tokens", []string{"1", "2", "12", "=", "1=", "\u0120", "\u0120="},
			"merges", []string{"1 2", "1 =", "\u0120 ="}), "121=12 =", []int32{2, 0, 3, 2, 5, 3}},
		"ids beyond the tokens are none": {pieces("model", "llama", "tokens", []string{"<unk>", "a"}, "scores", []float64{0, -1}, "token_type", []int64{2, 1},
			"bos_token_id", uint64(7), "eos_token_id", uint64(8), "add_eos_token", true, "add_space_prefix", false), "aa", []int32{1, 1}},
	} {
		t.Run(title, func(t *testing.T) {
			f := &File{Path: "x.gguf", Metadata: c.meta}
			if got := ids(t, parseTokenizer(t, f), c.text, true); !slices.Equal(got, c.want) {
				t.Errorf("ids %v, want %v", got, c.want)
			}
		})
	}
	for want, meta := range map[string]map[string]any{
		"tokens without scores":                  pieces("model", "llama", "tokens", []string{"a"}),
		"there are no tokens":                    pieces("model", "llama"),
		"kind \"rwkv\"":                          pieces("model", "rwkv", "tokens", []string{"a"}),
		"no unknown_token_id":                    pieces("model", "bert", "tokens", []string{"a"}),
		"pre-tokenizer \"xyz\" is not supported": pieces("model", "gpt2", "pre", "xyz", "tokens", []string{"a"}),
		"with 0 scores and 2":                    pieces("model", "gpt2", "tokens", []string{"a"}, "token_type", []int64{1, 1}),
		"is there twice":                         pieces("model", "gpt2", "pre", "qwen2", "tokens", []string{"a", "a"}, "merges", []string{"a a"}),
		"merge 0":                                pieces("model", "gpt2", "pre", "qwen2", "tokens", []string{"a"}, "merges", []string{"a"}),
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

// The tokenizer of a real file gives the ids of llama.cpp: DISTILLFLOW_GGUF_IDS names a
// JSON file with a list of {"text": ..., "ids": [...]}, special tokens parsed and BOS left
// out.
func TestRealIDs(t *testing.T) {
	path, list := os.Getenv("DISTILLFLOW_GGUF"), os.Getenv("DISTILLFLOW_GGUF_IDS")
	if path == "" || list == "" {
		t.Skip("set DISTILLFLOW_GGUF and DISTILLFLOW_GGUF_IDS (CONTRIBUTING.md)")
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []struct {
		Text string
		IDs  []int32
	}
	data, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	tok := parseTokenizer(t, f)
	for _, r := range rows {
		if got := ids(t, tok, r.Text, false); !slices.Equal(got, r.IDs) {
			t.Errorf("%q: %v, want %v", r.Text, got, r.IDs)
		}
	}
	t.Logf("%d texts", len(rows))
}

// Every pre-tokenizer's expressions can be read and lose nothing of a text; numbers show
// how some of them cut.
func TestPreTokenizers(t *testing.T) {
	tokens := []string{}
	for b, spare := rune(0), rune(256); b < 256; b++ { // bytes as GPT-2 writes them
		if b > 32 && b < 127 || b > 160 && b != 173 {
			tokens = append(tokens, string(b))
		} else {
			tokens = append(tokens, string(spare))
			spare++
		}
	}
	tokens = append(tokens, "12", "123", "1234", "67")
	numbers := map[string][]string{
		"llama-bpe": {"123", "4", "67"}, "smaug-bpe": {"123", "4", "6", "7"}, "gpt-4o": {"123", "4", "6", "7"}, "deepseek-v3": {"123", "4", "6", "7"},
		"qwen2": {"1", "2", "3", "4", "6", "7"}, "tekken": {"1", "2", "3", "4", "6", "7"}, "smollm": {"1", "2", "3", "4", "6", "7"},
		"gpt-2": {"1234", "6", "7"}, "falcon": {"123", "4", "6", "7"}, "default": {"123", "4", "6", "7"},
	}
	for pre := range preSplits {
		f := &File{Path: "x.gguf", Metadata: map[string]any{"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens,
			"tokenizer.ggml.merges": []string{"1 2", "12 3", "123 4"}}}
		tok := parseTokenizer(t, f)
		const text = "I'VE been\n\n  to Zürich; it's 2 \u6f22\u5b57 q\u0308 \U0001f600\u200d!?\t x(y) \r\n "
		if back, err := tok.Decode(ids(t, tok, text, false), false); err != nil || back != text {
			t.Errorf("%s: %q comes back as %q, %v", pre, text, back, err)
		}
		var got []string
		for _, id := range append(ids(t, tok, "1234", false), ids(t, tok, "67", false)...) {
			got = append(got, tokens[id])
		}
		if want := numbers[pre]; want != nil && !slices.Equal(got, want) {
			t.Errorf("%s: 1234 and 67 are %q, want %q", pre, got, want)
		}
		delete(numbers, pre)
	}
	if len(numbers) > 0 {
		t.Errorf("not known: %v", numbers)
	}
}
