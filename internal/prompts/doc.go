// Package prompts turns a question into prompt text: the task's core prompt,
// which a student sees as it is, and the reasoning-style wrappers around it,
// which only a teacher sees.
//
// Templates are plain text with placeholders in braces, see [Placeholders].
// Text that is filled in is never searched for placeholders again.
package prompts

import "github.com/distillflow/distillflow/internal/task"

// Choice is one option of a multiple-choice question.
type Choice struct {
	Label string // as the row prints it: "A", "1", ...
	Text  string
}

// Question is what a prompt is made from. Only the members that the task uses
// are set.
type Question struct {
	Task       task.Task
	Question   string
	Choices    []Choice
	Premise    string
	Hypothesis string
	Table      string
}
