package prompt

import (
	"testing"

	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/simulated"
	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/schema"
)

// TestTeacherOfDeclaredTasks: the simulated teacher's right answers are right and its
// wrong ones are answers, and wrong.
func TestTeacherOfDeclaredTasks(t *testing.T) {
	letters := []schema.Choice{{Label: "A", Text: "iron"}, {Label: "B", Text: "water"}, {Label: "C", Text: "a glass"}}
	for _, row := range []schema.Problem{
		{TaskSpec: []byte(`{"answer":"label","labels":{"refund":["money back"],"Ship it":null,"other":null}}`), GoldAnswer: "Ship it"},
		{TaskSpec: []byte(`{"answer":"label","labels":{"yes":null,"no":null,"maybe":null}}`), GoldAnswer: "maybe"},
		{TaskSpec: []byte(`{"answer":"label","labels":{"a":null,"b":null,"c":null}}`), GoldAnswer: "a", GoldAnswers: []string{"a", "b"}},
		{TaskSpec: []byte(`{"answer":"text"}`), GoldAnswer: "Marie Curie"},
		{TaskSpec: []byte(`{"answer":"text"}`), GoldAnswer: "New York", GoldAnswers: []string{"New York", "NYC"}},
		{TaskSpec: []byte(`{"answer":"choice","several":"all"}`), Choices: letters, GoldAnswer: "A", GoldAnswers: []string{"A", "C"}},
		{TaskSpec: []byte(`{"answer":"choice","several":"all"}`), Choices: letters, GoldAnswer: "B"},
		{TaskSpec: []byte(`{"answer":"choice"}`), Choices: letters, GoldAnswer: "A", GoldAnswers: []string{"A", "C"}},
		{TaskSpec: []byte(`{"answer":"choice"}`), Choices: letters, GoldAnswer: "C"},
		{TaskSpec: []byte(`{"answer":"yes_no"}`), GoldAnswer: "no"},
		{TaskSpec: []byte(`{"answer":"number"}`), GoldAnswer: "7"},
		{TaskSpec: []byte(`{"answer":"math"}`), GoldAnswer: `\frac{1}{2}`},
	} {
		row.Task, row.Question = "own", "Which?"
		q, err := answer.Of(row)
		if err != nil {
			t.Fatal(err)
		}
		for accuracy, want := range []mathverify.Verdict{mathverify.Different, mathverify.Equal} {
			c, err := simulated.New(simulated.Options{Accuracy: map[string]float64{"cot": float64(accuracy)}})
			if err != nil {
				t.Fatal(err)
			}
			for try := range 10 {
				h := hintOf(row)
				h.Style = "cot"
				reply, err := c.Complete(t.Context(), llm.Request{Hint: &h, Replicate: try})
				if err != nil {
					t.Fatal(err)
				}
				p := answer.Extract(q, reply.Text, answer.Options{})
				if r := answer.Grade(q, p.Answer, mathverify.Options{}); p.Answer == "" || r.Verdict != want {
					t.Errorf("%s, accuracy %d: %q is read as %q: %s %s", row.TaskSpec, accuracy, reply.Text, p.Answer, r.Verdict, r.Reason)
				}
			}
		}
	}
}
