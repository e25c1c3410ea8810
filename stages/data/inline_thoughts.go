package data

import (
	"sort"
	"strings"

	"github.com/distillflow/distillflow/internal/thoughts"
	"github.com/distillflow/distillflow/schema"
)

// moveThoughts moves the thoughts that stand in a path's response into its
// reasoning and reports whether there were any. The response keeps what follows
// them; an open thought leaves none. dropped tells that the verdict went with
// them: it was read from a thought.
func moveThoughts(p *schema.Path) (moved, dropped bool) {
	parts := thoughts.Cut(p.Response, nil)
	if !parts.Found(p.Response) {
		return false, false
	}
	response, reasoning := parts.Marked(), parts.Reasoning
	if parts.Open {
		response, reasoning = "", strings.TrimSpace(response)+"\n"+reasoning
	}
	p.Response, p.Reasoning = strings.TrimLeft(response, " \t\r\n"), thoughts.Join(p.Reasoning, reasoning)
	switch {
	case p.Response == "":
	case p.Span == nil:
		return true, false
	default:
		// Where the span stands in the response of parts, then in ours.
		size := p.Span.End - p.Span.Start
		i := sort.Search(len(parts.Response), func(i int) bool { return parts.Offset(i) >= p.Span.Start })
		j := i + size
		if size > 0 && j <= len(parts.Response) && parts.Offset(i) == p.Span.Start && parts.Offset(j-1) == p.Span.End-1 {
			if parts.AnswerEnd > 0 && i >= parts.AnswerStart {
				i += len("<answer>")
			}
			if parts.AnswerEnd > 0 && i >= parts.AnswerEnd+len("<answer>") {
				i += len("</answer>")
			}
			i -= len(response) - len(p.Response)
			p.Span = &schema.Span{Start: i, End: i + size}
			return true, false
		}
	}
	dropped = p.Correct != nil || p.Pred != ""
	p.Pred, p.Rule, p.Span, p.Correct, p.Reason = "", "", nil, nil, ""
	return true, dropped
}
