package providers

import (
	"errors"

	"github.com/distillflow/distillflow/internal/llm"
)

// checkThinking says what a model does not know of what it is asked. maxTokens is the limit
// on one answer, thoughts included; 0 for none.
func (l Fallback) checkThinking(t llm.Thinking, maxTokens int) error {
	set := 0
	for _, given := range []bool{t.Effort != "", t.BudgetTokens > 0, t.Off} {
		if given {
			set++
		}
	}
	spec, model, err := lookup(l.Model)
	switch {
	case set == 0 || err != nil: // said elsewhere
		return nil
	case set > 1:
		return errors.New("set one of effort, budget_tokens and off")
	case spec.Thinking == nil:
		return errors.New("a " + spec.Name + " model takes no such request: remove it")
	case maxTokens > 0 && t.BudgetTokens >= maxTokens:
		return errors.New("budget_tokens: max_tokens counts thoughts too: set it higher than budget_tokens")
	}
	return spec.Thinking(l, model, t, maxTokens)
}

// to is a request as it goes to a link.
func (c *Caller) to(k *link, req llm.Request) llm.Request {
	req.Model, req.Thinking = k.model, c.settings.Thinking
	return req
}
