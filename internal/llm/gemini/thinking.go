package gemini

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/distillflow/distillflow/internal/llm"
)

// old matches the models that do not think.
var old = regexp.MustCompile(`^(gemini-(1|2\.0)|gemma)`)

// CheckThinking says what of t a model does not know.
func CheckThinking(model string, t llm.Thinking) error {
	model = strings.TrimPrefix(model, "models/")
	switch {
	case old.MatchString(model):
		return fmt.Errorf("%s does not think: remove thinking, or name a model from gemini-2.5 on", model)
	case t.Off && (strings.HasPrefix(model, "gemini-2.5-pro") || levels(model)):
		return fmt.Errorf("off: %s always thinks: use effort: low", model)
	}
	return nil
}

// levels reports whether a model takes levels in place of budgets.
func levels(model string) bool {
	return strings.HasPrefix(strings.TrimPrefix(model, "models/"), "gemini-3")
}

// thinking is generationConfig.thinkingConfig of a request.
func thinking(model string, t llm.Thinking) map[string]any {
	switch {
	case t.Off:
		return map[string]any{"thinkingBudget": 0}
	case t.Effort != "" && levels(model):
		return map[string]any{"thinkingLevel": t.Effort, "includeThoughts": true}
	}
	return map[string]any{"thinkingBudget": t.Budget(), "includeThoughts": true}
}
