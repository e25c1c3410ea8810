package answer

import (
	"strings"

	"github.com/distillflow/distillflow/internal/task"
)

// Kind says what form a task's answers have.
type Kind int

const (
	// Number: one number (gsm8k, numeric rows of table_mwp).
	Number Kind = iota
	// Math: any mathematical object (math).
	Math
	// Choice: the label of one of the row's options.
	Choice
	// Label: one of a closed set, such as true, false and neither (anli).
	Label
	// YesNo: yes or no (strategy_qa).
	YesNo
	// Text: free text.
	Text
)

// String returns the name used in reports.
func (k Kind) String() string {
	return [...]string{"number", "math", "choice", "label", "yes_no", "text"}[k]
}

// Option is one choice of a multiple-choice question.
type Option struct{ Label, Text string }

// Question is what extraction and grading need to know of a row.
type Question struct {
	// Task is the name of a preset. Other names are treated by their form: choices
	// make it Choice, anything else Math.
	Task string
	// Spec is the task that a recipe declares; nil: the one that Task names.
	Spec *task.Task
	// Choices are the row's options, if it has any.
	Choices []Option
	// Gold is the normalised gold answer; extraction does not look at it.
	Gold string
	// Golds are all right answers, where there are several.
	Golds []string
}

// kinds are ours by a task's.
var kinds = map[task.Kind]Kind{task.Number: Number, task.Math: Math, task.Choice: Choice, task.Label: Label, task.YesNo: YesNo, task.Text: Text}

// spec is the question's task. One that is not known is told by its form.
func (q Question) spec() task.Task {
	if q.Spec != nil {
		return *q.Spec
	}
	t, _ := task.Of(q.Task, nil, len(q.Choices)) // without a text to read there is no error
	return t
}

// Kind returns the form of the row's answer. The row may decide: table_mwp mixes
// numbers and options.
func (q Question) Kind() Kind {
	k := q.spec().KindOf(len(q.Choices))
	if k == task.Choice && len(q.Choices) == 0 {
		return Math // there is nothing to choose from
	}
	return kinds[k]
}

// label returns the label of the option that s names: by label, or by its text.
func (q Question) label(s string) (string, bool) {
	t := strings.TrimSpace(strings.Trim(strings.TrimSpace(s), "()[]."))
	for _, c := range q.Choices {
		if c.Label == t || strings.EqualFold(c.Label, t) {
			return c.Label, true
		}
	}
	n := plain(s)
	for _, c := range q.Choices {
		if plain(c.Text) == n && n != "" {
			return c.Label, true
		}
	}
	return "", false
}

// plain lowers case, collapses space and drops quotes and a final period.
func plain(s string) string {
	s = strings.Join(strings.Fields(strings.ToLower(s)), " ")
	s = strings.NewReplacer("’", "'", "“", "", "”", "", "\"", "").Replace(s)
	return strings.TrimRight(s, ".!,; ")
}
