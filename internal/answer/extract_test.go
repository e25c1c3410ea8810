package answer

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/task"
)

var abcd = []Option{{"A", "a copper wire"}, {"B", "glass"}, {"C", "the sun"}, {"D", "a glass rod"}}
var digits = []Option{{"1", "ice"}, {"2", "steam"}, {"3", "water"}}
var linear = []Option{{"A", "linear"}, {"B", "nonlinear"}}

func TestExtract(t *testing.T) {
	for _, c := range []struct {
		name, task string
		choices    []Option
		text       string
		want, rule string
	}{
		// boxes
		{"box", "math", nil, `So the value is $\boxed{\frac{3}{4}}$.`, `\frac{3}{4}`, "boxed"},
		{"nested braces", "math", nil, `\boxed{\frac{\sqrt{2}}{\sqrt{3}}}`, `\frac{\sqrt{2}}{\sqrt{3}}`, "boxed"},
		{"last box wins", "math", nil, `First \boxed{3}. That is wrong. Correctly \boxed{4}.`, "4", "boxed"},
		{"fbox", "math", nil, `Result: \fbox{12}`, "12", "boxed"},
		{"unclosed box", "math", nil, "Hence \\boxed{17\nbecause", "17", "boxed"},
		{"box without braces", "math", nil, `so \boxed 9.`, "9", "boxed"},
		{"two boxes of one answer", "math", nil, `The roots are \boxed{2} and \boxed{-3}.`, "2, -3", "boxed"},
		{"prompt echo", "math", nil, `Put the answer in \boxed{answer}. We get 3 + 4 = 7. The answer is 7.`, "7", "answer_is"},
		{"empty box", "math", nil, `\boxed{} The answer is $x+1$.`, "x+1", "answer_is"},
		// cues
		{"answer is", "gsm8k", nil, "She sells 9 eggs for 2 dollars. The answer is 18.", "18", "answer_is"},
		{"correction", "gsm8k", nil, "The answer is 20. Wait, I forgot the discount. The answer is 18.", "18", "answer_is"},
		{"hash", "gsm8k", nil, "16 - 3 - 4 = 9\n9 * 2 = 18\n#### 18", "18", "hash"},
		{"hash with thousands", "gsm8k", nil, "#### 1,080", "1,080", "hash"},
		{"final answer", "gsm8k", nil, "Step 1: 3\nFinal Answer: $1,200", "$1,200", "answer_is"},
		{"final answer on the next line", "gsm8k", nil, "## Final Answer\n\n42", "42", "closing"},
		{"bold", "gsm8k", nil, "In the end she has **12** apples.", "12", "bold"},
		{"bold answer", "gsm8k", nil, "**Answer:** 7 apples", "7", "answer_is"},
		{"A colon", "gsm8k", nil, "2 + 2 = 4\nA: 4", "4", "answer_is"},
		{"computed in the clause", "gsm8k", nil, "So the answer is 16 - 3 = 13 eggs.", "13", "answer_is"},
		{"number word", "gsm8k", nil, "The answer is five.", "five", "answer_is"},
		{"two units", "table_mwp", nil, "The answer is (B) 2 hours and 45 minutes.", "2 hours and 45 minutes", "answer_is"},
		{"two numbers are no quantity", "gsm8k", nil, "The answer is 2 hours and 3 dogs.", "", ""},
		{"feet and inches", "math", nil, "The answer is 5 feet 3 inches in all of the cases that matter here.", "5 feet 3 inches", "answer_is"},
		{"correction with it's", "math", nil, "not it's not 10 it's 1,000.5", "1,000.5", "last_sentence"},
		{"negative", "gsm8k", nil, "The answer is -4 degrees.", "-4", "answer_is"},
		{"output block", "gsm8k", nil, "```python\nprint(3*4)\n```\n```output\n12\n```", "12", "output"},
		{"last sentence", "gsm8k", nil, "He has 3 boxes, and each of the boxes holds 4 pencils. So he has 12 pencils in total.", "12", "last_sentence"},
		{"equation in the last sentence", "gsm8k", nil, "We add them. 35 + 70 = 105.", "105", "last_sentence"},
		{"no guess", "gsm8k", nil, "He bought 3 pens and 4 books on day 5 of 9 months.", "", ""},
		{"title before a name", "table_mwp", []Option{{"A", "Mr. Wu"}, {"B", "Ms. Day"}}, "The answer is Mr. Wu.", "A", "answer_is"},
		{"display mathematics", "math", nil, "The answer is \\[ \n x^2 + 1 \n \\]", "x^2 + 1", "answer_is"},
		{"paren delimiters", "math", nil, `Therefore the answer is \(2\pi\).`, `2\pi`, "answer_is"},
		{"verb behind mathematics", "math", nil, "Final Answer: The number of zeros of $f(x)$ is 19.", "19", "answer_is"},
		{"factorial", "math", nil, "The answer is $5! + 1$.", "5! + 1", "answer_is"},
		{"percent word", "math", nil, "The answer is $28$ percent.", "$28$ percent", "answer_is"},
		{"whole", "math", nil, `\frac{1}{2}`, `\frac{1}{2}`, "whole"},
		{"next question of a few-shot prompt", "gsm8k", nil, "The answer is 18.\n\nQ: Another one?\nA: The answer is 5.", "18", "answer_is"},
		{"turn of the user", "gsm8k", nil, "The answer is 18.<|im_start|>user The answer is 7?", "18", "answer_is"},
		{"question before the answer", "gsm8k", nil, "Let us see.\nQ: how many?\nThe answer is 5.", "5", "answer_is"},
		// choices
		{"letter in brackets", "arc_challenge", abcd, "Metal conducts. So the answer is (A).", "A", "answer_is"},
		{"letter", "arc_challenge", abcd, "The correct answer is B.", "B", "answer_is"},
		{"letter with text", "arc_challenge", abcd, "Answer: B. glass", "B", "closing"},
		{"boxed letter", "arc_challenge", abcd, `\boxed{\text{(C)}}`, "C", "boxed"},
		{"option text", "arc_challenge", abcd, "The answer is the sun.", "C", "answer_is"},
		{"longest option text", "arc_challenge", abcd, "The answer is a glass rod.", "D", "answer_is"},
		{"article", "arc_challenge", abcd, "The answer is a copper wire because it conducts.", "A", "answer_is"},
		{"not the first mentioned", "arc_challenge", abcd, "(A) conducts, (B) does not. The answer is (B).", "B", "answer_is"},
		{"negation", "arc_challenge", abcd, "The answer is not A. The answer is C.", "C", "answer_is"},
		{"answer and refusal", "arc_challenge", abcd, "The answer is for sure D, it can't be A or B.", "D", "answer_is"},
		{"leading", "arc_challenge", abcd, "B. It does not conduct, unlike (A).", "B", "leading"},
		{"bare", "arc_challenge", abcd, "C", "C", "leading"},
		{"digit labels", "arc_challenge", digits, "The answer is (2).", "2", "answer_is"},
		{"digit label alone", "arc_challenge", digits, "3", "3", "leading"},
		{"letters beyond the row", "arc_challenge", digits, "The answer is B.", "", ""},
		{"undecided", "arc_challenge", abcd, "It is either (A) or (B).", "", ""},
		{"closing option", "table_mwp", linear, "The rate is constant, so the function is not nonlinear. (A) linear.", "A", "closing"},
		{"text of an option", "table_mwp", linear, "nonlinear", "B", "leading"},
		// labels
		{"entailment", "anli", nil, "The premise says so. The answer is entailment.", "true", "answer_is"},
		{"neither true nor false", "anli", nil, "The answer is neither true nor false.", "neither", "answer_is"},
		{"false", "anli", nil, "Answer: False", "false", "answer_is"},
		{"not true", "anli", nil, "Therefore the hypothesis is not true.", "false", "last_sentence"},
		{"neutral", "anli", nil, `\boxed{neutral}`, "neither", "boxed"},
		{"cannot be determined", "anli", nil, "So it cannot be determined from the text.", "neither", "last_sentence"},
		{"two labels", "anli", nil, "It could be true or it could be false.", "", ""},
		{"untrue inside a word", "anli", nil, "He trueborn left.", "", ""},
		{"leading label", "anli", nil, "Neither. The premise does not speak of cats, and true cats may differ.", "neither", "leading"},
		// yes and no
		{"yes", "strategy_qa", nil, "So the answer is yes.", "yes", "answer_is"},
		{"bold no", "strategy_qa", nil, "Dogs bark. **No**", "no", "bold"},
		{"know is no no", "strategy_qa", nil, "We know that nobody noticed. Yes, it would.", "yes", "last_sentence"},
		{"leading", "strategy_qa", nil, "No. A whale is a mammal and lives at sea.", "no", "leading"},
		{"no as determiner", "strategy_qa", nil, "There is no evidence for it.", "", ""},
		{"not yes", "strategy_qa", nil, "The answer is not yes.", "no", "answer_is"},
		{"true", "strategy_qa", nil, "The answer is True.", "yes", "answer_is"},
		{"correction", "strategy_qa", nil, "The answer is no. On second thought, the answer is yes.", "yes", "answer_is"},
		{"empty", "strategy_qa", nil, "  ", "", ""},
	} {
		t.Run(c.task+"/"+c.name, func(t *testing.T) {
			q := Question{Task: c.task, Choices: c.choices}
			p := Extract(q, c.text, Options{})
			if p.Answer != c.want || p.Rule != c.rule {
				t.Fatalf("%q: %q by %q (%s), want %q by %q", c.text, p.Answer, p.Rule, p.Reason, c.want, c.rule)
			}
			if (p.Answer == "") != (p.Reason != "") {
				t.Errorf("answer %q with reason %q", p.Answer, p.Reason)
			}
			if p.Start < 0 || p.End < p.Start || p.End > len(c.text) {
				t.Fatalf("span [%d, %d) of %d bytes", p.Start, p.End, len(c.text))
			}
			k := q.Kind()
			if (k == Math || k == Number) && !strings.Contains(p.Answer, ", ") && c.text[p.Start:p.End] != p.Answer {
				t.Errorf("span holds %q, not %q", c.text[p.Start:p.End], p.Answer)
			}
		})
	}
}

// TestReading reads the statements of testdata/reading.txt.
func TestReading(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "reading.txt"))
	if err != nil {
		t.Fatal(err)
	}
	q := Question{}
	for i, line := range strings.Split(string(data), "\n") {
		if task, ok := strings.CutPrefix(line, "# task "); ok {
			q = Question{Task: task}
			if task == "arc_challenge" {
				q.Choices = []Option{{"A", "copper"}, {"B", "glass"}, {"C", "wood"}, {"D", "plastic"}}
			}
		}
		k := strings.LastIndex(line, " => ")
		if k < 0 || strings.HasPrefix(line, "# ") {
			continue
		}
		text, want := strings.ReplaceAll(line[:k], `\n`, "\n"), strings.TrimSuffix(line[k+len(" => "):], "-")
		p := Extract(q, text, Options{})
		if p.Answer != want {
			t.Errorf("line %d: %s: %q states %q by %q (%s), want %q", i+1, q.Task, text, p.Answer, p.Rule, p.Reason, want)
		}
		if p.Start < 0 || p.End < p.Start || p.End > len(text) || p.Answer != "" && p.Start == p.End {
			t.Errorf("line %d: span [%d, %d) of %d bytes", i+1, p.Start, p.End, len(text))
		}
	}
}

func TestFallbackAndCustom(t *testing.T) {
	q := Question{Task: "gsm8k"}
	text := "He bought 3 pens and 4 books on day 5 of 9 months."
	if p := Extract(q, text, Options{Fallback: "last_number"}); p.Answer != "9" || p.Rule != "last_number" {
		t.Errorf("fallback: %+v", p)
	}
	p := Extract(q, "score=3; score=8", Options{Pattern: regexp.MustCompile(`score=(\d+)`)})
	if p.Answer != "8" || p.Rule != "pattern" || p.Start != 15 {
		t.Errorf("pattern: %+v", p)
	}
	if p := Extract(q, "nothing", Options{Pattern: regexp.MustCompile(`score=(\d+)`)}); p.Answer != "" || p.Reason == "" {
		t.Errorf("pattern without match: %+v", p)
	}
	if p := Extract(q, `Sure: {"result": {"value": 12}}`, Options{JSONPath: "result.value"}); p.Answer != "12" {
		t.Errorf("JSON path: %+v", p)
	}
	if p := Extract(q, `no json`, Options{JSONPath: "a"}); p.Reason == "" {
		t.Errorf("JSON path without object: %+v", p)
	}
	c := Question{Task: "arc_challenge", Choices: abcd}
	if p := Extract(c, `{"pick": "(B)"}`, Options{JSONPath: "pick"}); p.Answer != "B" {
		t.Errorf("JSON path of a choice: %+v", p)
	}
}

func TestGrade(t *testing.T) {
	for _, c := range []struct {
		q    Question
		pred string
		want mathverify.Verdict
	}{
		{Question{Task: "gsm8k", Gold: "1080"}, "$1,080.00", mathverify.Equal},
		{Question{Task: "gsm8k", Gold: "18"}, "18 dollars", mathverify.Equal},
		{Question{Task: "gsm8k", Gold: "18"}, "1.8", mathverify.Different},
		{Question{Task: "gsm8k", Gold: "18"}, "", mathverify.Different},
		{Question{Task: "gsm8k"}, "3", mathverify.Unknown},
		{Question{Task: "arc_challenge", Gold: "B", Choices: abcd}, "B", mathverify.Equal},
		{Question{Task: "arc_challenge", Gold: "B", Choices: abcd}, "glass", mathverify.Equal},
		{Question{Task: "arc_challenge", Gold: "B", Choices: abcd}, "D", mathverify.Different},
		{Question{Task: "arc_challenge", Gold: "B", Choices: abcd}, "E", mathverify.Different},
		{Question{Task: "table_mwp", Gold: "linear", Choices: linear}, "A", mathverify.Equal},
		{Question{Task: "table_mwp", Gold: "2.50"}, "$2.5", mathverify.Equal},
		{Question{Task: "anli", Gold: "neither"}, "neutral", mathverify.Equal},
		{Question{Task: "anli", Gold: "true"}, "false", mathverify.Different},
		{Question{Task: "strategy_qa", Gold: "yes"}, "true", mathverify.Equal},
		{Question{Task: "strategy_qa", Gold: "no"}, "yes", mathverify.Different},
	} {
		if r := Grade(c.q, c.pred, mathverify.Options{}); r.Verdict != c.want {
			t.Errorf("Grade(%+v, %q) = %v (%s)", c.q, c.pred, r.Verdict, r.Reason)
		}
	}
}

func FuzzExtract(f *testing.F) {
	f.Add("The answer is (B).", 0)
	f.Add(`\boxed{\frac{1}{2}} and \boxed{3}`, 1)
	f.Add("#### 1,234.5", 2)
	f.Add("A: −4", 3)
	f.Add("```output\n3\n```", 4)
	f.Add("**neither** true nor false", 5)
	f.Add("<think>３</think>答案是２½。", 1)
	f.Add("not 16, but minus three and a half x 10^3", 0)
	f.Fuzz(func(t *testing.T, text string, n int) {
		tasks := task.Presets()
		q := Question{Task: tasks[(n%len(tasks)+len(tasks))%len(tasks)]}
		if q.Kind() == Math && q.Task != "math" || n%2 == 0 && q.Task == "table_mwp" {
			q.Choices = abcd
		}
		p := Extract(q, text, Options{Fallback: "last_number"})
		if p.Start < 0 || p.End < p.Start || p.End > len(text) {
			t.Fatalf("span [%d, %d) of %d bytes", p.Start, p.End, len(text))
		}
		if (p.Answer == "") == (p.Reason == "") {
			t.Fatalf("answer %q with reason %q", p.Answer, p.Reason)
		}
	})
}
