package anthropic

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/anthropics/anthropic-sdk-go"

	"github.com/distillflow/distillflow/internal/llm"
)

// version matches the number of a model: claude-3-7-sonnet-..., claude-opus-4-1-....
var version = regexp.MustCompile(`^claude-(?:[a-z]+-)?(\d)(?:-(\d{1,2}))?(?:-|$)`)

// What a model takes.
const (
	thinksNever    = iota
	thinksByBudget // thinking: {type: enabled, budget_tokens}
	thinksByEffort // thinking: {type: adaptive}, output_config: {effort}
)

// thinks goes by the version of a model: those since 3.7 think, and those since 4.6 decide
// themselves how much. A name without a version is a later one.
func thinks(model string) int {
	m := version.FindStringSubmatch(model)
	if m == nil {
		return thinksByEffort
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	switch n := 100*major + minor; {
	case n < 307:
		return thinksNever
	case n < 406:
		return thinksByBudget
	}
	return thinksByEffort
}

// leastBudget is the smallest budget of thoughts that the API takes.
const leastBudget = 1024

// CheckThinking says what of t a model does not know. maxTokens is the limit on an answer, 0
// for none.
func CheckThinking(model string, t llm.Thinking, maxTokens int) error {
	if maxTokens == 0 {
		maxTokens = defaultMaxTokens
	}
	switch how := thinks(model); {
	case how == thinksNever:
		return fmt.Errorf("%s does not think: remove thinking, or name a later model", model)
	case t.BudgetTokens > 0 && how == thinksByEffort:
		return fmt.Errorf("budget_tokens: %s decides itself how much it thinks: use effort", model)
	case t.BudgetTokens > 0 && t.BudgetTokens < leastBudget:
		return fmt.Errorf("budget_tokens: the least is %d", leastBudget)
	case how == thinksByBudget && t.Budget() >= maxTokens:
		return fmt.Errorf("%s thinks up to %d tokens, which max_tokens counts too: set max_tokens higher", model, t.Budget())
	}
	return nil
}

// think adds what t asks to a request.
func think(p *anthropic.MessageNewParams, t llm.Thinking) {
	switch {
	case t == (llm.Thinking{}):
	case t.Off:
		p.Thinking.OfDisabled = &anthropic.ThinkingConfigDisabledParam{}
	case thinks(p.Model) == thinksByBudget:
		p.Thinking = anthropic.ThinkingConfigParamOfEnabled(int64(t.Budget()))
	default:
		p.Thinking.OfAdaptive = &anthropic.ThinkingConfigAdaptiveParam{Display: anthropic.ThinkingConfigAdaptiveDisplaySummarized}
		p.OutputConfig.Effort = anthropic.OutputConfigEffort(t.Effort)
	}
}
