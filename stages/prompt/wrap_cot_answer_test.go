package prompt

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/schema"
)

// TestObedientAnswersAreFound answers every task as its prompt asks and checks
// that the answer is found again, also after the whole prompt was repeated.
func TestObedientAnswersAreFound(t *testing.T) {
	letters := []schema.Choice{{Label: "A", Text: "iron"}, {Label: "B", Text: "water"}, {Label: "C", Text: "a glass"}}
	numbers := []schema.Choice{{Label: "1", Text: "04/30/2021"}, {Label: "2", Text: "05/02/2021"}}
	for _, c := range []struct {
		row  schema.Problem
		want string
	}{
		{schema.Problem{Task: "gsm8k", Question: "What is 6 times 7?"}, "42"},
		{schema.Problem{Task: "math", Question: "Halve $\\frac{1}{2}$."}, "\\frac{1}{4}"},
		{schema.Problem{Task: "arc_challenge", Question: "Which is liquid?", Choices: letters}, "B"},
		{schema.Problem{Task: "commonsense_qa", Question: "Which is liquid?", Choices: letters}, "C"},
		{schema.Problem{Task: "date", Question: "What was yesterday?", Choices: numbers}, "2"},
		{schema.Problem{Task: "strategy_qa", Question: "Does a pear float?"}, "yes"},
		{schema.Problem{Task: "strategy_qa", Question: "Does iron float?"}, "no"},
		{schema.Problem{Task: "anli", Premise: "Two dogs run.", Hypothesis: "They are brown."}, "neither"},
		{schema.Problem{Task: "anli", Premise: "Two dogs run.", Hypothesis: "They move."}, "true"},
		{schema.Problem{Task: "anli", Premise: "Two dogs run.", Hypothesis: "They sleep."}, "false"},
		{schema.Problem{Task: "table_mwp", Question: "How many?", Table: "a | 1"}, "1,250"},
		{schema.Problem{Task: "table_mwp", Question: "Which?", Table: "a | 1", Choices: letters}, "B"},
	} {
		q, err := question(c.row)
		if err != nil {
			t.Fatal(err)
		}
		format := prompts.AnswerFormat(q)
		reply := "\\boxed{" + c.want + "}"
		switch {
		case strings.Contains(format, "(X)"):
			reply = "The answer is (" + c.want + ")."
		case strings.Contains(format, "The answer is"):
			reply = "The answer is " + c.want + "."
			if !strings.Contains(format, reply) {
				t.Errorf("%s: the format never offers %q: %s", c.row.Task, reply, format)
			}
		}
		plain, _ := prompts.Template(prompts.StylePlain)
		aq := answer.Question{Task: c.row.Task}
		for _, o := range c.row.Choices {
			aq.Choices = append(aq.Choices, answer.Option(o))
		}
		for _, before := range []string{"", "I looked at it closely.\n", prompts.Render(plain, q, "") + "\n\nI looked at it closely.\n"} {
			if got := answer.Extract(aq, before+reply, answer.Options{}); got.Answer != c.want {
				t.Errorf("%s: %q gives %q (%s), want %q", c.row.Task, before+reply, got.Answer, got.Reason, c.want)
			}
		}
	}
}
