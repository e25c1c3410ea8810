package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/recipeschema"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/recipetest"
)

// TestSchemaIsCurrent keeps the committed schema equal to what the stage types
// say; `go generate ./cmd/distillflow` renews it.
func TestSchemaIsCurrent(t *testing.T) {
	want := generate(t)
	got, err := os.ReadFile(filepath.Join("..", "..", "schema", "recipe.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("schema/recipe.schema.json is stale: run `go generate ./cmd/distillflow`")
	}
}

func generate(t *testing.T) []byte {
	t.Helper()
	reg, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	b, err := recipeschema.Generate(reg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSchemaJudgesRecipes checks the shipped recipes, and a wrong one, against
// the schema.
func TestSchemaJudgesRecipes(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(generate(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("recipe.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("recipe.json")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, dir := range []string{".", "own"} {
		found, err := filepath.Glob(filepath.Join("..", "..", "recipes", dir, "*.yaml"))
		if err != nil || len(found) == 0 {
			t.Fatal("no recipes", err)
		}
		files = append(files, found...)
	}
	for _, f := range files {
		if strings.HasSuffix(f, recipetest.Suffix) {
			continue // tests, not recipes
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(decodeYAML(t, b)); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	for _, right := range []string{
		"extends: x.yaml\ntasks: {gone: null, t: {labels: {a: [b]}, f1: \"${{ params.f1 }}\"}}\nstages: {a: null}",
		"stages: {a: {uses: scan, with: {root: x, task: gsm8k}, stream: s, timeout: 1h30m, retries: 2, resources: {cpus: 0.5, memory: 16GB, gpus: 1}}}",
		"stages: {a: {uses: extract, from: b, shards: 4}, b: {uses: extract, from: c, shards: \"${{ params.n }}\"}}",
		"stages: {a: {uses: scan, with: {root: x, task: gsm8k}, timeout: \"${{ params.t }}\", resources: {memory: 5000000}}}",
	} {
		if err := s.Validate(decodeYAML(t, []byte(right))); err != nil {
			t.Errorf("%s: %v", right, err)
		}
	}
	for _, wrong := range []string{
		"stages: {a: {uses: scan, with: {root: x, task: gsm8k}, timeout: 90}}",
		"tasks: {t: {answer: lable}}\nstages: {a: {uses: scan, with: {root: x, task: t}}}",
		"tasks: {t: {lables: {}}}\nstages: {a: {uses: scan, with: {root: x, task: t}}}",
		"stages: {a: {uses: scan, with: {root: x, task: gsm8k}, resources: {cpu: 1}}}",
		"stages: {a: {uses: scan, with: {root: x, task: gsm8k}, retries: -1}}",
		"stages: {a: {uses: extract, from: b, shards: 0}}",
		"stages: {a: {uses: extract, from: b, shards: 10001}}",
		"stages: {a: {uses: scan, with: {root: x, tusk: gsm8k}}}",
		"stages: {a: {uses: scann}}",
		"stages: {a: {uses: scan, with: {root: x, task: gsm8k, limit: many}}}",
		"stagges: {}",
	} {
		if err := s.Validate(decodeYAML(t, []byte(wrong))); err == nil {
			t.Errorf("%s was accepted", wrong)
		}
	}
}

func decodeYAML(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
