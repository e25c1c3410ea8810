package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/prompts"
	preset "github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

// A simulated teacher that is always right must be found right, in every style of every
// task: its answers have the form that the prompts ask for, extraction reads that form, and
// grading accepts the gold answer as it is. A teacher that is always wrong must be found
// wrong, or the test would pass whatever grading says.
func TestTeacherExtractionAndGradingAgree(t *testing.T) {
	for _, task := range preset.Presets() {
		t.Run(task, func(t *testing.T) {
			t.Parallel()
			askAndGrade(t, task, filepath.Join("..", "..", "recipes", "data", task), 100)
		})
	}
}

// TestTeacherAgreesOnRealData does the same with rows of the real data sets, whose gold
// answers have more forms.
func TestTeacherAgreesOnRealData(t *testing.T) {
	shared := os.Getenv("DISTILLFLOW_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	limit := 100
	if os.Getenv("DISTILLFLOW_HEAVY") != "" {
		limit = 0
	}
	for _, task := range preset.Presets() {
		t.Run(task, func(t *testing.T) {
			t.Parallel()
			askAndGrade(t, task, filepath.Join(shared, "data", "datasets", task), limit)
		})
	}
}

// askAndGrade asks a teacher that is always right and one that is always wrong, in every
// style, about the first rows below root; limit 0 takes all.
func askAndGrade(t *testing.T, task, root string, limit int) {
	t.Helper()
	styles, err := json.Marshal(prompts.Styles())
	if err != nil {
		t.Fatal(err)
	}
	if root, err = filepath.Abs(root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); err != nil {
		t.Skip("no rows of this task here; set DISTILLFLOW_SHARED to the folder that holds data/datasets for the real ones")
	}
	dir := t.TempDir()
	rows, wrapped := filepath.Join(dir, "rows"), filepath.Join(dir, "prompts")
	runTask(t, dir, "scan", map[string]any{"root": root, "task": task, "include_train": true, "limit": limit}, nil, "problems", rows)
	runTask(t, dir, "wrap-cot", map[string]any{"styles": json.RawMessage(styles)}, map[string]string{"problems": rows}, "prompts", wrapped)
	for _, teacher := range []struct {
		name     string
		accuracy int
	}{{"right", 1}, {"wrong", 0}} {
		accuracy := map[string]int{"default": teacher.accuracy}
		for _, s := range prompts.Styles() {
			accuracy[s] = teacher.accuracy
		}
		replies := filepath.Join(dir, teacher.name)
		runTask(t, dir, "batch-llm", map[string]any{"simulated": map[string]any{
			"accuracy": accuracy, "unparsable": 0, "truncated": 0,
		}}, map[string]string{"prompts": wrapped}, "replies", replies)
		checkForms(t, replies, teacher.accuracy == 1)
	}
}

// checkForms wants every answer found, and found right or wrong as want says.
func checkForms(t *testing.T, replies string, want bool) {
	t.Helper()
	asked, reported := 0, map[string]int{}
	for row, err := range stage.RowsFrom[schema.Problem](replies, "replies").All() {
		if err != nil {
			t.Fatal(err)
		}
		q := answer.Question{Task: row.Task, Gold: row.GoldAnswer}
		for _, c := range row.Choices {
			q.Choices = append(q.Choices, answer.Option(c))
		}
		for _, p := range row.Paths {
			asked++
			pred := answer.Extract(q, p.Response, answer.Options{})
			res := answer.Grade(q, pred.Answer, mathverify.Options{})
			if pred.Answer != "" && (res.Verdict == mathverify.Equal) == want {
				continue
			}
			if reported[p.Style]++; reported[p.Style] <= 3 {
				t.Errorf("%s, %s: want right=%v, got %v (%s), answer %q by %q %s, gold %q, in:\n%s",
					row.ID, p.Style, want, res.Verdict, res.Reason, pred.Answer, pred.Rule, pred.Reason, row.GoldAnswer, p.Response)
			}
		}
	}
	if asked == 0 {
		t.Error("no path was asked")
	}
	for style, n := range reported {
		t.Errorf("%s: %d of %d paths disagree (right=%v)", style, n, asked/len(prompts.Styles()), want)
	}
}

// runTask runs one stage type with one output that is kept.
func runTask(t *testing.T, dir, typ string, cfg map[string]any, inputs map[string]string, port, file string) {
	t.Helper()
	reg, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	st, ok := reg.Lookup(typ)
	if !ok {
		t.Fatalf("no stage type %q", typ)
	}
	js, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	task := stage.Task{Stage: typ, Type: typ, Version: st.Version, Config: js, WorkDir: dir, Outputs: map[string]string{}, Inputs: map[string][]stage.Input{}}
	for _, p := range st.Outputs {
		task.Outputs[p.Name] = filepath.Join(dir, typ+"."+p.Name)
	}
	task.Outputs[port] = file
	for name, path := range inputs {
		task.Inputs[name] = []stage.Input{{Path: path, Label: name}}
	}
	if _, err := reg.Run(t.Context(), task, stage.Services{Getenv: noEnv}); err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
}
