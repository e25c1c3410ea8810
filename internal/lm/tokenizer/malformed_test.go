package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// Any file that is accepted gives ids that the model has, and offsets in the text.
func FuzzParse(f *testing.F) {
	for _, tok := range trained(f) {
		data, err := json.Marshal(tok)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "She has 14 + 3 apples. \u2603")
	}
	f.Add([]byte(`{"format":1,"kind":"word","tokens":["a","b"]}`), "a  b a.b")
	f.Add([]byte(`{"format":1,"kind":"bpe","tokens":["a","ab"],"merges":[["a","b"],["","a"]]}`), "abab")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if len(text) > 200 {
			t.Skip()
		}
		var tok Tokenizer
		var err error
		alloctest.Within(t, len(data), 500, 1<<20, func() { tok, err = Parse(data) })
		if err != nil {
			return
		}
		ids, ends := tok.Encode(text)
		last := 0
		for i, id := range ids {
			if id < 0 || int(id) >= tok.Size() {
				t.Fatalf("%s: %q has id %d of %d", data, text, id, tok.Size())
			}
			if ends[i] < last || ends[i] > len(text) {
				t.Fatalf("%s: %q has ends %v", data, text, ends)
			}
			last = ends[i]
		}
		if got := tok.Decode(ids); got != text {
			t.Fatalf("%s: %q came back as %q", data, text, got)
		}
	})
}

func TestLoadMalformed(t *testing.T) {
	for want, text := range map[string]string{
		"unexpected end":            `{`,
		"format 9":                  `{"format":9}`,
		`kind "x"`:                  `{"format":1,"kind":"x"}`,
		"listed twice":              `{"format":1,"kind":"word","tokens":["a","a"]}`,
		"empty or":                  `{"format":1,"kind":"word","tokens":[""]}`,
		"does not stand for a byte": `{"format":1,"kind":"word","tokens":["\u2603"]}`,
		"which is not a token":      `{"format":1,"kind":"bpe","tokens":["a"],"merges":[["a","b"]]}`,
		"exceeded max depth":        `{"format":1,"kind":"bpe","tokens":` + strings.Repeat("[", 20000) + `}`,
		"cannot unmarshal":          `{"format":1,"kind":"bpe","tokens":7}`,
		"joins an empty text":       `{"format":1,"kind":"bpe","tokens":["a"],"merges":[["","a"]]}`,
	} {
		path := filepath.Join(t.TempDir(), File)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.80s: %v, want %s", text, err, want)
		}
	}
}
