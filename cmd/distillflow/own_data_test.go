package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

// What docs/own-data.md shows works as it stands there: its CSV and its recipe give an
// accuracy table and a trained student.
func TestOwnDataPage(t *testing.T) {
	page := readPage(t, "own-data.md")
	data, recipe := page.block(t, "csv"), page.block(t, "yaml")
	root := regexp.MustCompile(`root: ([\w.]+)`).FindStringSubmatch(recipe)
	if root == nil {
		t.Fatal("the page's recipe reads no file")
	}
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{"own.yaml": recipe, root[1]: data} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"DISTILLFLOW_MEMO": filepath.Join(dir, "memo")}
	for _, command := range []string{"validate", "plan", "run", "outputs"} {
		if status, out := runApp(t, env, command, "own.yaml"); status != exitOK {
			t.Fatalf("%s: status %d\n%s", command, status, out)
		}
	}

	table, err := os.ReadFile("out/accuracy/table.table.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	problems := int64(strings.Count(data, "\n") - 1)
	all := gjson.GetBytes(table, `..#(style=="all")`)
	if all.Get("task").Str != "shop" || all.Get("paths").Int() != 2*problems || all.Get("correct").Int() == 0 {
		t.Errorf("the accuracy of %d problems in two styles:\n%s", problems, table)
	}
	models, err := filepath.Glob(".distillflow/trees/*/models.json")
	if err != nil || len(models) != 1 {
		t.Fatalf("models %v, %v", models, err)
	}
	weights := func(student string) []byte {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(models[0]), student, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if bytes.Equal(weights("student"), weights("untrained/student")) {
		t.Error("the student was not trained")
	}
}

// Data sets that are no preset run from scan to accuracy and to a measured student, and
// what they are graded agrees with the verdicts that the data holds.
func TestOwnRecipes(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "recipes", "own"), os.DirFS("../../recipes/own")); err != nil {
		t.Fatal(err)
	}
	shared := os.Getenv("DISTILLFLOW_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	outputs, err := filepath.Abs(filepath.Join(shared, "data", "outputs"))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"DISTILLFLOW_MEMO": filepath.Join(dir, "memo")}
	t.Chdir(dir)
	run := func(t *testing.T, args ...string) {
		if status, out := runApp(t, env, append([]string{"run"}, args...)...); status != exitOK {
			t.Fatalf("status %d\n%s", status, out)
		}
		ofTask := func(file string) map[string]int {
			rows, err := os.ReadFile(filepath.Join("runs", "own", file))
			if err != nil {
				t.Fatal(err)
			}
			n := map[string]int{}
			for _, task := range gjson.GetBytes(rows, "..#.task").Array() {
				n[task.Str]++
			}
			return n
		}
		all, differ := ofTask("graded.enriched.jsonl"), ofTask("differ.enriched.jsonl")
		table, scores := ofTask("table.table.jsonl"), ofTask("scores.scores.jsonl")
		for _, task := range slices.Sorted(maps.Keys(all)) {
			t.Logf("%s: %d of %d verdicts agree", task, all[task]-differ[task], all[task])
			most := all[task] / 50
			if task == "facts" {
				most = 5 // right for a person, in other words than the gold answers
			}
			if all[task] < 30 || differ[task] > most {
				t.Errorf("%s: %d of %d verdicts differ from those of the data", task, differ[task], all[task])
			}
			if table[task] < 2 || scores[task] != 3 {
				t.Errorf("%s: %d rows of accuracy, %d of scores", task, table[task], scores[task])
			}
		}
		if want := 2 + 5*(len(args)-1)/2; len(all) != want {
			t.Errorf("%d tasks, want %d", len(all), want)
		}
	}
	t.Run("own", func(t *testing.T) { run(t, "recipes/own/own.yaml") })
	t.Run("outputs", func(t *testing.T) {
		if _, err := os.Stat(outputs); err != nil {
			t.Skip("no recorded outputs here; set DISTILLFLOW_SHARED to the folder that holds data/outputs")
		}
		run(t, "recipes/own/outputs.yaml", "--set", "outputs="+outputs)
	})
}
