package causal

import (
	"slices"

	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/thoughts"
)

// OpensThought reports whether the template's prompt ends in a thought that is open: every
// answer goes on with it, and closes it without having opened it.
func (m *Model) OpensThought() (bool, error) {
	prompt, err := m.Template.Render([]chat.Message{{Role: chat.User, Content: "x"}}, true)
	return thoughts.Cut(prompt, nil).Open, err
}

// CutOff reports whether an answer is but the first part of a thought that the prompt
// opened: no mark in it closes one.
func (m *Model) CutOff(text string) (bool, error) {
	opens, err := m.OpensThought()
	return opens && thoughts.Cut(text, nil).Response == text, err
}

// Text is what the tokens of an answer say. Marks of thoughts are kept where they are
// special tokens, which otherwise have no text.
func (m *Model) Text(ids []int32) string {
	for _, a := range m.Tokenizer.Added() {
		if !a.Special || !slices.Contains(ids, a.ID) {
			continue
		}
		if text := "a" + a.Content + "b"; thoughts.Cut(text, nil).Response != text {
			out, err := m.Tokenizer.Tokenizer.Decode(ids, false)
			if err != nil {
				return ""
			}
			return out
		}
	}
	return m.Tokenizer.Decode(ids)
}
