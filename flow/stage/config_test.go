package stage_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
)

type hidden struct {
	A int `json:"a" doc:"A."`
}

type Twice struct {
	A int `json:"a" doc:"A."`
}

// defineConfig defines a type with a config of the given kind.
func defineConfig[C any]() error {
	_, err := stage.NewRegistry(stage.Define(stage.Spec{Type: "t", Version: 1, Class: stage.Pure, Doc: "D."},
		func(context.Context, *stage.Env, C, in, out) error { return nil }))
	return err
}

// Configs that would not survive the way to a worker, or whose content would be
// missing from the key, are refused.
func TestConfigsThatCannotBe(t *testing.T) {
	type twice struct {
		Twice
		B int `json:"a" doc:"Another A."`
	}
	type embedsHidden struct{ hidden }
	type embedsNamed struct {
		Twice `json:"twice"`
	}
	type option struct {
		A int `json:"a,omitempty" default:"3" doc:"A."`
	}
	type unlisted struct {
		Files []stage.Path `json:"files" doc:"Files."`
	}
	type key struct {
		File stage.Path `json:"file" semantic:"false" doc:"Cannot matter."`
	}
	for want, err := range map[string]error{
		`two fields called "a"`: defineConfig[twice](),
		"must be exported":      defineConfig[embedsHidden](),
		`the json tag "twice"`:  defineConfig[embedsNamed](),
		`without "omitempty"`:   defineConfig[option](),
		"no method Externals":   defineConfig[unlisted](),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
	if err := defineConfig[key](); err != nil {
		t.Error(err)
	}
}

type deepConfig struct {
	Limits map[string]leaf `json:"limits" doc:"A map of objects."`
	Grid   [][]leaf        `json:"grid" doc:"A list of lists."`
	Maybe  *leaf           `json:"maybe" doc:"Absent by default."`
	Names  []string        `json:"names" doc:"A list without a default."`
	Rate   float64         `json:"rate" doc:"A number."`
	Small  float32         `json:"small" doc:"A small number."`
	Big    uint64          `json:"big" doc:"A large number."`
	Any    any             `json:"any" doc:"Anything."`
}

type leaf struct {
	N    int        `json:"n" default:"1" doc:"Matters."`
	Jobs int        `json:"jobs" default:"2" semantic:"false" doc:"Cannot matter."`
	File stage.Path `json:"file" semantic:"false" doc:"Cannot matter."`
}

var deepType = stage.Define(stage.Spec{Type: "deep", Version: 1, Class: stage.Pure, Doc: "D."},
	func(context.Context, *stage.Env, deepConfig, in, out) error { return nil })

func TestSemanticReachesEverywhere(t *testing.T) {
	for _, c := range []struct {
		tree map[string]any
		want map[string]string
	}{
		{map[string]any{"names": []any{}, "limits": map[string]any{}}, map[string]string{}},
		{map[string]any{"limits": map[string]any{"x": map[string]any{"n": 1, "jobs": 9, "file": "f"}}}, map[string]string{"limits": `{"x":{}}`}},
		{map[string]any{"grid": []any{[]any{map[string]any{"n": 5, "jobs": 9}}}}, map[string]string{"grid": `[[{"n":5}]]`}},
		{map[string]any{"maybe": map[string]any{}}, map[string]string{"maybe": `{}`}},
		{map[string]any{"maybe": map[string]any{"n": 2, "file": "f"}}, map[string]string{"maybe": `{"n":2}`}},
	} {
		cfg, errs := deepType.Decode(c.tree)
		if errs != nil {
			t.Fatal(errs)
		}
		m, err := cfg.Semantic()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for k, v := range m {
			got[k] = string(v)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%v: %s", c.tree, d)
		}
	}
}

func TestNumbersAtTheEdge(t *testing.T) {
	for _, tree := range []map[string]any{
		{"rate": math.NaN()}, {"rate": math.Inf(1)}, {"small": 1e300}, {"big": -1}, {"big": 1e20},
		{"any": []any{map[string]any{"x": math.NaN()}}},
	} {
		if _, errs := deepType.Decode(tree); len(errs) != 1 {
			t.Errorf("%v: errors %v", tree, errs)
		}
	}
	cfg, errs := deepType.Decode(map[string]any{"big": 1e6})
	if errs != nil || cfg.Value().(deepConfig).Big != 1_000_000 {
		t.Errorf("1e6: %v", errs)
	}
}

func TestRowWithSomethingBehindIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(path, []byte("{\"n\":1}}\n{\"n\":1} 2\n{\"n\":1}]\n{\"n\":1} \n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var good, bad int
	for _, err := range stage.RowsFrom[rec](path, "rows").All() {
		if err != nil {
			bad++
		} else {
			good++
		}
	}
	if good != 1 || bad != 3 {
		t.Errorf("%d rows, %d broken lines", good, bad)
	}
}
