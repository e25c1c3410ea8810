package providers

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
	"github.com/distillflow/distillflow/internal/thoughts"
)

func TestSplitThoughts(t *testing.T) {
	for _, tc := range []struct{ text, own, finish, response, reasoning, want string }{
		{"It is 4.\n", "", "stop", "It is 4.\n", "", "stop"},
		{"<think>\n2 and 2\n</think>\n\nIt is 4.", "", "stop", "It is 4.", "2 and 2", "stop"},
		{"2 and 2</think>It is 4.", "", "stop", "It is 4.", "2 and 2", "stop"},
		{"<think>more</think>It is 4.", "first", "stop", "It is 4.", "first\nmore", "stop"},
		{"<think></think>It is 4.", "", "stop", "It is 4.", "", "stop"},
		{"<plan>add</plan>It is 4.", "", "stop", "It is 4.", "add", "stop"},
		{"<think>2 and", "", "stop", "", "2 and", "length"},
		{"It is 4. <think>or", "", "stop", "", "It is 4.\nor", "length"},
		{"<think>2 and", "", "content_filter", "", "2 and", "content_filter"},
		{"<think>x</think><answer>4</answer>", "", "stop", "<answer>4</answer>", "x", "stop"},
		{"Not 3. <answer>4</answer> Not 5.", "", "stop", "Not 3. <answer>4</answer> Not 5.", "", "stop"},
		{"The mark `<think>` opens a thought.", "own", "stop", "The mark `<think>` opens a thought.", "own", "stop"},
	} {
		r := llm.Response{Text: tc.text, Reasoning: tc.own, FinishReason: tc.finish}
		splitThoughts(&r, []thoughts.Tag{{Open: "<plan>", Close: "</plan>"}})
		if d := cmp.Diff(llm.Response{Text: tc.response, Reasoning: tc.reasoning, FinishReason: tc.want}, r); d != "" {
			t.Errorf("%q (-want +got):\n%s", tc.text, d)
		}
	}
}

// The memo keeps what was sent, and what was remembered before thoughts were known comes out
// the same. An open thought buys the try that retry_on: [length] promises.
func TestRememberedThoughts(t *testing.T) {
	url, calls := server(t, func(_ string, n int) (int, string, string) {
		if n == 1 {
			return 200, "<think>hm", "stop"
		}
		return 200, "<think>2+2</think>4", "stop"
	})
	memo := &llmtest.Memo{}
	for range 2 {
		c, err := New(context.Background(), Settings{Links: []Fallback{{Model: "openai/m", BaseURL: url}}, RetryOn: []string{"length"}}, Services{Memo: memo})
		if err != nil {
			t.Fatal(err)
		}
		r, err := ask(t, c, "p")
		if err != nil || r.Text != "4" || r.Reasoning != "2+2" || calls() != 2 {
			t.Errorf("%+v, %v, %d calls", r, err, calls())
		}
	}
}
