package prompts

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/internal/task"
)

// options are choices with the labels of a string.
func options(labels string, texts ...string) []Choice {
	var list []Choice
	for i, l := range strings.Fields(labels) {
		list = append(list, Choice{l, texts[i]})
	}
	return list
}

// ofKinds are questions of tasks that say nothing but the kind of their answers, each
// with its gold answer.
var ofKinds = map[string]struct {
	q    Question
	gold string
}{
	"number": {Question{Task: task.Task{Answer: task.Number}, Question: "A box holds 6 eggs. How many eggs are in 5 boxes?"}, "30"},
	"math":   {Question{Task: task.Task{Answer: task.Math}, Question: `What is $\frac{1}{2}+\frac{1}{3}$?`}, `\frac{5}{6}`},
	"choice-4-letters": {Question{Task: task.Task{Answer: task.Choice}, Question: "Which of these is a liquid?",
		Choices: options("A B C D", "iron", "water", "glass", "air")}, "B"},
	"choice-7-letters": {Question{Task: task.Task{Answer: task.Choice}, Question: "Which day comes after Friday?",
		Choices: options("A B C D E F G", "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")}, "G"},
	"choice-numbers": {Question{Task: task.Task{Answer: task.Choice}, Question: "Which of these floats?",
		Choices: options("1 2 3", "iron", "cork", "gold")}, "2"},
	"choice-several": {Question{Task: task.Task{Answer: task.Choice, Several: "all"}, Question: "Which of these are metals?",
		Choices: options("A B C", "iron", "cork", "gold")}, "A, C"},
	"yes_no": {Question{Task: task.Task{Answer: task.YesNo}, Question: "Could a pear float in water?"}, "yes"},
	"label": {Question{Task: task.Task{Answer: task.Label, Labels: map[string][]string{"refund": {"money back"}, "cancel": nil, "other": nil}},
		Question: "I want my money back."}, "refund"},
	"text": {Question{Task: task.Task{Answer: task.Text}, Question: "What is the capital of Poland?"}, "Warsaw"},
}

// TestPromptsOfKinds compares each kind's prompts, in every style and in every language,
// with testdata; DISTILLFLOW_UPDATE=1 rewrites that.
func TestPromptsOfKinds(t *testing.T) {
	for kind, c := range ofKinds {
		t.Run(kind, func(t *testing.T) {
			var b strings.Builder
			for _, style := range Styles() {
				tpl, _ := Template(style)
				fmt.Fprintf(&b, "=== %s\n%s\n\n", style, Render(tpl, c.q, ""))
			}
			for _, l := range slices.Sorted(maps.Keys(languages)) {
				q := c.q
				q.Task.Language = l
				plain, _ := Template(StylePlain)
				shown := WithShots(Render(plain, q, ""), q, "", []Shot{{q, Statement(q, c.gold)}})
				fmt.Fprintf(&b, "=== language %q, with an example\n%s\n\n", l, shown)
			}
			path := filepath.Join("testdata", kind+".golden")
			if os.Getenv("DISTILLFLOW_UPDATE") != "" {
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), b.String()); d != "" {
				t.Errorf("prompts differ (-%s +now):\n%s", path, d)
			}
		})
	}
}

func TestLanguagesOfTasks(t *testing.T) {
	f, _ := reflect.TypeFor[task.Task]().FieldByName("Language")
	if got, want := f.Tag.Get("choices"), strings.Join(slices.Sorted(maps.Keys(languages)), "|"); got != want {
		t.Errorf("a task may choose %q, and the table has %q", got, want)
	}
	if got := AnswerFormat(Question{Task: task.Task{Answer: task.YesNo, Language: "tlh"}}); !strings.HasPrefix(got, "Finish") {
		t.Error(got)
	}
}

// TestStatement states answers as formats of a task's own ask for them.
func TestStatement(t *testing.T) {
	for _, c := range []struct{ format, gold, want string }{
		{`End with "Result: X".`, "4 cm", "Result: 4 cm"},
		{`End with "XX: X!"`, "$1", "XX: $1!"},
		{`Say "It is so." or "It is not so."`, "so", "It is so."},
		{`End with "Nosy." or "It is no."`, "no", "It is no."},
		{`Put it into \boxed{}.`, "{1}", `\boxed{{1}}`},
		{"Answer in one word.", "Oslo", "Oslo"},
		{`Say "so" or "no".`, "", ""},
		{`Say "so" or "no".`, "\xff", "\xff"},
	} {
		if got := Statement(Question{Task: task.Task{Answer: task.Text, AnswerFormat: c.format}}, c.gold); got != c.want {
			t.Errorf("%s: %q, want %q", c.format, got, c.want)
		}
	}
}

func TestStatementOfChoices(t *testing.T) {
	q := Question{Task: task.Task{Answer: task.Choice}, Choices: options("1 2 3", "2", "3", "one")}
	for gold, want := range map[string]string{"2": "2", "one": "3", "none": "none"} {
		if got := Statement(q, gold); got != "The answer is ("+want+")." {
			t.Errorf("%s: %s", gold, got)
		}
	}
	q.Task.GoldAs = "text"
	if got := Statement(q, "2"); got != "The answer is (1)." {
		t.Error(got)
	}
}
