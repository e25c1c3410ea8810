package hf

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

const tinyModel = `"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}`

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{`, "not a tokenizer.json"},
		{`{}`, "model: is missing"},
		{`{"model":{"type":"Markov","vocab":{}}}`, `model: type "Markov" is not known`},
		{`{"normalizer":{"type":"Rot13"},` + tinyModel + `}`, `normalizer: type "Rot13"`},
		{`{"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Rot13"}]},` + tinyModel + `}`, `normalizer.normalizers[1]: type "Rot13"`},
		{`{"normalizer":{"type":"Sequence"},` + tinyModel + `}`, "normalizers must be a list"},
		{`{"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAA"},` + tinyModel + `}`, "charsmap"},
		{`{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"},` + tinyModel + `}`, `pre_tokenizer: pattern "("`},
		{`{"pre_tokenizer":{"type":"Split","pattern":{"String":" "},"behavior":"Eaten"},` + tinyModel + `}`, "Eaten"},
		{`{"pre_tokenizer":{"type":"UnicodeScripts"},` + tinyModel + `}`, "UnicodeScripts"},
		{`{"pre_tokenizer":{"type":"Metaspace","replacement":"__"},` + tinyModel + `}`, "one character"},
		{`{"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}}],"pair":[],"special_tokens":{}},` + tinyModel + `}`, `"<s>" is not listed`},
		{`{"decoder":{"type":"Telegraph"},` + tinyModel + `}`, `decoder: type "Telegraph"`},
		{`{"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}}`, `makes "ab"`},
		{`{"model":{"type":"BPE","vocab":{"a":0},"merges":["a c"]}}`, "merge 0"},
		{`{"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}}`, "merge 0"},
		{`{"model":{"type":"BPE","dropout":0.1,"vocab":{"a":0},"merges":[]}}`, "dropout"},
		{`{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}`, "id -1"},
		{`{"model":{"type":"BPE","unk_token":"x","vocab":{"a":0},"merges":[]}}`, "unk_token"},
		{`{"model":{"type":"WordPiece","unk_token":"x","vocab":{"a":0}}}`, "unk_token"},
		{`{"model":{"type":"Unigram","unk_id":4,"vocab":[["a",0.5]]}}`, "unk_id is 4"},
		{`{"model":{"type":"Unigram","vocab":[["a"]]}}`, "entry 0"},
		{`{"added_tokens":[{"id":99999999,"content":"x"}],` + tinyModel + `}`, "99999999"},
		{`{"normalizer":` + strings.Repeat(`{"type":"Sequence","normalizers":[`, 20) + strings.Repeat(`]}`, 20) + `,` + tinyModel + `}`, "nested"},
	} {
		path := filepath.Join(t.TempDir(), "tokenizer.json")
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.100s: error %v, want one that names the file and %q", c.text, err, c.want)
		}
	}
}

// TestCutsChangeNothing compares merging with cuts between characters that no
// token joins with merging the whole.
func TestCutsChangeNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 7))
	for _, name := range []string{"llama", "gemma"} {
		cut, err := Load(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		whole, err := Load(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if cut.model.(*bpe).inside == nil {
			t.Fatalf("%s is not cut", name)
		}
		whole.model.(*bpe).inside = nil
		words := strings.Fields("Ann has pens the answer is 14 caf\u00e9 \u2603\u2603 \u4f60\u597d step <s> ,. \u0000")
		for range 300 {
			var b strings.Builder
			for range r.IntN(12) {
				b.WriteString(words[r.IntN(len(words))])
				b.WriteString(strings.Repeat(" ", r.IntN(3)))
			}
			x, err1 := cut.Encode(b.String(), true)
			y, err2 := whole.Encode(b.String(), true)
			if err1 != nil || err2 != nil || !slices.Equal(x.IDs, y.IDs) || !slices.Equal(x.Offsets, y.Offsets) {
				t.Fatalf("%s: %q: %v %v, whole %v %v", name, b.String(), x.IDs, x.Offsets, y.IDs, y.Offsets)
			}
		}
	}
}

func TestPlainSpans(t *testing.T) {
	tok, err := Load(filepath.Join("testdata", "qwen.json"))
	if err != nil {
		t.Fatal(err)
	}
	end, _ := tok.TokenID("<|im_end|>")
	text := "a<|im_end|>b<|im_end|>"
	count := func(o Options) (n int) {
		e, err := tok.EncodeWith(o, text)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range e.IDs {
			if id == end {
				n++
			}
		}
		if back, err := tok.Decode(e.IDs, false); err != nil || back != text {
			t.Errorf("%q became %q (%v)", text, back, err)
		}
		return n
	}
	for want, o := range map[int]Options{2: {}, 1: {Plain: []Span{{0, 12}}}, 0: {PlainSpecial: true}} {
		if got := count(o); got != want {
			t.Errorf("%+v: %d special tokens, want %d", o, got, want)
		}
	}
}

func TestConcurrent(t *testing.T) {
	tok, err := Load(filepath.Join("testdata", "unigram.json"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan []int32)
	for range 4 {
		go func() {
			var last []int32
			for range 50 {
				e, err := tok.Encode("Ann has 12 pens and buys 3 more.", true)
				if err == nil {
					last = e.IDs
				}
			}
			done <- last
		}()
	}
	first := <-done
	for range 3 {
		if next := <-done; len(next) == 0 || !slices.Equal(first, next) {
			t.Errorf("%v and %v", first, next)
		}
	}
}

// sane encodes and checks what must hold for any tokenizer.
func sane(t *testing.T, tok *Tokenizer, text string) {
	t.Helper()
	e, err := tok.EncodeWith(Options{Special: true, Truncate: &Truncation{MaxLength: 50}}, text)
	if err != nil {
		return
	}
	for i, o := range e.Offsets {
		if o.Start < 0 || o.Start > o.End && e.Sequence[i] < 0 {
			t.Fatalf("token %d of %q has offsets %v", i, text, o)
		}
	}
	e.CharOffsets()
	_, _ = tok.Decode(e.IDs, false)
}

const fuzzLimit = 1 << 14

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "Ann has 12\u00a0pens, caf\u00e9 \u2603")
	}
	f.Add([]byte(`{"normalizer":{"type":"Replace","pattern":{"Regex":"a"},"content":"aa"},`+tinyModel+`}`), "aab")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if len(data) > fuzzLimit || len(text) > 100 {
			t.Skip()
		}
		alloctest.Within(t, len(data)+len(text), 20_000, 16<<20, func() {
			if tok, err := Parse(data); err == nil {
				sane(t, tok, text)
			}
		})
	})
}

func FuzzParseSentencePiece(f *testing.F) {
	for _, name := range []string{"sentencepiece-bpe", "sentencepiece-unigram"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+".model"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "Ann has 12 pens")
		f.Add(data[:len(data)/2], "x")
	}
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if len(data) > fuzzLimit || len(text) > 100 {
			t.Skip()
		}
		alloctest.Within(t, len(data)+len(text), 20_000, 16<<20, func() {
			if tok, err := ParseSentencePiece(data); err == nil {
				sane(t, tok, text)
			}
		})
	})
}
