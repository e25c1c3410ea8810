package data

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/task"
)

func TestFirstRows(t *testing.T) {
	for _, c := range []struct{ name, file, text, want, err string }{
		{"lines", "a.jsonl", "{\"a\":1}\n\n{\"a\":2}\n{\"a\":3}\n", `{"a":1} {"a":2}`, ""},
		{"list", "a.json", "[{\"a\":1},\n {\"a\":2}, {\"a\":3}]", `{"a":1} {"a":2}`, ""},
		{"fewer", "a.jsonl", `{"a":1}`, `{"a":1}`, ""},
		{"table", "a.csv", "a,b\n1,x\n", `{"a":"1","b":"x"}`, ""},
		{"empty", "a.jsonl", "", "", "holds no rows"},
		{"broken", "a.jsonl", "{\"a\":1}\n{\"a\":\n", "", "a.jsonl:2: "},
		{"no object", "a.jsonl", "{\"a\":1}\n[2]\n", "", "a.jsonl:2: a row must be a JSON object, not a list"},
		{"archive", "a.zip", "PK", "", "archives are not read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(path, []byte(c.text), 0o666); err != nil {
				t.Fatal(err)
			}
			rows, err := FirstRows(t.Context(), path, 2)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want one with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range rows {
				got = append(got, string(r))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
		})
	}
	if _, err := FirstRows(t.Context(), filepath.Join(t.TempDir(), "none.jsonl"), 2); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestReadAs(t *testing.T) {
	own := task.Task{Answer: task.Number, Fields: map[string]string{"question": "q", "gold": "a"}}
	p, err := ReadAs("shop", own, "a.jsonl", []byte(`{"q":"How many?","a":"so 6\n#### 6"}`))
	if err != nil || p.Question != "How many?" || p.GoldAnswer != "6" {
		t.Errorf("got %q, gold %q, error %v", p.Question, p.GoldAnswer, err)
	}
	if _, err := ReadAs("shop", own, "a.jsonl", []byte(`{"q":"How many?"}`)); err == nil {
		t.Error("a row without gold is read")
	}
}
