package providers

import (
	"strings"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/thoughts"
)

// splitThoughts takes the thoughts that stand in an answer's text into its reasoning, behind
// those that the provider sent apart. A thought without an end means that the answer never
// came: there is no text, and the answer counts as cut off, whatever the provider says. The
// memo keeps the text as it was sent.
func splitThoughts(r *llm.Response, more []thoughts.Tag) {
	p := thoughts.Cut(r.Text, more)
	if !p.Found(r.Text) {
		return // what stands in <answer> is found by those who read the answer
	}
	text, reasoning := p.Marked(), p.Reasoning
	if p.Open {
		text, reasoning = "", strings.TrimSpace(text)+"\n"+reasoning
		if llm.ClassOf(r.FinishReason) == llm.Finished {
			r.FinishReason = llm.FinishLength
		}
	}
	r.Text, r.Reasoning = strings.TrimLeft(text, " \t\r\n"), thoughts.Join(r.Reasoning, reasoning)
}
