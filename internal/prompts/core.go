package prompts

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/task"
)

// CoreTemplate is the template of a task's core prompt; a task without one of
// its own gets the bare question and its choices.
func CoreTemplate(t task.Task) string {
	if t.Prompt != "" {
		return t.Prompt
	}
	return "{question}\n{choices}"
}

// AnswerFormat tells a model how to state its final answer so that it is found
// again. It depends on the row: the letters are those of its choices.
func AnswerFormat(q Question) string {
	switch {
	case q.Task.AnswerFormat != "":
		return q.Task.AnswerFormat
	case len(q.Choices) > 0:
		labels := make([]string, len(q.Choices))
		for i, c := range q.Choices {
			labels[i] = c.Label
		}
		// No letter stands in the example, which would favour it.
		return fmt.Sprintf("Finish with the line \"The answer is (X).\", where X is the letter of your choice: %s.", or(labels))
	}
	switch q.Task.KindOf(0) {
	case task.YesNo:
		return "Finish with the line \"The answer is yes.\" or \"The answer is no.\""
	case task.Label:
		return fmt.Sprintf("Finish with the line \"The answer is X.\", where X is one of %s.", or(slices.Sorted(maps.Keys(q.Task.Labels))))
	case task.Text:
		return "Finish with the line \"The answer is X.\", where X is the answer alone, as short as it can be."
	}
	return "Finish with the final answer alone inside \\boxed{}."
}

// or lists words as in "A, B or C".
func or(words []string) string {
	last := len(words) - 1
	if last <= 0 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Lacks names the fields that the task's core prompt shows and the row does not have.
// Choices are not missed where the task has rows without them.
func (q Question) Lacks() []string {
	var lacks []string
	for _, f := range []struct{ name, value string }{
		{"premise", q.Premise}, {"hypothesis", q.Hypothesis}, {"question", q.Question}, {"table", q.Table},
	} {
		if strings.Contains(CoreTemplate(q.Task), "{"+f.name+"}") && strings.TrimSpace(f.value) == "" {
			lacks = append(lacks, f.name)
		}
	}
	if q.Task.KindOf(len(q.Choices)) == task.Choice && len(q.Choices) == 0 {
		lacks = append(lacks, "choices")
	}
	return lacks
}

// CheckCore reports what is wrong with a core template for a task. It must show all
// that the task's own prompt shows.
func CheckCore(name string, t task.Task, template string) error {
	if err := checkNames(template); err != nil {
		return err
	}
	for _, field := range []string{"table", "premise", "hypothesis", "question", "choices"} {
		if t.Prompt != "" && strings.Contains(t.Prompt, "{"+field+"}") && !strings.Contains(template, "{"+field+"}") {
			return fmt.Errorf("a core prompt of %s needs the placeholder {%s}", name, field)
		}
	}
	if err := Check(template); err != nil {
		return err
	}
	if strings.Contains(template, "{core}") {
		return fmt.Errorf("a core prompt cannot contain {core}, which stands for itself")
	}
	return nil
}
