package answer

import (
	"fmt"

	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

// Of is what extraction and grading look at of a row. A task_spec that cannot be read is
// an error.
func Of(row schema.Problem) (Question, error) {
	t, err := task.Of(row.Task, row.TaskSpec, len(row.Choices))
	if err != nil {
		return Question{}, fmt.Errorf("task_spec: %w", err)
	}
	q := Question{Spec: &t, Gold: row.GoldAnswer, Golds: row.GoldAnswers}
	for _, c := range row.Choices {
		q.Choices = append(q.Choices, Option(c))
	}
	return q, nil
}
