package prompts

import (
	"fmt"
	"strings"
)

// Shot is an example in a prompt: another question and how it is answered.
type Shot struct {
	Question Question
	Answer   string
}

// WithShots puts examples before the prompt of a question, each as the core prompt and
// its answer. core is the template of the core prompts; "" takes each task's own.
func WithShots(prompt string, q Question, core string, shots []Shot) string {
	if len(shots) == 0 {
		return prompt
	}
	l := languageOf(q.Task)
	var b strings.Builder
	for i, s := range shots {
		fmt.Fprintf(&b, "%s %d\n\n%s\n\n%s\n\n", l.example, i+1, Render("{core}", s.Question, core), strings.TrimSpace(s.Answer))
	}
	return b.String() + l.question + "\n\n" + prompt
}
