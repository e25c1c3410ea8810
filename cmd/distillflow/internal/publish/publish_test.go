package publish

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
)

// The recipe in a card holds what the stages were given, and no place of this machine.
func TestRecipeYAML(t *testing.T) {
	a := &runrecord.Stage{Name: "a", Type: "scan", With: json.RawMessage(`{"root": "/srv/proj/data/x.jsonl", "n": 12, "lr": 0.01, "on": true, "none": null, "text": "yes", "many": "a: b\n# c"}`)}
	b := &runrecord.Stage{Name: "b", Type: "exec", With: json.RawMessage(`{"command": ["python", "/opt/secret/run.py", "hf://a/b", "../x"]}`), Inputs: []runrecord.Input{
		{Port: "rows", Stage: a, Output: "problems"}, {Port: "dir", Stage: a, Output: "files"}, {Port: "rows", Stage: a, Output: "more"}, {Port: "rows", Stage: a, Output: "yet"},
	}}
	r := &runrecord.Run{Stages: []*runrecord.Stage{a, b}}
	r.RecipeID, r.Resolved.Name, r.Given.Seed = "/srv/proj/r.yaml", "x: y", 7
	text, err := recipeYAML(r, r.Stages)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := yaml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	want := map[string]any{"name": "x: y", "seed": 7, "stages": map[string]any{
		"a": map[string]any{"uses": "scan", "with": map[string]any{"root": "data/x.jsonl", "n": 12, "lr": 0.01, "on": true, "none": nil, "text": "yes", "many": "a: b\n# c"}},
		"b": map[string]any{"uses": "exec", "from": map[string]any{"rows": []any{"a.problems", "a.more", "a.yet"}, "dir": "a.files"},
			"with": map[string]any{"command": []any{"python", "/.../run.py", "hf://a/b", "../x"}}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant %v", text, want)
	}
	if strings.Index(text, "a:\n") > strings.Index(text, "b:\n") {
		t.Errorf("the stages are not in the order of the run:\n%s", text)
	}
}

func TestSizeCategory(t *testing.T) {
	for n, want := range map[int64]string{0: "n<1K", 999: "n<1K", 1000: "1K<n<10K", 99_999: "10K<n<100K", 5_000_000: "1M<n<10M", 10_000_000: "10M<n<100M"} {
		if got := sizeCategory(n); got != want {
			t.Errorf("%d rows: %s, want %s", n, got, want)
		}
	}
}
