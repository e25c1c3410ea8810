package withflags

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

func TestValue(t *testing.T) {
	for text, want := range map[string]any{
		"2020-01-01": "2020-01-01", "": nil, "3": 3, "1.5": 1.5, "yes": "yes", "true": true, "'3'": "3",
		"{1: 2020-01-01, b: [x, null]}": map[string]any{"1": "2020-01-01", "b": []any{"x", nil}},
	} {
		got, err := value(text)
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	if _, err := value("*a"); err == nil {
		t.Error("an unknown alias is taken")
	}
}

// What is read is read again from its JSON, which is YAML too; an error names the flag.
func FuzzTree(f *testing.F) {
	f.Add("model.name", "{1: 2020-01-01, b: [x, null, 1e3, 0x1f, .5, ~]}")
	f.Add("a", "- &a [1]\n- *a\n")
	f.Add("a.", "? [x]\n: !!binary YQ==\n")
	f.Add("lr", "!!float .nan")
	f.Add("", "x")
	f.Add("a", "{a: 1, a: 2, <<: {b: 3}}")
	f.Add("a", strings.Repeat("[", 5000))
	f.Add("a", "%YAML 1.1\n--- !!int 99999999999999999999\n...\n--- 2")
	f.Fuzz(func(t *testing.T, key, text string) {
		var got map[string]any
		var err error
		alloctest.Within(t, len(text)+len(key), 5000, 1<<20, func() { got, err = Tree([]string{"a=1", key + "=" + text}) })
		if err != nil {
			if name, _, _ := strings.Cut(key+"=", "="); !strings.HasPrefix(err.Error(), "--with ") || !strings.Contains(err.Error(), name) {
				t.Errorf("%q: %v does not name the flag", key, err)
			}
			return
		}
		once, err := json.Marshal(got)
		if err != nil {
			return // such as .nan: the stage's own fields refuse it
		}
		if len(once) > 1000 || !utf8.ValidString(key) {
			return // YAML bounds the length of keys; JSON replaces what is no text
		}
		again, err := value(strings.ReplaceAll(string(once), "\x7f", `\u007f`))
		if err != nil {
			t.Fatalf("%q: %s is not read again: %v", text, once, err)
		}
		twice, err := json.Marshal(again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%q: %s, read again %s (%v)", text, once, twice, err)
		}
	})
}
