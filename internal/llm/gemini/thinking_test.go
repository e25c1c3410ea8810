package gemini

import (
	"encoding/json"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
)

func TestThinking(t *testing.T) {
	low, off, budget := llm.Thinking{Effort: "low"}, llm.Thinking{Off: true}, llm.Thinking{BudgetTokens: 9}
	for _, tc := range []struct {
		model string
		t     llm.Thinking
		want  string // thinkingConfig; "" is refused
	}{
		{"gemini-2.5-flash", low, `{"includeThoughts":true,"thinkingBudget":1024}`},
		{"models/gemini-2.5-flash", off, `{"thinkingBudget":0}`},
		{"gemini-2.5-pro", budget, `{"includeThoughts":true,"thinkingBudget":9}`},
		{"gemini-2.5-pro", off, ""},
		{"gemini-3-pro-preview", low, `{"includeThoughts":true,"thinkingLevel":"low"}`},
		{"gemini-2.0-flash", low, ""},
		{"gemma-3-27b-it", low, ""},
	} {
		if err := CheckThinking(tc.model, tc.t); (err == nil) == (tc.want == "") {
			t.Errorf("%s %+v: %v", tc.model, tc.t, err)
		}
		if tc.want == "" {
			continue
		}
		_, cfg := request(llm.Request{Model: tc.model, Thinking: tc.t})
		gen, _ := cfg.HTTPOptions.ExtraBody["generationConfig"].(map[string]any)
		if got, err := json.Marshal(gen["thinkingConfig"]); err != nil || string(got) != tc.want {
			t.Errorf("%s: %s, %v", tc.model, got, err)
		}
	}
}
