package task

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kind is the form of a task's answers.
type Kind string

// The kinds of answers.
const (
	Number Kind = "number" // one number
	Math   Kind = "math"   // any mathematical object
	Choice Kind = "choice" // the label of one of the row's options
	YesNo  Kind = "yes_no" // yes or no
	Label  Kind = "label"  // one of a closed set of labels
	Text   Kind = "text"   // free text
)

// Kinds lists the kinds of answers.
func Kinds() []Kind { return []Kind{Number, Math, Choice, YesNo, Label, Text} }

// Task is one task. Its JSON is the form in which a recipe declares it and a row
// carries it.
type Task struct {
	Answer         Kind                `json:"answer" required:"true" choices:"number|math|choice|yes_no|label|text" doc:"What form the answers have."`
	WithoutChoices Kind                `json:"without_choices" choices:"|number|math|text" doc:"For choice: the kind of the rows that have no choices. Empty: such rows are errors."`
	Labels         map[string][]string `json:"labels" default:"{}" doc:"For label: the labels, each with its other names."`
	Fields         map[string]string   `json:"fields" default:"{}" doc:"Our field to theirs: question, choices, gold, id, premise, hypothesis, table. Theirs is a name, a path such as a.b[0], or an expression over their fields such as [A, B, C, D] or int(answer) - 1. Several with ?? between them, a space on each side and outside of brackets and quotes: the first that says something counts."`
	Prompt         string              `json:"prompt" doc:"The core prompt, with the placeholders {question}, {choices}, {premise}, {hypothesis} and {table}. Empty: the kind's own."`
	System         string              `json:"system" doc:"The system text of requests to a teacher."`
	AnswerFormat   string              `json:"answer_format" doc:"How to state the final answer. Empty: the kind's own."`
	Language       string              `json:"language" choices:"|de|es|fr|zh" doc:"The language of the answer format. Empty: English."`
	GoldAs         string              `json:"gold_as" choices:"|label|text" doc:"For choice: keep the gold answer as the option's label (the default) or as its text."`
	Several        string              `json:"several" choices:"|any|all" doc:"For choice, where the gold answer is a list: any of them is right (the default), or all must be named and no other."`
	Tolerance      float64             `json:"tolerance" default:"0" min:"0" doc:"For number: the largest relative error of an answer that still counts; 0: the rules of verify-math."`
	Units          string              `json:"units" choices:"|lenient|strict|ignore" doc:"For number and math: as in verify-math. Empty: the stage decides."`
	OrderedLists   bool                `json:"ordered_lists" default:"false" doc:"For math: bare lists must keep the gold's order."`
	CaseSensitive  bool                `json:"case_sensitive" default:"false" doc:"For text: upper and lower case differ."`
	F1             float64             `json:"f1" default:"0" min:"0" max:"1" doc:"For text: accept answers whose token F1 with a gold answer is at least this; 0: only equal texts."`
}

// Validate checks that the fields fit the kind. The returned error names the first
// field that does not.
func (t Task) Validate() error {
	if !slices.Contains(Kinds(), t.Answer) {
		return &FieldError{Field: "answer", Msg: fmt.Sprintf("%q is not one of %s", t.Answer, joined(Kinds(), ", "))}
	}
	only := func(set bool, field string, kinds ...Kind) error {
		if set && !slices.Contains(kinds, t.Answer) && !slices.Contains(kinds, t.WithoutChoices) {
			return &FieldError{Field: field, Msg: fmt.Sprintf("is for answers of the kind %s, and these are %s", joined(kinds, " or "), t.Answer)}
		}
		return nil
	}
	for _, err := range []error{
		only(t.WithoutChoices != "", "without_choices", Choice),
		only(len(t.Labels) > 0, "labels", Label),
		only(t.GoldAs != "", "gold_as", Choice),
		only(t.Several != "", "several", Choice),
		only(t.Tolerance != 0, "tolerance", Number),
		only(t.Units != "", "units", Number, Math),
		only(t.OrderedLists, "ordered_lists", Math),
		only(t.CaseSensitive, "case_sensitive", Text),
		only(t.F1 != 0, "f1", Text),
	} {
		if err != nil {
			return err
		}
	}
	if t.Answer == Label && len(t.Labels) < 2 {
		return &FieldError{Field: "labels", Msg: "must name at least two labels, as in {refund: [money back], other: []}"}
	}
	return t.checkLabels()
}

// checkLabels finds a name that stands for two labels.
func (t Task) checkLabels() error {
	owner := map[string]string{}
	for _, label := range slices.Sorted(maps.Keys(t.Labels)) {
		for _, name := range append([]string{label}, t.Labels[label]...) {
			key := LabelKey(name)
			if key == "" {
				return &FieldError{Field: "labels", Key: label, Msg: "must not be empty, nor have an empty name"}
			}
			if o, taken := owner[key]; taken && o != label {
				return &FieldError{Field: "labels", Key: label, Msg: fmt.Sprintf("has the name %q, and so has %s", name, o)}
			}
			owner[key] = label
		}
	}
	return nil
}

// LabelKey is what the spellings of one label's name have in common: case, blanks,
// dashes and underscores do not part them.
func LabelKey(name string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune(" \t_-", r) }), " ")
}

// FieldError says which field of a declaration is wrong, and at which key if it is a map.
// Msg goes on from their names.
type FieldError struct{ Field, Key, Msg string }

// Error implements error.
func (e *FieldError) Error() string {
	if e.Key != "" {
		return e.Field + "." + e.Key + " " + e.Msg
	}
	return e.Field + " " + e.Msg
}

func joined(kinds []Kind, sep string) string {
	s := make([]string, len(kinds))
	for i, k := range kinds {
		s[i] = string(k)
	}
	return strings.Join(s, sep)
}
