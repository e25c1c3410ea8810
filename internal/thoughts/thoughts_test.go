package thoughts

import (
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	plan := []Tag{{"<plan>", "</plan>"}, {"Here is my thought process:", "Here is my response:"}}
	for _, c := range []struct {
		name, text, reasoning, response string
		open                            bool
	}{
		{"no marks", "2 < 3 and [4] is 5", "", "2 < 3 and [4] is 5", false},
		{"think", "<think>six?</think>\n\n7", "six?", "\n\n7", false},
		{"upper case and blanks", "< THINK >six?</ Think >7", "six?", "7", false},
		{"attributes", `<thinking time="3">six?</thinking>7`, "six?", "7", false},
		{"comparison is no mark", "x <think y> z", "", "x <think y> z", false},
		{"other names", "<reasoning>a</reasoning><reflection>b</reflection>c", "a\nb", "c", false},
		{"brackets", "[THINK]six?[/THINK]7", "six?", "7", false},
		{"triangles", "◁think▷six?◁/think▷7", "six?", "7", false},
		{"begin of thought", "<|begin_of_thought|>six?<|end_of_thought|>\n<|begin_of_solution|>7<|end_of_solution|>", "six?", "\n7", false},
		{"closing mark alone", "six?\n</think>\n7", "six?\n", "\n7", false},
		{"two closing marks alone", "six?</think>five?</think>7", "six?\nfive?", "7", false},
		{"open", "<think>six? \\boxed{7}", "six? \\boxed{7}", "", true},
		{"open after a response", "7\n<think>or six", "or six", "7\n", true},
		{"open once more", "<think>a</think>7<think>b", "a\nb", "7", true},
		{"nested", "<think>a<think>b</think>c</think>d", "a\nb\nc", "d", false},
		{"nested and cut", "<think>a<think>b</think>c", "a\nb\nc", "", true},
		{"opened twice at once", "<think>\n<think>a</think>7", "\na", "7", false},
		{"other name inside", "<reasoning>a<think>b</think>c</reasoning>d", "a\nb\nc", "d", false},
		{"foreign closing mark inside", "<think>a</reasoning>b</think>c", "a</reasoning>b", "c", false},
		{"repeated", "5<think>a</think>7<think>b</think>8", "a\nb", "5\n7\n8", false},
		{"channels", "<|channel|>analysis<|message|>six?<|end|><|start|>assistant<|channel|>final<|message|>7<|return|>", "six?", "7", false},
		{"channel with a start", "<|start|>assistant<|channel|>commentary to=f <|constrain|>json<|message|>a<|call|>7", "a", "7", false},
		{"channels without messages", "<|channel|>analysis six? <|channel|>final 7", " six? ", " 7", false},
		{"open channel", "<|channel|>analysis<|message|>six", "six", "", true},
		{"stripped channels", "analysisWe add.assistantfinalThe sum is 7.", "We add.", "The sum is 7.", false},
		{"stripped and open", "analysisWe add", "We add", "", true},
		{"end marks of other models", "7<|end|>", "", "7<|end|>", false},
		{"answer", "<think>a</think><answer>7</answer>", "a", "7", false},
		{"answer in a sentence", "It is <answer>7</answer>.", "", "It is 7.", false},
		{"answer inside a thought", "<think><answer>6</answer></think>7", "<answer>6</answer>", "7", false},
		{"code", "Write `<think>` first: 7", "", "Write `<think>` first: 7", false},
		{"quotes", `The tag "<think>" or '</think>' or “<think>” is text.`, "", `The tag "<think>" or '</think>' or “<think>” is text.`, false},
		{"backslash", `\<think> is text`, "", `\<think> is text`, false},
		{"block", "```xml\n<think>a</think>\n```\n7", "", "```xml\n<think>a</think>\n```\n7", false},
		{"open block", "```xml\n<think>a</think>7", "a", "```xml\n7", false},
		{"quoted inside a thought", "<think>I close with `</think>` later</think>7", "I close with `</think>` later", "7", false},
		{"odd quote in a thought", "<think>he said \"six</think>\n7", "he said \"six", "\n7", false},
		{"more marks", "<PLAN>a</plan>7", "a", "7", false},
		{"words as marks", "Here is my thought process: a Here is my response: 7", " a ", " 7", false},
		{"a mark made by another", "<thi<think>a</think>nk>7", "a\n", "<thi\nnk>7", false},
		{"a mark made by answer marks", "<thi<answer>nk>7", "7", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Cut(c.text, plan)
			reasoning, response, open := p.Reasoning, p.Response, p.Open
			if strings.TrimSuffix(reasoning, "\n") != strings.TrimSuffix(c.reasoning, "\n") || response != c.response || open != c.open {
				t.Errorf("%q splits into %q and %q, open %v; want %q and %q, open %v", c.text, reasoning, response, open, c.reasoning, c.response, c.open)
			}
		})
	}
}

func TestOffset(t *testing.T) {
	text := "A<think>one</think>B C<answer>D</answer> E</answer><think>two</think>F"
	p := Cut(text, nil)
	for _, c := range []string{"A", "B", "C", "D", "E", "F"} {
		if i := p.Offset(strings.Index(p.Response, c)); text[i:i+1] != c {
			t.Errorf("%s of %q is at %q", c, p.Response, text[i:])
		}
	}
	if got := p.Response[p.AnswerStart:p.AnswerEnd]; got != "D" {
		t.Errorf("the answer is %q", got)
	}
}

// held counts the bytes of s that no mark can have.
func held(s string) (out [256]int) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; strings.IndexByte("<>|/[]:_◁▷ \t\n\r", c) < 0 && (c|0x20 < 'a' || c|0x20 > 'z') {
			out[c]++
		}
	}
	return out
}

func FuzzCut(f *testing.F) {
	for _, s := range []string{"<think>1</think>2", "1</think>2", "<|channel|>analysis<|message|>1<|end|>2", "[THINK]1[/THINK]\"<think>\"`", "```<think>1\n```2</think>", "<thi<answer>nk>1", "analysisA1assistantfinal2", "◁think▷1◁/think▷2<plan>3"} {
		f.Add(s)
	}
	extra := []Tag{{"<plan>", "</plan>"}}
	f.Fuzz(func(t *testing.T, text string) {
		p := Cut(text, extra)
		reasoning, response, open := p.Reasoning, p.Response, p.Open
		// Attributes and the head of a channel belong to their marks.
		head := strings.Contains(text, "=") || strings.Contains(strings.ToLower(text), "<|message|>")
		if !head && held(text) != held(reasoning+response) {
			t.Fatalf("%q gives %q and %q", text, reasoning, response)
		}
		if again := Cut(response, extra); again.Response != response || again.Reasoning != "" || again.Open {
			t.Fatalf("%q splits once more into %+v (open before: %v)", response, again, open)
		}
		for i := 0; i < len(response); i++ {
			if o := p.Offset(i); response[i] != '\n' && (o >= len(text) || text[o] != response[i]) {
				t.Fatalf("byte %d of %q is not at %d of %q", i, response, o, text)
			}
		}
	})
}

var bench = "<think>\n" + strings.Repeat("First we add the 3 apples to the 4 pears, so x[1] < 7 and \\[y\\] is \"7\".\n", 200) +
	"</think>\n" + strings.Repeat("The answer $x < 5$ is [7].\n", 20)

func BenchmarkCut(b *testing.B) {
	b.SetBytes(int64(len(bench)))
	for b.Loop() {
		Cut(bench, nil)
	}
}

func TestJoin(t *testing.T) {
	for _, c := range []struct{ apart, inline, want string }{
		{"", "", ""}, {"a\n", "", "a"}, {"", "\nb\n", "b"}, {"a", "b", "a\nb"}, {"a b", "\nb", "a b"},
	} {
		if got := Join(c.apart, c.inline); got != c.want {
			t.Errorf("%q and %q: %q, want %q", c.apart, c.inline, got, c.want)
		}
	}
}

func TestMarked(t *testing.T) {
	for text, want := range map[string]string{
		"4": "4",
		"<think>hm</think>So: <answer>4</answer>.":  "So: <answer>4</answer>.",
		"<answer>3</answer> no, <answer>4</answer>": "3 no, <answer>4</answer>",
	} {
		if got := Cut(text, nil).Marked(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
