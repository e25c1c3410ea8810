package main

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/internal/sampledata"
	preset "github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

// A simulated teacher that is always right must be found right, in every style of every
// task: its answers have the form that the prompts ask for, extraction reads that form, and
// grading accepts the gold answer as it is. A teacher that is always wrong must be found
// wrong, or the test would pass whatever grading says.
func TestTeacherExtractionAndGradingAgree(t *testing.T) {
	for _, task := range append(sampledata.Tasks(), "gsm8k") {
		t.Run(task, func(t *testing.T) {
			t.Parallel()
			askAndGrade(t, asked{task: task}, filepath.Join("..", "..", "recipes", "data", task), 100)
		})
	}
}

// ninth is a data set that is not part of the program, as the file of a preset has it.
const ninth = `
answer: choice
fields: {question: sent.stem, choices: alternatives, gold: "correct ?? gold_answer", premise: passage}
prompt: "Read this: {premise}\n\n{question}\n{choices}"
`

// TestOneFileMakesATask does the same with every preset, also those without sample data,
// and with the text of one that is not there yet, by rows that are made up from nothing
// but its file. Declared in a recipe, a preset gives the same prompts.
func TestOneFileMakesATask(t *testing.T) {
	files := map[string]string{"ninth": ninth}
	for _, name := range preset.Presets() {
		p, _ := preset.Preset(name)
		files[name] = string(p.JSON())
	}
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var declared map[string]any
			if err := yaml.Unmarshal([]byte(text), &declared); err != nil {
				t.Fatal(err)
			}
			js, err := json.Marshal(declared)
			if err != nil {
				t.Fatal(err)
			}
			p, err := preset.Parse(js)
			if err != nil {
				t.Fatal(err)
			}
			rows := filepath.Join(t.TempDir(), "rows.jsonl")
			if err := os.WriteFile(rows, madeUp(t, p), 0o644); err != nil {
				t.Fatal(err)
			}
			asDeclared := askAndGrade(t, asked{task: name, declared: declared, madeUp: true}, rows, 0)
			if name == "ninth" {
				return
			}
			asPreset := askAndGrade(t, asked{task: name, madeUp: true}, rows, 0)
			if !slices.Equal(asDeclared, asPreset) {
				t.Errorf("declared: %q\npreset: %q", asDeclared, asPreset)
			}
		})
	}
}

// madeUp makes rows of a task, each field at the first place that the task takes it from.
func madeUp(t *testing.T, p preset.Task) []byte {
	t.Helper()
	var out []byte
	for _, choices := range []int{4, 7, 0} {
		golds := map[preset.Kind]string{preset.Number: "42", preset.Math: `\frac{1}{4}`, preset.Choice: "B", preset.YesNo: "yes", preset.Text: "Oslo"}
		if p.Answer == preset.Label {
			golds[preset.Label] = slices.Sorted(maps.Keys(p.Labels))[0]
		}
		if p.Answer != preset.Choice && choices > 0 || p.KindOf(choices) == preset.Choice && choices == 0 {
			continue
		}
		var options []string
		for i := range choices {
			options = append(options, "option "+strconv.Itoa(i))
		}
		row := map[string]any{}
		for ours, v := range map[string]any{
			"id": "r" + strconv.Itoa(choices), "question": "What is it?", "premise": "It is here.", "hypothesis": "It is there.",
			"table": "a | 1", "choices": options, "gold": golds[p.KindOf(choices)],
		} {
			theirs, _, _ := strings.Cut(p.Fields[ours], " ?? ")
			if theirs == "" {
				theirs = map[string]string{"gold": "gold_answer"}[ours]
			}
			place := row
			path := strings.Split(cmp.Or(theirs, ours), ".")
			for _, p := range path[:len(path)-1] {
				inner := map[string]any{}
				place[p], place = inner, inner
			}
			place[path[len(path)-1]] = v
		}
		js, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, js...), '\n')
	}
	return out
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
			askAndGrade(t, asked{task: task}, filepath.Join(shared, "data", "datasets", task), limit)
		})
	}
}

// asked is a task that a teacher is asked: a preset, or what a recipe declares.
type asked struct {
	task     string
	declared map[string]any
	madeUp   bool // the wrong teacher may deny the gold answer and give no other
}

// askAndGrade asks a teacher that is always right and one that is always wrong, in every
// style, about the first rows below root; limit 0 takes all. It returns the prompts.
func askAndGrade(t *testing.T, a asked, root string, limit int) (asks []string) {
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
	runTask(t, dir, "scan", map[string]any{"root": root, "task": a.task, "declared": a.declared, "include_train": true, "limit": limit}, nil, "problems", rows)
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
		checkForms(t, replies, teacher.accuracy == 1, a.madeUp)
	}
	for row, err := range stage.RowsFrom[schema.Problem](wrapped, "prompts").All() {
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range row.Paths {
			asks = append(asks, p.Prompt)
		}
	}
	return asks
}

// checkForms wants every answer found, and found right or wrong as want says. A wrong one
// need not be found where the teacher may deny.
func checkForms(t *testing.T, replies string, want, mayDeny bool) {
	t.Helper()
	asked, reported := 0, map[string]int{}
	for row, err := range stage.RowsFrom[schema.Problem](replies, "replies").All() {
		if err != nil {
			t.Fatal(err)
		}
		spec, err := preset.Of(row.Task, row.TaskSpec, len(row.Choices))
		if err != nil {
			t.Fatal(err)
		}
		q := answer.Question{Spec: &spec, Gold: row.GoldAnswer}
		for _, c := range row.Choices {
			q.Choices = append(q.Choices, answer.Option(c))
		}
		for _, p := range row.Paths {
			asked++
			pred := answer.Extract(q, p.Response, answer.Options{})
			res := answer.Grade(q, pred.Answer, mathverify.Options{})
			if (pred.Answer != "" || mayDeny && !want) && (res.Verdict == mathverify.Equal) == want {
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
