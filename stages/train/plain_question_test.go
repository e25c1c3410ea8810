package train

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// A student is asked all that the question needs, without style and answer format.
func TestPlainQuestion(t *testing.T) {
	choices := []schema.Choice{{Label: "A", Text: "iron"}, {Label: "B", Text: "wood"}}
	for _, c := range []struct {
		name string
		row  schema.Problem
		want string
	}{
		{"number", schema.Problem{Task: "gsm8k", Question: "What is 2 + 3?"}, "What is 2 + 3?"},
		{"choice", schema.Problem{Task: "openbookqa", Question: "Which one floats?", Choices: choices}, "Which one floats?\n(A) iron\n(B) wood"},
		{"table", schema.Problem{Task: "table_mwp", Question: "How many are red?", Table: "red | 3"}, "red | 3"},
		{"own", schema.Problem{Task: "mine", TaskSpec: []byte(`{"answer":"label","labels":{"a":[],"b":[]},"prompt":"Sort: {question}"}`), Question: "x"}, "Sort: x"},
	} {
		got, err := plainQuestion(c.row)
		if err != nil || !strings.Contains(got, c.want) || strings.Contains(got, "answer is") {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	broken := schema.Problem{ID: "r1", Task: "mine", TaskSpec: []byte(`{"answer":3}`), Question: "x"}
	if _, err := plainQuestion(broken); err == nil || !strings.Contains(err.Error(), `row "r1": task_spec`) {
		t.Errorf("a broken task: %v", err)
	}
}

// What a student learns on it is asked in evaluation.
func TestPathsAskTheWholeQuestion(t *testing.T) {
	row := schema.Problem{
		ID: "1", Task: "openbookqa", Question: "Which one floats?", GoldAnswer: "B",
		Choices: []schema.Choice{{Label: "A", Text: "iron"}, {Label: "B", Text: "wood"}},
		Paths:   []schema.Path{{Style: "cot", Response: "Wood is light. The answer is B."}},
	}
	in := writeRows(t, filepath.Join(t.TempDir(), "rows.jsonl"), []schema.Problem{row})
	paths, _, err := readPaths(stage.RowsFrom[schema.Problem](in.Path, in.Label), use{quality: Quality{true, true}, target: Target{StudentTarget: targetResponse}})
	if err != nil || len(paths) != 1 {
		t.Fatalf("%d paths, %v", len(paths), err)
	}
	asked, err := plainQuestion(row)
	if err != nil || paths[0].question != asked || paths[0].prompt != plainPrompt(asked) || !strings.Contains(asked, "(B) wood") {
		t.Errorf("learned on %q, asked %q: %v", paths[0].question, asked, err)
	}
}
