package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

// Example is a conversation laid out for training.
type Example struct {
	Text string
	// Supervised are the bytes of Text that carry loss: each supervised answer up to
	// and with the token that ends the turn.
	Supervised []hf.Span
	// Contents are the bytes that come from messages. Special tokens spelled there
	// are data, not structure.
	Contents []hf.Span
}

// Example lays a conversation out whose last message is the assistant's, which is
// the one that carries loss. With all, every answer does.
func (t *Template) Example(messages []Message, all bool) (Example, error) {
	var ex Example
	n := len(messages)
	if n == 0 || messages[n-1].Role != Assistant {
		return ex, errors.New("a training example must end in the assistant's message")
	}
	text, err := t.Render(messages, false)
	if err != nil {
		return ex, err
	}
	ex.Text = text
	for i, m := range messages {
		if m.Role != Assistant || !all && i < n-1 {
			continue
		}
		span, err := t.answer(messages, i, text)
		if err != nil {
			return ex, fmt.Errorf("message %d: %w", i, err)
		}
		ex.Supervised = append(ex.Supervised, span)
		if i == n-1 {
			// Whatever a template writes behind the last turn's end is not learned.
			ex.Text = text[:span.End]
		}
	}
	ex.Contents = t.contents(ex.Text, messages)
	return ex, nil
}

// answer finds where message i stands in the text of all.
func (t *Template) answer(messages []Message, i int, text string) (hf.Span, error) {
	prompt, err := t.Render(messages[:i], true)
	if err != nil {
		return hf.Span{}, err
	}
	if !strings.HasPrefix(text, prompt) {
		return hf.Span{}, errors.New("the chat template lays the same turns out differently once the answer follows, so its bytes cannot be told")
	}
	start := len(prompt)
	content := strings.TrimSpace(messages[i].Content)
	at := strings.Index(text[start:], content)
	if at < 0 {
		return hf.Span{}, errors.New("the chat template does not print the answer unchanged")
	}
	end := start + at + len(content)
	// What is left of the message's own white space, if the template keeps it.
	own := messages[i].Content
	if tail := own[len(strings.TrimRight(own, " \t\r\n")):]; strings.HasPrefix(text[end:], tail) {
		end += len(tail)
	}
	return hf.Span{Start: start, End: end + len(t.turnEnd(text[end:]))}, nil
}

// turnEnd is the part of what follows an answer that ends the turn: up to and with
// the first special token.
func (t *Template) turnEnd(tail string) string {
	space := len(tail) - len(strings.TrimLeft(tail, " \t\r\n"))
	best := ""
	for _, s := range t.specials() {
		if len(s) > len(best) && strings.HasPrefix(tail[space:], s) {
			best = s
		}
	}
	if best == "" {
		return ""
	}
	return tail[:space+len(best)]
}

func (t *Template) specials() []string {
	all := append([]string{t.Tokens.EOS, t.Tokens.BOS}, t.Tokens.All...)
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// Stops lists the tokens at which generation ends: the one that ends a turn in the
// template, and EOS. Padding is never among them unless a template ends turns with
// it.
func (t *Template) Stops() ([]string, error) {
	const mark = "\ue000answer\ue001"
	text, err := t.Render([]Message{{User, "x"}, {Assistant, mark}}, false)
	if err != nil {
		return nil, err
	}
	var out []string
	if _, tail, ok := strings.Cut(text, mark); ok {
		if end := strings.TrimSpace(t.turnEnd(tail)); end != "" {
			out = append(out, end)
		}
	}
	if t.Tokens.EOS != "" && !slices.Contains(out, t.Tokens.EOS) {
		out = append(out, t.Tokens.EOS)
	}
	return out, nil
}

// Encoded is an example in tokens.
type Encoded struct {
	IDs  []int32
	Loss []bool // per token: it is predicted with loss
	// Ends holds for every token the byte offset in Text at which it ends, for the
	// alignment of two tokenizers' tokens. It never falls.
	Ends []int
}

// Encode turns an example into tokens. The tokenizer's own BOS is added only if the
// template wrote none. With eos >= 0 an answer whose turn no special token ends
// gets it behind.
func Encode(tok *hf.Tokenizer, t *Template, ex Example, eos int32) (Encoded, error) {
	special := t.Tokens.BOS == "" || !strings.HasPrefix(ex.Text, t.Tokens.BOS)
	e, err := tok.EncodeWith(hf.Options{Special: special, Plain: ex.Contents}, ex.Text)
	if err != nil {
		return Encoded{}, err
	}
	out := Encoded{IDs: e.IDs, Loss: make([]bool, e.Len()), Ends: make([]int, e.Len())}
	end := 0
	for i, o := range e.Offsets {
		if !e.Special[i] {
			end = max(end, o.End)
		}
		out.Ends[i] = end
		for _, s := range ex.Supervised {
			// A token that reaches over the border belongs to where it ends, unless
			// it began in the prompt: then its loss would teach the prompt's end.
			if !e.Special[i] && o.End > o.Start && o.Start >= s.Start && o.End <= s.End {
				out.Loss[i] = true
			}
		}
	}
	// A post-processor may put its own tokens (EOS) behind: they are not learned twice.
	n := e.Len()
	for n > 0 && e.Special[n-1] {
		n--
	}
	out.IDs, out.Loss, out.Ends = out.IDs[:n], out.Loss[:n], out.Ends[:n]
	if eos >= 0 && n > 0 && !(out.Loss[n-1] && tok.IsSpecial(out.IDs[n-1])) {
		out.IDs, out.Loss, out.Ends = append(out.IDs, eos), append(out.Loss, true), append(out.Ends, len(ex.Text))
	}
	return out, nil
}
