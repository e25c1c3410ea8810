package data

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/task"
)

func TestFirstRows(t *testing.T) {
	for _, c := range []struct {
		name, file, text, want string
		broken                 int
		whole                  bool
		err                    string
	}{
		{"lines", "a.jsonl", "{\"a\":1}\n\n{\"a\":2}\n{\"a\":3}\n", `{"a":1} {"a":2}`, 0, false, ""},
		{"list", "a.json", "[{\"a\":1},\n {\"a\":2}]", `{"a":1} {"a":2}`, 0, true, ""},
		{"table", "a.csv", "a,b\n1,x\n", `{"a":"1","b":"x"}`, 0, true, ""},
		{"a broken table row", "a.csv", "a,b\n1,x,3\n2,y", `{"a":"2","b":"y"}`, 1, true, "a.csv:2: "},
		{"a broken line", "a.jsonl", "{\"a\":x}\n{\"a\":1}", `{"a":1}`, 1, true, "a.jsonl:1: not valid JSON"},
		{"no object", "a.jsonl", "{\"a\":1}\n[2]\n", `{"a":1}`, 1, true, "a.jsonl:2: a row must be a JSON object, not a list"},
		{"nothing else", "a.jsonl", "\xff\n", "", 1, true, "a.jsonl:1: not valid UTF-8"},
		{"empty", "a.jsonl", "", "", 0, true, "holds no rows"},
		{"archive", "a.zip", "PK", "", 0, true, "archives are not read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(path, []byte(c.text), 0o666); err != nil {
				t.Fatal(err)
			}
			got, err := FirstRows(t.Context(), path, 2)
			if got := string(bytes.Join(got.Rows, []byte(" "))); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got.Broken != c.broken || got.Whole != c.whole {
				t.Errorf("%d broken, whole %v; want %d, %v", got.Broken, got.Whole, c.broken, c.whole)
			}
			if err == nil {
				err = got.Why
			} else if c.want != "" {
				t.Error(err)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
		})
	}
}

func TestTaskReader(t *testing.T) {
	read, err := TaskReader("shop", task.Task{Answer: task.Number, Fields: map[string]string{"question": "q", "gold": "a"}}, "a.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	p, err := read([]byte(`{"q":"How many?","a":"so 6\n#### 6"}`))
	if err != nil || p.Question != "How many?" || p.GoldAnswer != "6" {
		t.Errorf("got %q, gold %q, error %v", p.Question, p.GoldAnswer, err)
	}
	if _, err := read([]byte(`{"q":"How many?"}`)); err == nil {
		t.Error("a row without gold is read")
	}
}
