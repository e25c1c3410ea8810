package answer

import (
	"testing"

	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/task"
)

var intents = task.Task{Answer: task.Label, Labels: map[string][]string{
	"refund": {"money back", "reimburse"}, "cancel": {"cancel order"}, "other": nil,
}}

// TestOwnTasks reads and grades answers of tasks that a recipe declares.
func TestOwnTasks(t *testing.T) {
	text, f1 := task.Task{Answer: task.Text}, task.Task{Answer: task.Text, F1: 0.6}
	number := task.Task{Answer: task.Number, Tolerance: 0.01}
	cities := []Option{{"1", "Rome"}, {"2", "Oslo"}, {"3", "Bern"}}
	for _, c := range []struct {
		name, response, want string
		q                    Question
		right                bool
	}{
		{"label", "The user is angry.\nThe answer is refund.", "refund", Question{Spec: &intents, Gold: "refund"}, true},
		{"label by another name", "They want their cash.\nThe answer is: money back", "refund", Question{Spec: &intents, Gold: "refund"}, true},
		{"the longest name", "The answer is cancel order.", "cancel", Question{Spec: &intents, Gold: "cancel"}, true},
		{"label in a box", `So \boxed{Other}.`, "other", Question{Spec: &intents, Gold: "cancel"}, false},
		{"label alone", "refund", "refund", Question{Spec: &intents, Gold: "refund"}, true},
		{"denied label", "The answer is not refund.", "", Question{Spec: &intents, Gold: "refund"}, false},
		{"two labels", "The answer is refund or cancel.", "", Question{Spec: &intents, Gold: "refund"}, false},
		{"part of a word", "The answer is refundable.", "", Question{Spec: &intents, Gold: "refund"}, false},
		{"no label", "The answer is a voucher.", "", Question{Spec: &intents, Gold: "refund"}, false},
		{"text", "He was born there.\nThe answer is The River Thames.", "The River Thames", Question{Spec: &text, Gold: "river thames"}, true},
		{"text in a box", `So \boxed{\text{Paris}}.`, "Paris", Question{Spec: &text, Gold: "Paris"}, true},
		{"doubted text", "I don't think the answer is Paris.", "", Question{Spec: &text, Gold: "Paris"}, false},
		{"text alone", "Marie Curie", "Marie Curie", Question{Spec: &text, Gold: "Marie  Curie!"}, true},
		{"text, last line", "Let me think.\nShe found radium.\nMarie Curie.", "Marie Curie", Question{Spec: &text, Gold: "Pierre Curie"}, false},
		{"any of several", "The answer is NYC.", "NYC", Question{Spec: &text, Gold: "New York", Golds: []string{"New York", "NYC"}}, true},
		{"enough words", "The answer is the old Town Hall.", "the old Town Hall", Question{Spec: &f1, Gold: "town hall"}, true},
		{"too few words", "The answer is the old mill.", "the old mill", Question{Spec: &f1, Gold: "town hall"}, false},
		{"within tolerance", "The answer is 99.5.", "99.5", Question{Spec: &number, Gold: "100"}, true},
		{"beyond tolerance", "The answer is 98.", "98", Question{Spec: &number, Gold: "100"}, false},
		{"several right choices", "The answer is (2).", "2", Question{Spec: &task.Task{Answer: task.Choice}, Choices: cities, Gold: "1", Golds: []string{"1", "2"}}, true},
		{"none of them", "The answer is (3).", "3", Question{Spec: &task.Task{Answer: task.Choice}, Choices: cities, Gold: "1", Golds: []string{"1", "2"}}, false},
	} {
		p := Extract(c.q, c.response, Options{})
		if p.Answer != c.want {
			t.Errorf("%s: %q (%s %s), want %q", c.name, p.Answer, p.Rule, p.Reason, c.want)
			continue
		}
		if r := Grade(c.q, p.Answer, mathverify.Options{}); (r.Verdict == mathverify.Equal) != c.right {
			t.Errorf("%s: %s (%s), want right %v", c.name, r.Verdict, r.Reason, c.right)
		}
	}
}

// TestTolerance reads numbers in all forms that the kind number reads.
func TestTolerance(t *testing.T) {
	number := task.Task{Answer: task.Number, Tolerance: 0.01}
	for _, c := range []struct {
		t              task.Task
		gold, response string
		right          bool
	}{
		{number, "0.333", "The answer is 1/3.", true},
		{number, "1/3", "The answer is 0.3321.", true},
		{number, "1/3", "The answer is 0.32.", false},
		{number, "-97.5", "The answer is -97 dollars.", true},
		{number, "-97.5", "The answer is 97 dollars.", false},
		{number, "0.0502", "The answer is 5%.", true},
		{number, "5.02", "The answer is 5%.", true},
		{number, "5.2", "The answer is 5%.", false},
		{number, "1205", "The answer is 1.2e3.", true},
		{number, "1,234", "The answer is 1,230.", true},
		{number, "1234", "The answer is 1,230.", true},
		{number, "100", "The answer is 99.", true},
		{number, "100", "The answer is 98.9.", false},
		{number, "100", "The answer is one hundred and one.", true},
		{number, "0", "The answer is 0.001.", false},
		{number, "2000000", "The answer is $1.99M.", true},
		{number, "3.5", "The answer is 3 1/2.", true},
		{number, `\frac{2}{3}`, "The answer is 0.67.", true},
		{task.Task{Answer: task.Number}, "100", "The answer is 99.5.", false},
	} {
		q := Question{Spec: &c.t, Gold: c.gold}
		p := Extract(q, c.response, Options{})
		if r := Grade(q, p.Answer, mathverify.Options{}); (r.Verdict == mathverify.Equal) != c.right {
			t.Errorf("%q (%q) against %q: %s (%s), want right %v", c.response, p.Answer, c.gold, r.Verdict, r.Reason, c.right)
		}
	}
}

func TestNormalizeOwnGold(t *testing.T) {
	for text, want := range map[string]string{"Refund": "refund", "money back": "refund", " other ": "other", "voucher": ""} {
		g, err := Normalize(Question{Spec: &intents}, text)
		if g.Answer != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", text, g.Answer, err)
		}
	}
}

func FuzzOwnTasks(f *testing.F) {
	f.Add("The answer is not money back, I think refund.", uint8(0))
	f.Add("**Marie Curie**\n\n", uint8(1))
	f.Add("<answer>\u201c\xff</answer>", uint8(1))
	f.Add("{\"answer\": \"J. K. Rowling\"}", uint8(1))
	f.Add("Answers:\n- (1) Rome\n- 2", uint8(2))
	f.Add("1 is wrong. 2 is right. So 2和3", uint8(2))
	f.Fuzz(func(t *testing.T, s string, kind uint8) {
		q := []Question{
			{Spec: &intents, Gold: s},
			{Spec: &task.Task{Answer: task.Text, F1: 0.5}, Gold: s},
			{Spec: &task.Task{Answer: task.Choice, Several: "all"}, Choices: []Option{{"1", "Rome"}, {"2", "Oslo"}, {"C", "c"}}, Gold: "C"},
		}[kind%3]
		p := Extract(q, s, Options{})
		if p.Start < 0 || p.End < p.Start || p.End > len(s) {
			t.Fatalf("span [%d, %d) of %d bytes", p.Start, p.End, len(s))
		}
		if (p.Answer == "") != (p.Reason != "") {
			t.Fatalf("answer %q with reason %q", p.Answer, p.Reason)
		}
		Golds(q, s)
		Right(q)
		Grade(q, p.Answer, mathverify.Options{})
		Grade(q, s, mathverify.Options{})
	})
}
