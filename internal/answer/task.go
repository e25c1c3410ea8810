package answer

import "strings"

// Kind says what form a task's answers have.
type Kind int

const (
	// Number: one number (gsm8k, numeric rows of table_mwp).
	Number Kind = iota
	// Math: any mathematical object (math).
	Math
	// Choice: the label of one of the row's options.
	Choice
	// Label: true, false or neither (anli).
	Label
	// YesNo: yes or no (strategy_qa).
	YesNo
)

// String returns the name used in reports.
func (k Kind) String() string {
	return [...]string{"number", "math", "choice", "label", "yes_no"}[k]
}

// Tasks lists the names of the known tasks.
func Tasks() []string {
	return []string{"gsm8k", "math", "arc_challenge", "commonsense_qa", "date", "anli", "strategy_qa", "table_mwp"}
}

// Known reports whether task is one of Tasks.
func Known(task string) bool {
	for _, t := range Tasks() {
		if t == task {
			return true
		}
	}
	return false
}

// Option is one choice of a multiple-choice question.
type Option struct{ Label, Text string }

// Question is what extraction and grading need to know of a row.
type Question struct {
	// Task is one of Tasks. Other names are treated by their form: choices make
	// it Choice, anything else Math.
	Task string
	// Choices are the row's options, if it has any.
	Choices []Option
	// Gold is the normalised gold answer; extraction does not look at it.
	Gold string
}

// Kind returns the form of the row's answer. table_mwp mixes numbers and
// options, so the row decides.
func (q Question) Kind() Kind {
	switch q.Task {
	case "gsm8k":
		return Number
	case "math":
		return Math
	case "anli":
		return Label
	case "strategy_qa":
		return YesNo
	}
	if len(q.Choices) > 0 {
		return Choice
	}
	if q.Task == "table_mwp" {
		return Number
	}
	return Math
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
