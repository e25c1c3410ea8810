package chat

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// turns is a template of the ChatML kind: think prints an assistant's thought, open ends
// the prompt.
func turns(think, open string) string {
	return `{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'assistant' %}` + think + `{% endif %}{{ m.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
` + open + `{% endif %}`
}

func TestThoughtExample(t *testing.T) {
	const q = "<|im_start|>user\n2 + 2? <think><|im_end|>\n<|im_start|>assistant\n"
	tokens := Tokens{EOS: "<|im_end|>", All: []string{"<|im_end|>", "<|im_start|>"}}
	for name, c := range map[string]struct{ source, text, learned string }{
		"reasoning_content": {
			turns("{% if m.reasoning_content %}<thoughts>\n{{ m.reasoning_content }}\n</thoughts>\n{% endif %}", ""),
			q + "<thoughts>\nHM\n</thoughts>\nIt is 4.<|im_end|>", "<thoughts>\nHM\n</thoughts>\nIt is 4.<|im_end|>",
		},
		"reasoning_content, opened by the prompt": {
			turns("<think>\n{% if m.reasoning_content %}{{ m.reasoning_content }}{% endif %}{{ '\\n</think>\\n\\n' }}", "<think>\n"),
			q + "<think>\nHM\n</think>\n\nIt is 4.<|im_end|>", "HM\n</think>\n\nIt is 4.<|im_end|>",
		},
		"the prompt opens what turns leave out": {
			turns("", "<think>\n"),
			q + "<think>\nHM\n</think>\n\nIt is 4.<|im_end|>", "HM\n</think>\n\nIt is 4.<|im_end|>",
		},
		"the prompt opens without a line end": {
			turns("", "{{ '[THINK]' }}"),
			q + "[THINK]\nHM\n[/THINK]\n\nIt is 4.<|im_end|>", "\nHM\n[/THINK]\n\nIt is 4.<|im_end|>",
		},
		"named only": {
			turns("{% if '[/THINK]' in m.content %}{% endif %}", ""),
			q + "[THINK]\nHM\n[/THINK]\n\nIt is 4.<|im_end|>", "[THINK]\nHM\n[/THINK]\n\nIt is 4.<|im_end|>",
		},
		"nothing": {
			turns("", ""),
			q + "<think>\nHM\n</think>\n\nIt is 4.<|im_end|>", "<think>\nHM\n</think>\n\nIt is 4.<|im_end|>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tmpl, err := Parse(c.source, tokens)
			if err != nil {
				t.Fatal(err)
			}
			ex, err := tmpl.ThoughtExample([]Message{{User, "2 + 2? <think>"}}, "HM", "It is 4.")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.text, ex.Text); d != "" {
				t.Errorf("text: %s", d)
			}
			if d := cmp.Diff([]string{c.learned}, supervised(ex)); d != "" {
				t.Errorf("learned: %s", d)
			}
			var contents []string
			for _, s := range ex.Contents {
				contents = append(contents, ex.Text[s.Start:s.End])
			}
			// Marks that a question spells are data; those of the frame are tokens.
			if d := cmp.Diff([]string{"2 + 2? <think>", "HM", "It is 4."}, contents); d != "" {
				t.Errorf("contents: %s", d)
			}
		})
	}
	plain, err := Plain(Tokens{BOS: "<s>", EOS: "</s>"}).ThoughtExample([]Message{{User, "2 + 2?"}}, "HM", "4")
	if want := "<think>\nHM\n</think>\n\n4</s>"; err != nil || plain.Text != "<s>2 + 2?\n"+want || supervised(plain)[0] != want {
		t.Errorf("plain: %+v, %v", plain, err)
	}
	refusing, err := Parse("{% for m in messages %}{{ m.role }}{% endfor %}", tokens)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refusing.ThoughtExample([]Message{{User, "2 + 2?"}}, "HM", "4"); err == nil || !strings.Contains(err.Error(), "does not print the answer") {
		t.Errorf("a template without contents: %v", err)
	}
}
