package prompts

import (
	"fmt"

	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

// Of is the question that a row asks. A task_spec that cannot be read is an error.
func Of(row schema.Problem) (Question, error) {
	t, err := task.Of(row.Task, row.TaskSpec, len(row.Choices))
	if err != nil {
		return Question{}, fmt.Errorf("task_spec: %w", err)
	}
	q := Question{Task: t, Question: row.Question, Premise: row.Premise, Hypothesis: row.Hypothesis, Table: row.Table}
	for _, c := range row.Choices {
		q.Choices = append(q.Choices, Choice(c))
	}
	return q, nil
}

// Core is the task's core prompt, with all that the row has of what it shows.
func (q Question) Core() string { return fill(CoreTemplate(q.Task), q, "") }
