package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/schema"
)

func TestStudentsText(t *testing.T) {
	for _, c := range []struct {
		thinks                  bool
		text, thought, response string
		open                    bool
	}{
		{false, "The answer is 4.", "", "The answer is 4.", false},
		{false, "<answer>4</answer>", "", "<answer>4</answer>", false},
		{false, "<think>\nhm\n</think>\n\n4", "hm", "4", false},
		{false, "<think>hm</think><answer>4</answer>", "hm", "<answer>4</answer>", false},
		{false, "hm\n</think>\n\n4", "hm", "4", false},
		{false, "<think>\nThe answer is 4.", "The answer is 4.", "", true},
		{true, "The answer is 4.", "The answer is 4.", "", true},
		{true, "hm\n</think>\n\n4", "hm", "4", false},
		{true, "\n</think>\n\n4", "", "4", false},
		{true, "hm\n[/THINK]4", "hm", "4", false},
	} {
		thought, response, open := answerer{thinks: c.thinks}.read(c.text)
		if thought != c.thought || strings.TrimSpace(response) != c.response || open != c.open {
			t.Errorf("%v %q: %q, %q, %v", c.thinks, c.text, thought, response, open)
		}
	}
}

// A mark that is a special token is text all the same.
func TestSpecialMarksAreText(t *testing.T) {
	dir := t.TempDir()
	writeBase(t, dir)
	file := filepath.Join(dir, "tokenizer.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	tree["added_tokens"] = append(tree["added_tokens"].([]any),
		map[string]any{"id": 100, "content": "[THINK]", "special": true}, map[string]any{"id": 101, "content": "[/THINK]", "special": true})
	if data, err = json.Marshal(tree); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.LoadPretrained(dir)
	if err != nil {
		t.Fatal(err)
	}
	three, _ := tok.Encode("3")
	four, _ := tok.Encode("4")
	student, err := published(&causal.Model{Tokenizer: tok, Template: chat.Plain(chat.Tokens{})})
	if err != nil {
		t.Fatal(err)
	}
	decode := student.decode
	if got := decode([]int32{100, three[0], 101, four[0]}); got != "[THINK]3[/THINK]4" {
		t.Errorf("got %q", got)
	}
	if got := decode([]int32{1, four[0]}); got != "4" {
		t.Errorf("without marks: %q", got)
	}
}

// A student whose template opens the thought, and that is cut off in it, has no response.
func TestGenerateOpensThought(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "model")
	writeBase(t, model)
	const template = "{{ bos_token }}{% for m in messages %}{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<think>\n{% endif %}"
	if err := os.WriteFile(filepath.Join(model, "chat_template.jinja"), []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := runStage(t, t.Context(), "generate", dir, `{"model": "`+model+`", "max_new": 8}`, 42, map[string]stage.Input{
		"problems": writeRows(t, filepath.Join(dir, "problems.jsonl"), testProblems(1)),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	if p := readRows[schema.Problem](t, out["problems"])[0].Paths[0]; p.Response != "" || p.Reasoning == "" || p.FinishReason != "length" {
		t.Errorf("%+v", p)
	}
}

// A student learns to think and to answer; only what it answers counts, and its thoughts
// have room.
func TestStudentLearnsToThink(t *testing.T) {
	dir := t.TempDir()
	var train, test []schema.Problem
	for _, q := range []struct{ question, wrong, right string }{{"2 and 2?", "3", "4"}, {"5 and 4?", "8", "9"}} {
		train = append(train, schema.Problem{ID: q.question, Task: "gsm8k", Question: q.question, Paths: []schema.Path{{
			Style: "cot", Reasoning: "Is it " + q.wrong + "? The answer is " + q.wrong + ". No.", Response: "The answer is " + q.right + ".",
		}}})
		test = append(test, schema.Problem{ID: "test " + q.question, Task: "gsm8k", Question: q.question, GoldAnswer: q.right})
	}
	cfg := `{"student_target": "reasoning+response", "d_model": 16, "layers": 1, "epochs": 120, "batch": 2, "lr": 0.02, "dev_fraction": 0, "select": "last"}`
	out, err := runStage(t, t.Context(), "train-sft", dir, cfg, 1, map[string]stage.Input{
		"paths": writeRows(t, filepath.Join(dir, "train.jsonl"), train),
	}, stage.Services{})
	if err != nil {
		t.Fatal(err)
	}
	asked := func(cfg string) []schema.Prediction {
		ev, err := runStage(t, t.Context(), "evaluate-students", dir, cfg, 1, map[string]stage.Input{
			"models":   {Path: out["models"], Label: "models"},
			"problems": writeRows(t, filepath.Join(dir, "test.jsonl"), test),
		}, stage.Services{})
		if err != nil {
			t.Fatal(err)
		}
		return readRows[schema.Prediction](t, ev["predictions"])
	}
	for i, p := range asked(`{"untrained": false}`) {
		if !p.Correct || p.Response != train[i].Paths[0].Response || p.Reasoning != train[i].Paths[0].Reasoning {
			t.Errorf("%+v", p)
		}
	}
	for _, p := range asked(`{"untrained": false, "max_new": 16}`) {
		if p.Pred != "" || p.Response != "" || p.Reasoning == "" {
			t.Errorf("cut off in the thought: %+v", p)
		}
	}
}
