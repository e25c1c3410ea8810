package openai

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/distillflow/distillflow/internal/llm"
)

// dialect is how a server wants to be asked to think.
type dialect uint8

const (
	byTemplate   dialect = iota // vLLM, SGLang, llama.cpp and others: switched by the chat template
	byEffort                    // reasoning_effort alone, "none" to switch off: OpenAI, Azure, Groq, ...
	byType                      // thinking: {type: enabled}: DeepSeek, z.AI
	byOpenRouter                // reasoning: {effort, max_tokens, enabled}
)

// dialects goes by the end of a host's name.
var dialects = map[string]dialect{
	"openai.com": byEffort, "azure.com": byEffort, "groq.com": byEffort, "x.ai": byEffort, "mistral.ai": byEffort,
	"fireworks.ai": byEffort, "googleapis.com": byEffort,
	"deepseek.com": byType, "z.ai": byType, "bigmodel.cn": byType,
	"openrouter.ai": byOpenRouter,
}

func dialectOf(base string) dialect {
	u, err := url.Parse(cmp.Or(base, DefaultBaseURL))
	if err != nil {
		return byTemplate
	}
	for host := u.Hostname(); host != ""; {
		if d, ok := dialects[host]; ok {
			return d
		}
		_, host, _ = strings.Cut(host, ".")
	}
	return byTemplate
}

var (
	// thinker matches OpenAI's models that think.
	thinker = regexp.MustCompile(`^(ft:)?(o[1-9]|gpt-[5-9]|gpt-\d\d|gpt-oss|codex)`)
	// stopper matches those of them that can be told not to.
	stopper = regexp.MustCompile(`^(ft:)?gpt-(5\.\d|[6-9]|\d\d)`)
)

// CheckThinking says what of t a model at a server does not know. base is "" for OpenAI's own.
func CheckThinking(base, model string, t llm.Thinking) error {
	d := dialectOf(base)
	own := base == "" || strings.HasPrefix(base, "https://api.openai.com/")
	switch {
	case own && (!thinker.MatchString(model) || strings.Contains(model, "-chat")):
		return fmt.Errorf("%s does not think: remove thinking, or name a reasoning model", model)
	case t.BudgetTokens > 0 && d != byOpenRouter:
		return errors.New("budget_tokens: the server takes no budget of thoughts: use effort, or its own field in extra")
	case own && t.Off && !stopper.MatchString(model):
		return fmt.Errorf("off: %s always thinks: use effort: low", model)
	}
	return nil
}

// thinking gives the fields of a request.
func (c *Client) thinking(t llm.Thinking) map[string]any {
	if t == (llm.Thinking{}) {
		return nil
	}
	switch dialectOf(c.base) {
	case byEffort:
		if t.Off {
			return map[string]any{"reasoning_effort": "none"}
		}
		return map[string]any{"reasoning_effort": t.Effort}
	case byType:
		if t.Off {
			return map[string]any{"thinking": map[string]any{"type": "disabled"}}
		}
		return map[string]any{"thinking": map[string]any{"type": "enabled"}, "reasoning_effort": t.Effort}
	case byOpenRouter:
		switch {
		case t.Off:
			return map[string]any{"reasoning": map[string]any{"enabled": false}}
		case t.BudgetTokens > 0:
			return map[string]any{"reasoning": map[string]any{"max_tokens": t.BudgetTokens}}
		}
		return map[string]any{"reasoning": map[string]any{"effort": t.Effort}}
	}
	if t.Off {
		return map[string]any{"chat_template_kwargs": map[string]any{"enable_thinking": false}}
	}
	return map[string]any{"reasoning_effort": t.Effort, "chat_template_kwargs": map[string]any{"enable_thinking": true}}
}
