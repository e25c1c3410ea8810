package prompts

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/task"
)

func preset(name string) task.Task { t, _ := task.Of(name, nil, 3); return t }

// sample has every member set to a text that is easy to find again.
func sample(name string) Question {
	return Question{
		Task: preset(name), Question: "QQQ", Premise: "PPP", Hypothesis: "HHH", Table: "TTT | 1",
		Choices: []Choice{{"A", "first"}, {"B", "second"}, {"E", "fifth"}},
	}
}

func TestEveryTaskAndStyleShowsTheQuestionAndTheFormat(t *testing.T) {
	for _, task := range task.Presets() {
		q := sample(task)
		if err := CheckCore(task, q.Task, CoreTemplate(q.Task)); err != nil {
			t.Errorf("%s: %v", task, err)
		}
		core := coreOf(q)
		for _, style := range Styles() {
			tpl, ok := Template(style)
			if !ok {
				t.Fatalf("no template for %s", style)
			}
			if err := Check(tpl); err != nil {
				t.Errorf("%s: %v", style, err)
			}
			p := Render(tpl, q, "")
			if !strings.HasPrefix(p, core) || !strings.HasSuffix(p, AnswerFormat(q)) {
				t.Errorf("%s, %s: core first and answer format last expected:\n%s", task, style, p)
			}
			if placeholder.MatchString(p) {
				t.Errorf("%s, %s: a placeholder is left:\n%s", task, style, p)
			}
		}
	}
}

func TestStylesDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, style := range Styles() {
		p := Render(styles[style], sample("gsm8k"), "")
		if other, dup := seen[p]; dup {
			t.Errorf("%s and %s give one prompt", style, other)
		}
		seen[p] = style
	}
}

func TestCore(t *testing.T) {
	for task, want := range map[string]string{
		"gsm8k":         "QQQ",
		"arc_challenge": "QQQ\n\nChoices:\n(A) first\n(B) second\n(E) fifth",
		"anli":          "Premise: PPP\nHypothesis: HHH\n\nGoing by the premise alone, is the hypothesis true, false, or neither of the two?",
		"table_mwp":     "Table:\nTTT | 1\n\nQQQ\n(A) first\n(B) second\n(E) fifth",
		"another":       "QQQ\n(A) first\n(B) second\n(E) fifth",
	} {
		if got := coreOf(sample(task)); got != want {
			t.Errorf("%s:\n%q\nwant\n%q", task, got, want)
		}
	}
	free := sample("table_mwp")
	free.Choices = nil
	if got := coreOf(free); got != "Table:\nTTT | 1\n\nQQQ" {
		t.Errorf("without choices: %q", got)
	}
}

func TestAnswerFormatNamesTheRowsLetters(t *testing.T) {
	if got := AnswerFormat(sample("arc_challenge")); !strings.Contains(got, "A, B or E") {
		t.Error(got)
	}
	several := sample("arc_challenge")
	several.Task.Several = "all"
	if got := AnswerFormat(several); !strings.Contains(got, "every right letter, with commas between them: A, B or E") {
		t.Error(got)
	}
	for task, want := range map[string]string{"gsm8k": `\boxed{}`, "math": `\boxed{}`, "strategy_qa": "answer is yes", "anli": "answer is neither", "table_mwp": `\boxed{}`} {
		if got := AnswerFormat(Question{Task: preset(task)}); !strings.Contains(got, want) {
			t.Errorf("%s: %s", task, got)
		}
	}
}

func TestFilledTextIsNotATemplate(t *testing.T) {
	q := Question{Task: preset("gsm8k"), Question: "What do {choices} and {core} mean?"}
	if got := Render("{core} {question}", q, ""); got != q.Question+" "+q.Question {
		t.Error(got)
	}
	if got := Render("Write \\boxed{answer}. {question}", q, ""); !strings.HasPrefix(got, "Write \\boxed{answer}. What") {
		t.Error(got)
	}
}

func TestCheck(t *testing.T) {
	for tpl, want := range map[string]string{
		"{core}":                          "",
		"{premise} so {hypothesis}?":      "",
		"{question} \\text{answer}":       "",
		"Think.":                          "never shows the question",
		"{table} {choices}":               "never shows the question",
		"{question} {qestion}":            "unknown placeholder {qestion}",
		"{Question} with capitals stays?": "never shows the question",
	} {
		err := Check(tpl)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", tpl, err, want)
		}
	}
	for _, c := range []struct{ task, tpl, want string }{
		{"gsm8k", "Q: {question}", ""},
		{"gsm8k", "Q:", "needs the placeholder {question}"},
		{"date", "{question}", "needs the placeholder {choices}"},
		{"anli", "{premise}", "needs the placeholder {hypothesis}"},
		{"gsm8k", "{question} {core}", "cannot contain {core}"},
		{"gsm8k", "{question} {x}", "unknown placeholder {x}"},
	} {
		err := CheckCore(c.task, preset(c.task), c.tpl)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %q: %v, want %q", c.task, c.tpl, err, c.want)
		}
	}
}

// coreOf is the task's core prompt for a question.
func coreOf(q Question) string { return fill(CoreTemplate(q.Task), q, "") }
