package tokenizer

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var corpus = []string{
	"Ann has 4 pens. She buys 3 more, then doubles them. How many?",
	"4 + 3 = 7. 7 * 2 = 14. The answer is 14.",
	"a = 4 + 3\nb = a * 2\nprint(b)",
	"Ann has 12 pens.  Two spaces, a tab\tand caf\u00e9.",
}

func trained(t testing.TB) map[string]Tokenizer {
	t.Helper()
	out := map[string]Tokenizer{}
	for _, kind := range []string{kindWord, kindBPE} {
		for _, size := range []int{firstToken + minTokens, 60, 200} {
			tok, err := Train(kind, corpus, size)
			if err != nil {
				t.Fatal(err)
			}
			if tok.Size() > size {
				t.Fatalf("%s: %d ids, asked for at most %d", kind, tok.Size(), size)
			}
			out[kind+"-"+string(rune('0'+size/64))] = tok
		}
	}
	return out
}

func checkRoundTrip(t *testing.T, name string, tok Tokenizer, text string) {
	t.Helper()
	ids, ends := tok.Encode(text)
	if got := tok.Decode(ids); got != text {
		t.Fatalf("%s: %q became %q (ids %v)", name, text, got, ids)
	}
	if len(ids) != len(ends) {
		t.Fatalf("%s: %d ids, %d ends", name, len(ids), len(ends))
	}
	if !slices.IsSorted(ends) {
		t.Fatalf("%s: %q: offsets fall: %v", name, text, ends)
	}
	if len(ends) > 0 && ends[len(ends)-1] != len(text) {
		t.Fatalf("%s: %q: last offset %d", name, text, ends[len(ends)-1])
	}
	sp := tok.Special()
	for i, id := range ids {
		if int(id) >= tok.Size() || id == sp.Pad || id == sp.BOS || id == sp.EOS {
			t.Fatalf("%s: %q: bad id %d", name, text, id)
		}
		// The last token at an offset has read exactly that much of the text.
		if i+1 == len(ids) || ends[i+1] != ends[i] {
			if got := tok.Decode(ids[:i+1]); got != text[:ends[i]] {
				t.Fatalf("%s: token %d ends at %d (%q) but reads %q", name, i, ends[i], text[:ends[i]], got)
			}
		}
	}
}

var tricky = []string{
	"", " ", "  ", "\n", " \n ", "a", " a", "a ", "a  b", "4.", "4 .", "(4)", "( 4 )", "$5", "5%", "5 %",
	"14+3", "1234567", "12 345", "caf\u00e9", "\u00e9t\u00e9 na\u00efve", "\U0001F600", "a\x00b", "\x00", "Ann's", "Ann 's", "\xff\xfe", "a\xffb",
	"Ann has4 pens", "print (b)", "..", ". .", "\t", "\u4f60\u597d", "a\u0301", "1\u0660", "\ufffd",
}

func TestRoundTrip(t *testing.T) {
	for name, tok := range trained(t) {
		for _, text := range append(tricky, corpus...) {
			checkRoundTrip(t, name, tok, text)
		}
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, s := range append(tricky, corpus...) {
		f.Add(s)
	}
	toks := trained(f)
	f.Fuzz(func(t *testing.T, text string) {
		for name, tok := range toks {
			checkRoundTrip(t, name, tok, text)
		}
	})
}

func TestNumbersAreSingleTokens(t *testing.T) {
	tok := TrainWord(corpus, 200)
	a, _ := tok.Encode("4 + 3 = 7.")
	if len(a) != 6 {
		t.Errorf("%d tokens, want 6", len(a))
	}
	b, _ := tok.Encode("She has 4")
	if a[0] != b[2] {
		t.Error("the same number is two tokens")
	}
}

func TestKindsDiffer(t *testing.T) {
	w, b := TrainWord(corpus, 200), TrainBPE(corpus, 60)
	text := corpus[1]
	_, we := w.Encode(text)
	_, be := b.Encode(text)
	if slices.Equal(we, be) {
		t.Error("both kinds cut the text alike")
	}
	common := 0
	for _, e := range we {
		if slices.Contains(be, e) {
			common++
		}
	}
	if common == 0 {
		t.Error("no boundary in common")
	}
}

func TestSaveLoad(t *testing.T) {
	for name, tok := range trained(t) {
		data, err := json.Marshal(tok)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), File)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		back, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(back)
		if err != nil || !bytes.Equal(data, again) {
			t.Errorf("%s: not the same after loading (%v)", name, err)
		}
		for _, text := range tricky {
			a, _ := tok.Encode(text)
			b, _ := back.Encode(text)
			if !slices.Equal(a, b) {
				t.Errorf("%s: %q encodes differently after loading", name, text)
			}
		}
	}
}

func TestTrainingIsDeterministic(t *testing.T) {
	reversed := slices.Clone(corpus)
	slices.Reverse(reversed)
	for _, kind := range []string{kindWord, kindBPE} {
		a, err1 := Train(kind, corpus, 120)
		b, err2 := Train(kind, reversed, 120)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		if !bytes.Equal(x, y) {
			t.Errorf("%s: depends on the order of the texts", kind)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for name, text := range map[string]string{
		"not JSON":    "{",
		"format":      `{"format":9,"kind":"word","tokens":[]}`,
		"kind":        `{"format":1,"kind":"wordpiece","tokens":[]}`,
		"token twice": `{"format":1,"kind":"word","tokens":["a","a"]}`,
		"empty token": `{"format":1,"kind":"word","tokens":[""]}`,
		"not a byte":  `{"format":1,"kind":"word","tokens":["\u4f60"]}`,
		"merge to no": `{"format":1,"kind":"bpe","tokens":["a","b"],"merges":[["a","b"]]}`,
		"merge byte":  `{"format":1,"kind":"bpe","tokens":["a","b"],"merges":[["\u4f60","b"]]}`,
		"wrong type":  `{"format":1,"kind":"word","tokens":"a"}`,
	} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Train("wordpiece", corpus, 100); err == nil {
		t.Error("unknown kind trained")
	}
	if _, err := Train(kindWord, corpus, 3); err == nil {
		t.Error("tiny size accepted")
	}
	path := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "broken.json") {
		t.Errorf("error does not name the file: %v", err)
	}
}
