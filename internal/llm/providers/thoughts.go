package providers

import (
	"strings"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/thoughts"
)

// splitThoughts takes the thoughts that stand in an answer's text into its reasoning, behind
// those that the provider sent apart. A thought without an end means that the answer never
// came: it counts as cut off, whatever the provider says. The memo keeps the text as it was
// sent.
func splitThoughts(r *llm.Response, more []thoughts.Tag) {
	p := thoughts.Cut(r.Text, more)
	if p.Open && llm.ClassOf(r.FinishReason) == llm.Finished {
		r.FinishReason = llm.FinishLength
	}
	if p.Response == r.Text {
		return
	}
	text := p.Response
	if answer := text[p.AnswerStart:p.AnswerEnd]; answer != "" && strings.TrimSpace(text) != strings.TrimSpace(answer) {
		// Only the marks tell the answer from what stands around it.
		text = text[:p.AnswerStart] + "<answer>" + answer + "</answer>" + text[p.AnswerEnd:]
	}
	r.Text = strings.TrimSpace(text)
	all := []string{}
	for _, s := range []string{r.Reasoning, p.Reasoning} {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	r.Reasoning = strings.Join(all, "\n\n")
}
