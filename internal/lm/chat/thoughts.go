package chat

import (
	"errors"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

// ThoughtExample lays a conversation out for training whose answer begins with a thought:
// both carry loss, with the marks between them. The marks are those that the template
// writes around a message's reasoning_content; of one that writes none, those of its
// thoughts that it names, or else <think> and </think>. What the template's prompt opens
// is not opened again. The last two of the example's Contents are the thought and the
// response.
func (t *Template) ThoughtExample(messages []Message, thought, response string) (Example, error) {
	var ex Example
	prompt, err := t.Render(messages, true)
	if err != nil {
		return ex, err
	}
	before, between, after, err := t.aroundThought()
	if err != nil {
		return ex, err
	}
	text := prompt + before
	ex.Contents = append(t.contents(prompt, messages), hf.Span{Start: len(text), End: len(text) + len(thought)})
	text += thought + between
	ex.Contents = append(ex.Contents, hf.Span{Start: len(text), End: len(text) + len(response)})
	ex.Text = text + response + after
	ex.Supervised = []hf.Span{{Start: len(prompt), End: len(ex.Text)}}
	return ex, nil
}

// thoughtTags are the marks that templates name around thoughts.
var thoughtTags = [][2]string{
	{"<think>", "</think>"}, {"[THINK]", "[/THINK]"}, {"<thinking>", "</thinking>"}, {"<thought>", "</thought>"},
	{"<reasoning>", "</reasoning>"}, {"<seed:think>", "</seed:think>"}, {"<|START_THINKING|>", "<|END_THINKING|>"},
}

// aroundThought is what a turn has between the prompt and the thought, between the thought
// and the response, and behind the response to end the turn.
func (t *Template) aroundThought() (before, between, after string, err error) {
	const thought, said = "\ue000thought\ue001", "\ue000said\ue001"
	user := Message{User, "x"}
	prompt, err := t.Render([]Message{user}, true)
	if err != nil {
		return "", "", "", err
	}
	if t.program != nil {
		text, err := t.execute(list{
			map[string]any{"role": User, "content": user.Content},
			map[string]any{"role": Assistant, "content": said, "reasoning_content": thought},
		}, maxText, false)
		rest, ok := strings.CutPrefix(text, prompt)
		before, rest, thinks := strings.Cut(rest, thought)
		between, tail, says := strings.Cut(rest, said)
		if err == nil && ok && thinks && says && strings.TrimSpace(between) != "" {
			return before, between, t.turnEnd(tail), nil
		}
	}
	text, err := t.Render([]Message{user, {Assistant, said}}, false)
	if err != nil {
		return "", "", "", err
	}
	_, tail, ok := strings.Cut(text, said)
	if !ok {
		return "", "", "", errors.New("the chat template does not print the answer unchanged")
	}
	tags := thoughtTags[0]
	for _, p := range thoughtTags {
		if strings.Contains(t.Source, p[0]) || strings.Contains(t.Source, p[1]) {
			tags = p
			break
		}
	}
	before, between = tags[0]+"\n", "\n"+tags[1]+"\n\n"
	if lead := strings.TrimRight(prompt, " \n"); strings.HasSuffix(lead, tags[0]) {
		if before = ""; lead == prompt {
			before = "\n"
		}
	}
	return before, between, t.turnEnd(tail), nil
}
