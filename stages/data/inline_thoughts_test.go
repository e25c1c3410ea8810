package data

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/schema"
)

func TestMoveThoughts(t *testing.T) {
	yes := true
	path := func(reasoning, response string) schema.Path {
		return schema.Path{Reasoning: reasoning, Response: response, FinishReason: "stop"}
	}
	judged := func(p schema.Path, start, end int) schema.Path {
		p.Pred, p.Rule, p.Correct, p.Reason = "7", "answer_is", &yes, "equal"
		if end > 0 {
			p.Span = &schema.Span{Start: start, End: end}
		}
		return p
	}
	const raw = "<think>\n3 and 4, so 7\n</think>\n\nThe answer is 7."
	const answer = "The answer is 7."
	in := strings.LastIndex(raw, "7")
	for name, c := range map[string]struct {
		in, want schema.Path
		dropped  bool
	}{
		"none":                  {in: judged(path("", answer), 14, 15), want: judged(path("", answer), 14, 15)},
		"a mention":             {in: path("", "It prints `<think>` first."), want: path("", "It prints `<think>` first.")},
		"an answer mark alone":  {in: path("", "So <ANSWER>7</ANSWER>\n"), want: path("", "So <ANSWER>7</ANSWER>\n")},
		"a thought":             {in: path("", raw), want: path("3 and 4, so 7", answer)},
		"an answer mark after":  {in: path("", "<think>a</think><answer>7</answer> ok"), want: path("a", "<answer>7</answer> ok")},
		"no opening mark":       {in: path("", "3 and 4\n</think>\n"+answer), want: path("3 and 4", answer)},
		"beside the field":      {in: path("first", raw), want: path("first\n3 and 4, so 7", answer)},
		"twice":                 {in: path("3 and 4, so 7\n", raw), want: path("3 and 4, so 7", answer)},
		"an empty thought":      {in: path("", "<think>\n\n</think>\n\n"+answer), want: path("", answer)},
		"an empty mark":         {in: path("", "<think></think>"+answer), want: path("", answer)},
		"an open thought":       {in: path("", "Well.\n<think>3 and 4, so 7"), want: path("Well.\n3 and 4, so 7", "")},
		"a span after it":       {in: judged(path("", raw), in, in+1), want: judged(path("3 and 4, so 7", answer), 14, 15)},
		"a span before it":      {in: judged(path("", "It is 7.<think>sure</think>"), 6, 7), want: judged(path("sure", "It is 7."), 6, 7)},
		"a span in an answer":   {in: judged(path("", "<think>a</think>\n<answer>7</answer>"), 25, 26), want: judged(path("a", "<answer>7</answer>"), 8, 9)},
		"a span behind one":     {in: judged(path("", "<think>a</think>\n<answer>8</answer> no, 7"), 40, 41), want: judged(path("a", "<answer>8</answer> no, 7"), 23, 24)},
		"a span over the seam":  {in: judged(path("", "It is<think>a</think> 7"), 3, 23), want: path("a", "It is\n 7"), dropped: true},
		"a span in it":          {in: judged(path("", raw), 20, 21), want: path("3 and 4, so 7", answer), dropped: true},
		"a verdict, no span":    {in: judged(path("", raw), 0, 0), want: judged(path("3 and 4, so 7", answer), 0, 0)},
		"nothing after it":      {in: judged(path("", "<think>it is 7</think>\n"), 0, 0), want: path("it is 7", ""), dropped: true},
		"a verdict on an open":  {in: judged(path("", "<think>it is 7"), 0, 0), want: path("it is 7", ""), dropped: true},
		"a span behind the end": {in: judged(path("", raw), 400, 401), want: path("3 and 4, so 7", answer), dropped: true},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.in
			if _, dropped := moveThoughts(&got); dropped != c.dropped {
				t.Errorf("dropped is %v", dropped)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if moved, _ := moveThoughts(&got); moved {
				t.Error("it moved thoughts again")
			}
		})
	}
}

// TestInlineComesBack: what export writes inline, import reads as it was.
func TestInlineComesBack(t *testing.T) {
	rows := []schema.Problem{{ID: "a", Task: "gsm8k", Question: "q", Paths: []schema.Path{
		{Prompt: "q", Reasoning: "First.\n\nThen.", Response: "It is 7.", FinishReason: "stop"},
	}}}
	out := runStage(t, t.Context(), Export, `{"layout": "messages", "reasoning": "inline"}`, 0, nil, map[string][]schema.Problem{"rows": rows})
	if out.err != nil {
		t.Fatal(out.err)
	}
	b, err := os.ReadFile(filepath.Join(out.dir, "rows.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	root := write(t, t.TempDir(), "chats.jsonl", string(b))
	out = runStage(t, t.Context(), Import, `{"root": "`+filepath.ToSlash(root)+`", "task": "gsm8k", "fields": {"question": "messages.0.content", "prompt": "messages.0.content", "response": "messages.-1.content"}}`, 0, nil, nil)
	if out.err != nil || len(out.rows["rows"]) != 1 {
		t.Fatal(out.err, out.rows)
	}
	if d := cmp.Diff(rows[0].Paths, out.rows["rows"][0].Paths); d != "" {
		t.Error(d)
	}
}
