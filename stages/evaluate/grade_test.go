package evaluate

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stagetest"
)

func TestExtractGolden(t *testing.T)      { stagetest.Golden(t, Extract) }
func TestVerifyMathGolden(t *testing.T)   { stagetest.Golden(t, VerifyMath) }
func TestVerifyGolden(t *testing.T)       { stagetest.Golden(t, Verify) }
func TestVerifyChoiceGolden(t *testing.T) { stagetest.Golden(t, VerifyChoice) }

func TestExtractConfig(t *testing.T) {
	for _, c := range []struct {
		config map[string]any
		want   string
	}{
		{map[string]any{}, ""},
		{map[string]any{"pattern": "("}, "not a regular expression"},
		{map[string]any{"pattern": "a", "json_path": "b"}, "not both"},
		{map[string]any{"fallback": "guess"}, "fallback"},
		{map[string]any{"tests": []any{map[string]any{"task": "gsm8k", "response": "The answer is 3.", "answer": "3"}}}, ""},
		{map[string]any{"tests": []any{map[string]any{"task": "gsm8k", "response": "The answer is 3.", "answer": "4"}}}, `finds "3", not "4"`},
		{map[string]any{"tests": []any{map[string]any{"task": "date", "choices": []any{"ice", "steam"}, "response": "The answer is steam.", "answer": "B"}}}, ""},
		{map[string]any{"tests": []any{map[string]any{"task": "tickets", "response": "The answer is refund.", "answer": "refund"}}}, `"tickets" is no preset`},
		{map[string]any{"tests": []any{map[string]any{"response": "The answer is 3.", "answer": "3"}}}, ""},
	} {
		_, errs := Extract.Decode(c.config)
		switch {
		case c.want == "" && len(errs) > 0:
			t.Errorf("%v: %v", c.config, errs)
		case c.want != "" && len(errs) == 0:
			t.Errorf("%v is accepted", c.config)
		case c.want != "" && !strings.Contains(errs[0].Error(), c.want):
			t.Errorf("%v: %v, want %q", c.config, errs[0], c.want)
		}
	}
}
