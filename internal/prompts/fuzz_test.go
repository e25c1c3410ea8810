package prompts

import (
	"strings"
	"testing"
)

// A template that is checked renders without a placeholder left, and what a question
// holds is never taken for one.
func FuzzRender(f *testing.F) {
	f.Add("{question} {{x}} {core}", "a {question} b")
	f.Add("{", "}")
	f.Add("{question}{question", "{question}")
	f.Fuzz(func(t *testing.T, template, question string) {
		if Check(template) != nil || len(template)*len(question) > 1<<16 {
			return
		}
		q := Question{}
		q.Question = question
		out := Render(template, q, "CORE")
		if n := strings.Count(template, "{question}"); n > 0 && !strings.Contains(out, strings.TrimSpace(question)) {
			t.Errorf("%q lost the question: %q", template, out)
		}
		if len(out) > (len(template)+1)*(len(question)+300) {
			t.Errorf("%d bytes of %q", len(out), template)
		}
	})
}
