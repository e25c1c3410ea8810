package prompts

import (
	"fmt"
	"strings"
)

// cores holds each task's core prompt.
var cores = map[string]string{
	"gsm8k":          "{question}",
	"math":           "{question}",
	"arc_challenge":  "{question}\n\nChoices:\n{choices}",
	"commonsense_qa": "{question}\n\nChoices:\n{choices}",
	"date":           "{question}\n\nChoices:\n{choices}",
	"strategy_qa":    "{question}",
	"anli":           "Premise: {premise}\nHypothesis: {hypothesis}\n\nGoing by the premise alone, is the hypothesis true, false, or neither of the two?",
	"table_mwp":      "Table:\n{table}\n\n{question}\n{choices}",
}

// needs lists the placeholders that a task's core prompt cannot do without.
var needs = map[string][]string{
	"arc_challenge":  {"question", "choices"},
	"commonsense_qa": {"question", "choices"},
	"date":           {"question", "choices"},
	"anli":           {"premise", "hypothesis"},
	"table_mwp":      {"table", "question", "choices"},
}

// Tasks lists the tasks that have a core prompt, in the order of the
// documentation.
func Tasks() []string {
	return []string{"gsm8k", "math", "arc_challenge", "commonsense_qa", "date", "anli", "strategy_qa", "table_mwp"}
}

// CoreTemplate is the template of a task's core prompt; a task without one of
// its own gets the bare question and its choices.
func CoreTemplate(task string) string {
	if t, ok := cores[task]; ok {
		return t
	}
	return "{question}\n{choices}"
}

// AnswerFormat tells a model how to state its final answer so that it is found
// again. It depends on the row: the letters are those of its choices.
func AnswerFormat(q Question) string {
	switch {
	case len(q.Choices) > 0:
		labels := make([]string, len(q.Choices))
		for i, c := range q.Choices {
			labels[i] = c.Label
		}
		last := len(labels) - 1
		list := labels[last]
		if last > 0 {
			list = strings.Join(labels[:last], ", ") + " or " + list
		}
		// No letter stands in the example, which would favour it.
		return fmt.Sprintf("Finish with the line \"The answer is (X).\", where X is the letter of your choice: %s.", list)
	case q.Task == "strategy_qa":
		return "Finish with the line \"The answer is yes.\" or \"The answer is no.\""
	case q.Task == "anli":
		return "Finish with the line \"The answer is true.\" if the premise makes the hypothesis certain, " +
			"\"The answer is false.\" if the premise rules it out, or \"The answer is neither.\" if it leaves that open."
	}
	return "Finish with the final answer alone inside \\boxed{}."
}

// CheckCore reports what is wrong with a core template for a task.
func CheckCore(task, template string) error {
	if err := checkNames(template); err != nil {
		return err
	}
	want := needs[task]
	if want == nil {
		want = []string{"question"}
	}
	for _, name := range want {
		if !strings.Contains(template, "{"+name+"}") {
			return fmt.Errorf("a core prompt of %s needs the placeholder {%s}", task, name)
		}
	}
	if strings.Contains(template, "{core}") {
		return fmt.Errorf("a core prompt cannot contain {core}, which stands for itself")
	}
	return nil
}
