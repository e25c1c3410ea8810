package openai

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/llm"
)

func TestThinking(t *testing.T) {
	low, off, budget := llm.Thinking{Effort: "low"}, llm.Thinking{Off: true}, llm.Thinking{BudgetTokens: 9}
	for _, tc := range []struct {
		base, model string
		t           llm.Thinking
		want        string // of the body without model and messages; "" is refused
	}{
		{"", "o4-mini", low, `{"reasoning_effort":"low"}`},
		{"", "gpt-5.1", off, `{"reasoning_effort":"none"}`},
		{"", "gpt-5", off, ""},
		{"", "o3", budget, ""},
		{"", "gpt-4o", low, ""},
		{"", "gpt-5-chat-latest", low, ""},
		{"https://openrouter.ai/api/v1", "a/b", low, `{"reasoning":{"effort":"low"}}`},
		{"https://openrouter.ai/api/v1", "a/b", budget, `{"reasoning":{"max_tokens":9}}`},
		{"https://openrouter.ai/api/v1", "a/b", off, `{"reasoning":{"enabled":false}}`},
		{"https://api.z.ai/api/paas/v4", "m", off, `{"thinking":{"type":"disabled"}}`},
		{"https://api.deepseek.com", "m", low, `{"reasoning_effort":"low","thinking":{"type":"enabled"}}`},
		{"https://api.groq.com/openai/v1", "m", off, `{"reasoning_effort":"none"}`},
		{"http://localhost:8000/v1", "gpt-4o", low, `{"chat_template_kwargs":{"enable_thinking":true},"reasoning_effort":"low"}`},
		{"http://localhost:8000/v1", "m", off, `{"chat_template_kwargs":{"enable_thinking":false}}`},
		{"http://localhost:8000/v1", "m", budget, ""},
	} {
		if err := CheckThinking(tc.base, tc.model, tc.t); (err == nil) == (tc.want == "") {
			t.Errorf("%s %s %+v: %v", tc.base, tc.model, tc.t, err)
		}
		if tc.want == "" {
			continue
		}
		c, err := New(Config{BaseURL: tc.base})
		if err != nil {
			t.Fatal(err)
		}
		body, err := c.body(llm.Request{Model: tc.model, Thinking: tc.t}, false)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]any{}
		for k, v := range gjson.ParseBytes(body).Map() {
			if k != "model" && k != "messages" {
				got[k] = v.Value()
			}
		}
		want, _ := gjson.Parse(tc.want).Value().(map[string]any)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s %s: %s", tc.base, tc.model, d)
		}
	}
}
