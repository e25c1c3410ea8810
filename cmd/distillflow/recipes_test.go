package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/recipe"
	preset "github.com/distillflow/distillflow/internal/task"
)

// tiny are values that make any shipped recipe small, for the params that it has.
var tiny = map[string]string{
	"students":     `[{name: a, d_model: 8, layers: 1, heads: 1}, {name: b, arch: gemma, d_model: 8, layers: 1, heads: 1}]`,
	"warmup_steps": "1", "epochs": "1", "max_steps": "2", "train_rows": "30", "test_rows": "4",
	"sizes": "[4, 8]", "seeds": "[1, 2]", "arms": "[sft]",
}

// Every shipped recipe of the method is valid with each of its profiles, one of them called
// real, and runs to its table and figures. Each task has one.
func TestRecipes(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "recipes"), os.DirFS("../../recipes")); err != nil {
		t.Fatal(err)
	}
	model, err := filepath.Abs("../../stages/train/testdata/train-sft/basic/model")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	env := map[string]string{"DISTILLFLOW_MEMO": filepath.Join(dir, "memo")}
	files, err := filepath.Glob("recipes/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if strings.HasSuffix(name, ".test") || name == "teacher" { // which trains nobody
			continue
		}
		t.Run(name, func(t *testing.T) {
			r, diags := recipe.Load(file, recipe.Options{})
			if r == nil || r.Name != name {
				t.Fatalf("the recipe is not called %s: %v", name, diags)
			}
			real := false
			for _, p := range r.Profiles {
				if status, out := runApp(t, env, "validate", "--profile", p.Name, file); status != exitOK {
					t.Errorf("profile %s: status %d\n%s", p.Name, status, out)
				}
				real = real || p.Name == "real"
			}
			if !real {
				t.Error("it has no profile real")
			}
			if testing.Short() { // the race detector has seen these stages in their own tests
				return
			}
			run := []string{"run"}
			for _, p := range r.Params {
				if v := tiny[p.Name]; v != "" {
					run = append(run, "--set", p.Name+"="+v)
				}
			}
			if status, out := runApp(t, env, append(run, file)...); status != exitOK {
				t.Fatalf("status %d\n%s", status, out)
			}
			left := func(pattern string) bool {
				found, err := filepath.Glob(filepath.Join("runs", name, pattern))
				return err == nil && len(found) > 0
			}
			if !left("scores.scores.jsonl") && !left("table.table.jsonl") && !left("systems.*") {
				t.Error("the run left no table")
			}
			if !left("figures*.report/*.png") {
				t.Error("the run left no figures")
			}
		})
	}
	// The settings of published models suit such models.
	t.Run("published", func(t *testing.T) {
		students := "students=[{name: a, model: " + model + "}, {name: b, model: " + model + ", quantize: nf4}]"
		run := []string{"run", "--profile", "real", "--set", "teacher=simulated", "--set", "name=published", "--set", students,
			"--set", "max_steps=2", "--set", "warmup_steps=1", "--set", "test_rows=2", "--set", "max_seq=4096", "recipes/date.yaml"}
		if status, out := runApp(t, env, run...); status != exitOK {
			t.Errorf("status %d\n%s", status, out)
		}
	})
	for _, task := range preset.Presets() {
		if !slices.Contains(files, filepath.Join("recipes", task+".yaml")) && task != "openbookqa" { // has no sample problems
			t.Errorf("the task %s has no recipe", task)
		}
	}
}
