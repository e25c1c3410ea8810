package prompts

import (
	"fmt"
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
	if strings.Contains(template, "{core}") {
		return fmt.Errorf("a core prompt cannot contain {core}, which stands for itself")
	}
	if err := checkNames(template, slices.DeleteFunc(Placeholders(), func(p string) bool { return p == "core" })); err != nil {
		return err
	}
	for _, field := range []string{"table", "premise", "hypothesis", "question", "choices"} {
		if t.Prompt != "" && strings.Contains(t.Prompt, "{"+field+"}") && !strings.Contains(template, "{"+field+"}") {
			return fmt.Errorf("a core prompt of %s needs the placeholder {%s}", name, field)
		}
	}
	return Check(template)
}
