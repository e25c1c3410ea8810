package guess

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// Rows of any shape give the same guess each time, within bounds of memory.
func FuzzGuess(f *testing.F) {
	for _, s := range []string{
		`{"question":"1+1?","answer":"#### 2"}` + "\n" + `{"question":"2+1?","answer":"#### 3"}`,
		`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}`,
		`{"q":"x","choices":{"text":["a","b"],"label":["A","B"]},"answerKey":"A"}`, `{"A":"x","B":"y","answer":1}` + "\n{}\n" + `{"a":{"b":[[{"c":null}]]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var rows [][]byte
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSpace(line); gjson.ValidBytes(line) && len(line) > 0 && line[0] == '{' {
				rows = append(rows, line)
			}
		}
		if len(rows) == 0 || len(text) > 1<<14 {
			return
		}
		alloctest.Within(t, len(text), 20_000, 8<<20, func() {
			a, b := Guess(rows, true), Guess(rows, true)
			if string(a.Task.JSON()) != string(b.Task.JSON()) || len(a.Doubts) != len(b.Doubts) {
				t.Errorf("%s, then %s", a.Task.JSON(), b.Task.JSON())
			}
			for _, d := range a.Doubts {
				if strings.TrimSpace(d.Text) == "" {
					t.Errorf("an empty doubt: %+v", d)
				}
			}
		})
	})
}
