package chat

import (
	"fmt"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

// contents finds the bytes of a rendered text that come from messages. A message
// may spell the template's own tokens, so looking for its text is not enough: the
// conversation is rendered once more with marks in the place of the texts, and what
// stands between the marks is matched.
func (t *Template) contents(text string, messages []Message) []hf.Span {
	marked := make([]Message, len(messages))
	for i, m := range messages {
		marked[i] = Message{m.Role, markOf(i)}
	}
	frame, err := t.Render(marked, false)
	if err == nil {
		if out, ok := align(frame, text, messages); ok {
			return out
		}
	}
	return search(text, messages)
}

// markOf stands for message i: private-use characters, which no template looks at.
func markOf(i int) string { return fmt.Sprintf("\ue000%d\ue001", i) }

// align walks the frame and the text together.
func align(frame, text string, messages []Message) ([]hf.Span, bool) {
	var out []hf.Span
	at := 0
	for {
		before, rest, ok := strings.Cut(frame, "\ue000")
		if !strings.HasPrefix(text[at:], before) {
			// The text may be cut off behind the last turn.
			return out, !ok && strings.HasPrefix(before, text[at:])
		}
		at += len(before)
		if !ok {
			return out, true
		}
		var i int
		number, behind, ok := strings.Cut(rest, "\ue001")
		if _, err := fmt.Sscanf(number, "%d", &i); err != nil || !ok || i < 0 || i >= len(messages) {
			return nil, false
		}
		frame = behind
		c := messages[i].Content
		if next, _, _ := strings.Cut(frame, "\ue000"); !fits(text[at:], c, next) {
			if c = strings.TrimSpace(c); !fits(text[at:], c, next) {
				return nil, false
			}
		}
		if c != "" {
			out = append(out, hf.Span{Start: at, End: at + len(c)})
		}
		at += len(c)
	}
}

// fits reports whether text begins with a message and what the frame has behind it,
// as far as the text goes.
func fits(text, content, next string) bool {
	rest, ok := strings.CutPrefix(text, content)
	return ok && (strings.HasPrefix(rest, next) || strings.HasPrefix(next, rest))
}

// search finds the messages' texts where a template takes them apart: in order,
// where they stand in order.
func search(text string, messages []Message) []hf.Span {
	var out []hf.Span
	at := 0
	for _, m := range messages {
		c := strings.TrimSpace(m.Content)
		if c == "" {
			continue
		}
		i := strings.Index(text[at:], c)
		if i >= 0 {
			i += at
		} else if i = strings.Index(text, c); i < 0 {
			continue
		}
		out = append(out, hf.Span{Start: i, End: i + len(c)})
		at = max(at, i+len(c))
	}
	return out
}
