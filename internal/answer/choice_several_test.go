package answer

import (
	"regexp"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/task"
)

// TestSeveralChoices reads and grades choices of which all right ones must be named.
func TestSeveralChoices(t *testing.T) {
	all := task.Task{Answer: task.Choice, Several: "all"}
	letters := []Option{{"A", "ice"}, {"B", "steam"}, {"C", "liquid water"}, {"D", "vitamin C"}}
	numbers := []Option{{"1", "ice"}, {"2", "steam"}, {"3", "water"}, {"4", "fog"}}
	small := []Option{{"a", "ice"}, {"b", "steam"}, {"c", "water"}}
	above := []Option{{"A", "ice"}, {"B", "steam"}, {"C", "all of the above"}}
	for _, c := range []struct {
		choices        []Option
		response, want string
	}{
		{letters, "The answer is A, C.", "A, C"},
		{letters, "The answer is A and C.", "A, C"},
		{letters, "The answers are A and C.", "A, C"},
		{letters, "The answer is (A), (C).", "A, C"},
		{letters, "The answer is (C) and (A).", "A, C"},
		{letters, "The answer is AC.", "A, C"},
		{letters, "The answer is A, B, and D.", "A, B, D"},
		{letters, "Answer: A C", "A, C"},
		{letters, "Answer: A & C", "A, C"},
		{letters, "Answer: A/C", "A, C"},
		{letters, "**Answer:** **A** and **C**", "A, C"},
		{letters, `So \boxed{A,C}.`, "A, C"},
		{letters, `So \boxed{A} and \boxed{C}.`, "A, C"},
		{letters, `So \boxed{\text{A and C}}.`, "A, C"},
		{letters, `{"answer": ["A", "C"]}`, "A, C"},
		{letters, "#### A, C", "A, C"},
		{letters, "<answer>A, C</answer>", "A, C"},
		{letters, "The answer is A.", "A"},
		{letters, "The answer is ice and steam.", "A, B"},
		{letters, "The answer is (A) ice and (D) vitamin C.", "A, D"},
		{letters, "The answer is vitamin C.", "D"},
		{letters, "The answer is A. ice, D. vitamin C", "A, D"},
		{letters, "Answers:\n- A\n- C", "A, C"},
		{letters, "Answers:\n* (A) ice\n* (C) liquid water\n\nB is wrong.", "A, C"},
		{letters, "Answer: A\nB is wrong.", "A"},
		{letters, "The answer is A and C, not B.", "A, C"},
		{letters, "The answer is A and C because B is a gas.", "A, C"},
		{letters, "The answer is not B, but A and C.", "A, C"},
		{letters, "The answer is A or C.", ""},
		{letters, "The answer is either A or C.", ""},
		{letters, "The answer is not A.", ""},
		{letters, "The answer is E.", ""},
		{letters, "The answer is none of the above.", ""},
		{letters, "The answer is all of the above.", "A, B, C, D"},
		{above, "The answer is all of the above.", "C"},
		{letters, "A, C", "A, C"},
		{letters, "A and C", "A, C"},
		{letters, "A, C. Both are made of water.", "A, C"},
		{letters, "I looked at each. So A and C are correct.", "A, C"},
		{letters, "B is a gas. A and C are correct, while B and D are not.", "A, C"},
		{letters, "The answer is A. Wait, no. The answer is A and D.", "A, D"},
		{numbers, "The answer is 1, 3.", "1, 3"},
		{numbers, "The answer is (1) and (3).", "1, 3"},
		{numbers, "The answer is 1 and 4.", "1, 4"},
		{small, "The answer is (a) and (c).", "a, c"},
		{small, "The answer is a, c.", "a, c"},
		{small, "The answer is A and C.", "a, c"},
		{letters, "They are all different.", ""},
		{letters, "A is correct. B is wrong. C is correct. D is wrong.", "A, C"},
		{letters, "A: true\nB: false\nC: true", "A, C"},
		{letters, "A is wrong. B is wrong.", ""},
		{letters, "The correct answers are:\n\n**A. ice**\n**C. liquid water**", "A, C"},
		{letters, "The correct answers are:\n1. A\n2. C", "A, C"},
		{letters, "答案是A和C。", "A, C"},
		{letters, "I choose these:\n- A\n- C", "A, C"},
		{letters, "I choose these:\n\n(A) ice\n(C) liquid water", "A, C"},
		{letters, "B is wrong.\n\nA, C", "A, C"},
		{letters, "B and D are wrong. So A and C are right.", "A, C"},
	} {
		q := Question{Spec: &all, Choices: c.choices}
		p := Extract(q, c.response, Options{})
		if p.Answer != c.want {
			t.Errorf("%q: %q (%s %s), want %q", c.response, p.Answer, p.Rule, p.Reason, c.want)
		}
		if p.Start < 0 || p.End < p.Start || p.End > len(c.response) {
			t.Errorf("%q: span [%d, %d)", c.response, p.Start, p.End)
		}
	}
	for _, c := range []struct {
		golds, pred string
		right       bool
	}{
		{"A,C", "A, C", true}, {"A,C", "C, A", true}, {"A,C", "A", false}, {"A,C", "A, B, C", false}, {"A,C", "A, D", false},
		{"A", "A", true}, {"A", "A, C", false}, {"A,C", "ice, liquid water", true}, {"ice,liquid water", "A, C", true}, {"A,C", "", false}, {"A,C", "E", false},
	} {
		q := Question{Spec: &all, Choices: letters, Golds: strings.Split(c.golds, ",")}
		q.Gold = q.Golds[0]
		if r := Grade(q, c.pred, mathverify.Options{}); (r.Verdict == mathverify.Equal) != c.right {
			t.Errorf("%q against %q: %s (%s), want right %v", c.pred, c.golds, r.Verdict, r.Reason, c.right)
		}
	}
	for text, want := range map[string]string{"A,C": "A|C", "AC": "A|C", "A; C": "A|C", "A": "A", "vitamin C": "D", "ice": "A", "X": "X"} {
		if got := strings.Join(Golds(Question{Spec: &all, Choices: letters}, text), "|"); got != want {
			t.Errorf("gold %q: %s, want %s", text, got, want)
		}
	}
	if got := Golds(Question{Task: "arc_challenge", Choices: letters}, "A,C"); len(got) != 1 || got[0] != "A,C" {
		t.Errorf("a task of one right choice: %q", got)
	}
	if p := Extract(Question{Spec: &all, Choices: letters}, "picks: A and C", Options{Pattern: regexp.MustCompile(`picks: (.*)`)}); p.Answer != "A, C" {
		t.Errorf("pattern: %+v", p)
	}
}
