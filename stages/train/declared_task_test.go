package train

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// Students are measured by the kind of answer that a row's task declares. The student of
// this test has learned one sentence, so that every verdict is known.
func TestDeclaredTasksAreEvaluated(t *testing.T) {
	dir := t.TempDir()
	var taught []schema.Problem
	for i := range 12 {
		taught = append(taught, schema.Problem{ID: fmt.Sprint("train", i), Question: fmt.Sprint("Request ", i), Paths: []schema.Path{
			{Style: "plain", Response: "The answer is money back.", FinishReason: "stop"},
		}})
	}
	out, err := runStage(t, t.Context(), "train-sft", dir, `{"name": "s", "d_model": 16, "layers": 1, "heads": 1, "epochs": 30, "lr": 0.02, "dev_fraction": 0}`, 1, map[string]stage.Input{
		"paths": writeRows(t, filepath.Join(dir, "paths.jsonl"), taught),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}

	const (
		label  = `{"answer":"label","labels":{"refund":["money back"],"cancel":["stop it"]}}`
		choice = `{"answer":"choice"}`
		text   = `{"answer":"text"}`
		f1     = `{"answer":"text","f1":0.6}`
	)
	options := []schema.Choice{{Label: "A", Text: "money back"}, {Label: "B", Text: "nothing"}}
	var test []schema.Problem
	want := map[string]string{} // id to prediction and verdict
	row := func(task, spec, pred string, correct bool, choices []schema.Choice, golds ...string) {
		p := schema.Problem{ID: fmt.Sprint("test", len(test)), Task: task, TaskSpec: []byte(spec), Question: fmt.Sprint("Request ", len(test)), Choices: choices, GoldAnswer: golds[0]}
		if len(golds) > 1 {
			p.GoldAnswers = golds
		}
		test = append(test, p)
		want[p.ID] = fmt.Sprint(pred, " ", correct)
	}
	row("intent", label, "refund", true, nil, "refund")
	row("intent", label, "refund", false, nil, "cancel")
	row("intent", label, "refund", true, nil, "refund")
	row("quiz", choice, "A", true, options, "A")
	row("quiz", choice, "A", false, options, "B")
	row("quiz", choice, "A", true, options, "B", "A")
	row("facts", text, "money back", true, nil, "The money back")
	row("facts", text, "money back", true, nil, "cash", "Money back!")
	row("facts", text, "money back", false, nil, "cash")
	row("near", f1, "money back", true, nil, "money back now")
	row("near", f1, "money back", false, nil, "cash now")

	scores, err := runStage(t, t.Context(), "evaluate-students", dir, `{"max_new": 16, "untrained": false}`, 1, map[string]stage.Input{
		"models":   {Path: out["models"], Label: "models"},
		"problems": writeRows(t, filepath.Join(dir, "test.jsonl"), test),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range readRows[schema.Prediction](t, scores["predictions"]) {
		got[p.ID] = fmt.Sprint(p.Pred, " ", p.Correct)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("predictions (-want +got):\n%s", diff)
	}
	table := map[string]string{}
	for _, s := range readRows[schema.Score](t, scores["scores"]) {
		table[s.Task+" "+s.System] = fmt.Sprintf("%d of %d", s.Correct, s.Count)
	}
	if diff := cmp.Diff(map[string]string{
		"intent s": "2 of 3", "intent majority": "2 of 3",
		"quiz s": "2 of 3", "quiz majority": "2 of 3",
		"facts s": "2 of 3", "facts majority": "2 of 3",
		"near s": "1 of 2", "near majority": "1 of 2",
	}, table); diff != "" {
		t.Errorf("scores (-want +got):\n%s", diff)
	}
}
