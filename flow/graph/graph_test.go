package graph_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
)

type problem struct{}

func (problem) RecordType() string { return "problem" }

type decision struct{}

func (decision) RecordType() string { return "decision" }

type student struct {
	Name string  `json:"name" required:"true" doc:"Its name."`
	LR   float64 `json:"lr" default:"0.001" min:"0" doc:"Learning rate."`
}

type trainConfig struct {
	Students []student      `json:"students" doc:"The students."`
	Epochs   int            `json:"epochs" default:"3" min:"0" max:"100" doc:"Passes over the data."`
	Device   string         `json:"device" default:"auto" choices:"auto|cpu|cuda" doc:"Where to train."`
	Weights  map[string]int `json:"weights" doc:"Weights by style."`
}

type scanConfig struct {
	Root stage.Path `json:"root" required:"true" doc:"Where the data is."`
}

func (c scanConfig) Externals(context.Context) ([]stage.External, error) {
	if _, err := os.Stat(string(c.Root)); err != nil {
		return nil, stage.Invalid("root", "%s does not exist", filepath.Base(string(c.Root)))
	}
	return nil, nil
}

type rowsIn struct {
	Problems stage.Rows[problem] `port:"problems" doc:"Problems."`
}

type twoIn struct {
	Models   stage.Dir           `port:"models" doc:"Models."`
	Problems stage.Rows[problem] `port:"problems" doc:"Problems."`
}

type logIn struct {
	Log stage.Rows[decision] `port:"log" doc:"Decisions."`
}

type rowsOut struct {
	Problems *stage.Writer[problem] `port:"problems" doc:"Problems."`
}

type trainOut struct {
	Models *stage.OutDir           `port:"models" doc:"Models."`
	Log    *stage.Writer[decision] `port:"log" doc:"Decisions."`
}

func nothing[C, I, O any](context.Context, *stage.Env, C, I, O) error { return errors.New("never run") }

func define[C, I, O any](name string) *stage.Type {
	return stage.Define(stage.Spec{Type: name, Version: 1, Class: stage.Pure, Doc: "A stage of this test."}, nothing[C, I, O])
}

func registry(t testing.TB) *stage.Registry {
	t.Helper()
	reg, err := stage.NewRegistry(
		define[scanConfig, struct{}, rowsOut]("scan"),
		define[struct{}, rowsIn, rowsOut]("verify-math"),
		define[trainConfig, rowsIn, trainOut]("train-moe"),
		define[struct{}, twoIn, rowsOut]("evaluate-students"),
		define[struct{}, logIn, rowsOut]("posrate"),
	)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// TestWrongRecipes compares the rendered diagnostics of each wrong recipe with
// its golden text. DISTILLFLOW_UPDATE=1 rewrites them.
func TestWrongRecipes(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no recipes", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			r, diags := recipe.Parse(filepath.Base(f), src, recipe.Options{})
			_, more := graph.Build(r, registry(t))
			diags.Add(more...)
			diags.Sort()
			var got strings.Builder
			if err := diags.Render(&got, r.Sources); err != nil {
				t.Fatal(err)
			}
			if !diags.HasErrors() {
				t.Errorf("the recipe was accepted")
			}
			golden := strings.TrimSuffix(f, ".yaml") + ".golden"
			if os.Getenv("DISTILLFLOW_UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	r, diags := recipe.Parse("r.yaml", []byte(`
stages:
  rates: {uses: posrate, from: students.log}
  students: {uses: train-moe, from: graded}
  graded: {uses: verify-math, from: problems}
  problems: {uses: scan, with: {root: .}}
  scores: {uses: evaluate-students, from: {models: students, problems: problems}}
`), recipe.Options{})
	g, more := graph.Build(r, registry(t))
	if g == nil {
		t.Fatal(diags, more)
	}
	var names []string
	for i, n := range g.Nodes {
		names = append(names, n.Name)
		if n.Index() != i {
			t.Errorf("%s has index %d at %d", n.Name, n.Index(), i)
		}
	}
	if got := strings.Join(names, " "); got != "problems graded students rates scores" {
		t.Errorf("order %q", got)
	}
	if got := g.Node("scores").Deps(); len(got) != 2 || got[0].Name != "students" {
		t.Errorf("deps of scores: %v", got)
	}
}
