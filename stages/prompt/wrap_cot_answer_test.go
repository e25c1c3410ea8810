package prompt

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/internal/task"
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

// TestStatedGoldIsFound wants the gold answer of every kind, as examples state it, to be
// found by extraction in every language and with labels of any form; also behind the
// prompt that asks for it.
func TestStatedGoldIsFound(t *testing.T) {
	choices := func(labels string) []schema.Choice {
		var list []schema.Choice
		for i, l := range strings.Fields(labels) {
			list = append(list, schema.Choice{Label: l, Text: []string{"iron", "water", "a glass", "cork", "salt", "air", "a red kite"}[i%7] + strings.Repeat(" or so", i/7)})
		}
		return list
	}
	intents := task.Task{Answer: task.Label, Labels: map[string][]string{"refund": {"money back"}, "cancel": nil, "other": nil}}
	for _, c := range []struct {
		task    task.Task
		choices []schema.Choice
		golds   []string
	}{
		{task: task.Task{Answer: task.Number}, golds: []string{"42", "-3.5"}},
		{task: task.Task{Answer: task.Math}, golds: []string{`\frac{1}{4}`, "x = 2"}},
		{task: task.Task{Answer: task.Choice}, choices: choices("A B C D"), golds: []string{"A", "D"}},
		{task: task.Task{Answer: task.Choice}, choices: choices("A B C D E F G H I J"), golds: []string{"A", "G", "I", "J"}},
		{task: task.Task{Answer: task.Choice}, choices: choices("a b"), golds: []string{"a", "b"}},
		{task: task.Task{Answer: task.Choice}, choices: choices("1 2 3"), golds: []string{"1", "3"}},
		{task: task.Task{Answer: task.Choice}, choices: choices("9 10 11"), golds: []string{"9", "10"}},
		{task: task.Task{Answer: task.Choice}, choices: choices("i ii iii iv"), golds: []string{"i", "iv"}},
		{task: task.Task{Answer: task.Choice}, choices: choices("T F"), golds: []string{"T", "F"}},
		{task: task.Task{Answer: task.Choice, Several: "all"}, choices: choices("A B C D"), golds: []string{"A, C", "B", "A, B, C, D"}},
		{task: task.Task{Answer: task.Choice, Several: "all"}, choices: choices("a b c"), golds: []string{"a, c", "a"}},
		{task: task.Task{Answer: task.Choice, Several: "all"}, choices: choices("1 2 3"), golds: []string{"1, 3", "2"}},
		{task: task.Task{Answer: task.Choice, Several: "all"}, choices: choices("i ii iii iv"), golds: []string{"i, iv", "ii, iii"}},
		{task: task.Task{Answer: task.YesNo}, golds: []string{"yes", "no"}},
		{task: intents, golds: []string{"refund", "cancel", "other"}},
		{task: task.Task{Answer: task.Text}, golds: []string{"Marie Curie", "Oslo"}},
	} {
		for _, language := range []string{"", "de", "es", "fr", "zh"} {
			c.task.Language = language
			row := schema.Problem{Task: "own", TaskSpec: c.task.JSON(), Question: "What is it?", Choices: c.choices}
			q, err := question(row)
			if err != nil {
				t.Fatal(err)
			}
			aq := answer.Question{Task: row.Task, Spec: &c.task}
			for _, o := range row.Choices {
				aq.Choices = append(aq.Choices, answer.Option(o))
			}
			for _, gold := range c.golds {
				stated := prompts.Statement(q, strings.Split(gold, ", ")...)
				plain, _ := prompts.Template(prompts.StylePlain)
				prompt := prompts.WithShots(prompts.Render(plain, q, ""), q, "", []prompts.Shot{{Question: q, Answer: prompts.Statement(q, strings.Split(c.golds[0], ", ")...)}})
				for _, before := range []string{"", "I looked at it closely.\n", prompt + "\n\nI looked at it closely.\n"} {
					got := answer.Extract(aq, before+stated, answer.Options{})
					if got.Answer != gold {
						t.Errorf("%s %q: %q gives %q (%s), want %q", c.task.Answer, language, before+stated, got.Answer, got.Reason, gold)
					}
				}
			}
		}
	}
}
