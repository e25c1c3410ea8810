package answer

import (
	"testing"

	"github.com/distillflow/distillflow/internal/task"
)

// TestStatements reads statements that deny, point or carry the text of an option, and golds of numbers.
func TestStatements(t *testing.T) {
	undet := []Option{{"A", "Tom"}, {"B", "Kim"}, {"C", "Ann"}, {"D", "Cannot be determined"}}
	number, text, all := task.Task{Answer: task.Number}, task.Task{Answer: task.Text}, task.Task{Answer: task.Choice, Several: "all"}
	yn := task.Task{Answer: task.YesNo}
	choice := task.Task{Answer: task.Choice}
	for _, c := range []struct {
		q          Question
		text, want string
	}{
		{Question{Task: "arc_challenge", Choices: undet}, "D) Cannot be determined", "D"},
		{Question{Task: "arc_challenge", Choices: undet}, "We cannot say.\nThe answer is D) Cannot be determined.", "D"},
		{Question{Task: "arc_challenge", Choices: undet}, "The answer is (D) Cannot be determined, because no age is given.", "D"},
		{Question{Task: "arc_challenge", Choices: undet}, "**D. Cannot be determined**", "D"},
		{Question{Task: "arc_challenge", Choices: undet}, "Nothing is said.\n\nD: Cannot be determined.", "D"},
		{Question{Task: "arc_challenge", Choices: undet}, "The answer is D) Cannot be determined is wrong.", ""},
		{Question{Task: "arc_challenge", Choices: undet}, "The answer is D) Cannot be determined is never right.", ""},
		{Question{Task: "arc_challenge", Choices: undet}, "The answer is D) Cannot be determined, not A.", "D"},
		{Question{Task: "arc_challenge", Choices: undet}, "The answer is not D) Cannot be determined.", ""},
		{Question{Task: "arc_challenge", Choices: undet}, "The answer is A) Tom or B) Kim.", ""},
		{Question{Task: "arc_challenge", Choices: undet}, "D", "D"},
		{Question{Spec: &choice, Choices: undet}, "Answer: D) Cannot be determined", "D"},
		{Question{Spec: &all, Choices: undet}, "The answer is D) Cannot be determined.", "D"},
		{Question{Spec: &all, Choices: undet}, "D) Cannot be determined", "D"},
		{Question{Task: "anli"}, "The answer is not true.", "false"},
		{Question{Task: "anli"}, "The answer isn't true.", "false"},
		{Question{Task: "anli"}, "The answer isn't false.", ""},
		{Question{Task: "strategy_qa"}, "The answer is not yes.", "no"},
		{Question{Task: "strategy_qa"}, "The answer isn't yes.", "no"},
		{Question{Task: "strategy_qa"}, "The answer isn't \"yes\".", "no"},
		{Question{Task: "strategy_qa"}, "The answer cannot be yes.", "no"},
		{Question{Task: "strategy_qa"}, "The answer isn't no.", ""},
		{Question{Task: "strategy_qa"}, "The answer isn't yes, it is no.", "no"},
		{Question{Task: "strategy_qa"}, "The answer isn't no, it is yes.", "yes"},
		{Question{Task: "strategy_qa"}, "The answer to whether a cat can't swim is yes.", "yes"},
		{Question{Spec: &yn}, "The answer shouldn't be yes.", "no"},
		{Question{Spec: &text}, "Answer: Paris\nExplanation: The answer is in line 2.", "Paris"},
		{Question{Spec: &text}, "Answer: Paris\nExplanation: The answer is found in the second paragraph.", "Paris"},
		{Question{Spec: &text}, "The answer is in Paris.", "in Paris"},
		{Question{Spec: &number}, "Answer: 7\nExplanation: The answer is in line 2.", "7"},
		{Question{Spec: &number}, "Answer: 7\nExplanation: The answer is given in line 2.", "7"},
		{Question{Spec: &intents}, "Answer: refund\nExplanation: The answer is in line 2.", "refund"},
	} {
		if p := Extract(c.q, c.text, Options{}); p.Answer != c.want {
			t.Errorf("%q: %q (%s %s), want %q", c.text, p.Answer, p.Rule, p.Reason, c.want)
		}
	}
	for gold, ok := range map[string]bool{"E.": false, "yes and no": false, "none": false, "N/A": false, "(E)": false, "Yes": false, "A": false, "unknown": false, "7": true, "seven": true, "$5.00": true, `\frac{1}{2}`: true, `\pi`: true, "1/2": true, "-3": true, "½": true, "a dozen": true, "half": true} {
		if g, err := Normalize(Question{Spec: &number}, gold); (err == nil) != ok {
			t.Errorf("gold %q: %+v, %v", gold, g, err)
		}
	}
}
