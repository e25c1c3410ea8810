package llm

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Roles of a Message, as every chat API spells them.
const (
	RoleSystem    = "system"
	RoleUser      = "user"
	RoleAssistant = "assistant"
)

// Simulated is the name of the built-in provider, the only one that receives a Hint.
const Simulated = "simulated"

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Schema asks the provider for an answer in JSON that satisfies a JSON Schema.
type Schema struct {
	Name   string          `json:"name"`
	Schema json.RawMessage `json:"schema"`
	Strict bool            `json:"strict,omitempty"`
}

// Request is one question to a model. The zero value of a sampling field means "do not
// send it": the provider's own default applies.
type Request struct {
	Model       string    // the provider's name of the model, without the provider prefix
	Messages    []Message // in order; a system message, if any, comes first
	Temperature *float64
	TopP        *float64
	MaxTokens   int // upper bound of generated tokens; 0: the provider's default
	Seed        *int64
	Stop        []string
	JSON        *Schema // nil: free text
	Thinking    Thinking
	Extra       map[string]any // further fields of the request body, for servers that know them
	Replicate   int            // index of this answer among several to the same prompt, from 0
	Try         int            // 1 for the further try that retry_on buys

	Hint *Hint // for the simulated provider only; see Transport.Complete
}

// PromptBytes is the size of all message contents in bytes.
func (r Request) PromptBytes() int {
	n := 0
	for _, m := range r.Messages {
		n += len(m.Content)
	}
	return n
}

// Usage counts the tokens of one answer as the provider bills them. All are zero when the
// provider does not say.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`          // thoughts included
	ReasoningTokens  int `json:"reasoning_tokens,omitempty"` // of CompletionTokens; 0: none, or the provider does not say

	// Of PromptTokens, where the provider bills them at another price: put into its cache,
	// and read from there.
	CacheWriteTokens int `json:"cache_write_tokens,omitempty"`
	CacheReadTokens  int `json:"cache_read_tokens,omitempty"`
}

// possible is u, or no count at all where the provider cannot mean it: below zero, or
// beyond what a sum of such counts may hold.
func (u Usage) possible() Usage {
	for _, n := range []int{u.PromptTokens, u.CompletionTokens, u.ReasoningTokens, u.CacheWriteTokens, u.CacheReadTokens} {
		if n < 0 || n > 1<<30 {
			return Usage{}
		}
	}
	return u
}

// Response is a completed answer. A truncated or refused answer is a Response too, told by
// its FinishReason; only an answer that never arrived is an error.
type Response struct {
	Text         string          `json:"text"`
	Reasoning    string          `json:"reasoning,omitempty"` // a reasoning model's separate thoughts
	FinishReason string          `json:"finish_reason"`       // from a client: the provider's word; else see FinishStop
	Model        string          `json:"model,omitempty"`     // the model that the provider says answered
	Usage        Usage           `json:"usage"`
	Raw          json.RawMessage `json:"raw,omitempty"` // the provider's body, as received
	Logprobs     json.RawMessage `json:"logprobs,omitempty"`
	Provider     string          `json:"-"` // who answered, as provider/model; set by package providers
}

// Client sends one request and returns the answer. It makes one attempt, honours ctx, and
// is safe for concurrent use. Failures that the network or the provider caused are
// *Error values, so that the Transport can tell what is worth another attempt.
type Client interface {
	Complete(ctx context.Context, req Request) (*Response, error)
}

// Choice is one option of a multiple-choice question.
type Choice struct {
	Label string
	Text  string
}

// Kinds of Hint.
const (
	HintAnswer = ""      // the prompt asks for an answer to the question
	HintJudge  = "judge" // the prompt asks whether Response is sound reasoning
)

// Hint tells the simulated teacher about the row behind a prompt. It never leaves the
// process: the Transport drops it for every other provider, and it has no JSON form.
type Hint struct {
	Kind     string
	Task     string
	Style    string
	Question string
	Gold     string
	Solution string
	Choices  []Choice
	Wrong    []string // wrong answers, where they are known and no Choices
	Response string   // judge only: the reasoning to judge
}

// MarshalJSON refuses: a hint holds the gold answer, and nothing that is serialised may.
func (Hint) MarshalJSON() ([]byte, error) {
	return nil, fmt.Errorf("llm: a hint cannot be serialised")
}

// ParseModel splits "openai/gpt-4o" into the provider and the provider's model name, which
// may contain further slashes ("openai/meta-llama/Llama-3.1-8B"). A bare word names a
// provider without a model, which only the simulated one accepts.
func ParseModel(s string) (provider, model string, err error) {
	provider, model, found := strings.Cut(strings.TrimSpace(s), "/")
	switch {
	case provider == "":
		return "", "", fmt.Errorf("model %q has no provider: write provider/model, for example openai/gpt-4o, or simulated", s)
	case provider == Simulated:
		return provider, model, nil
	case !found || model == "":
		return "", "", fmt.Errorf("model %q does not name a model of provider %q: write %s/MODEL (only simulated needs no name behind it)", s, provider, provider)
	}
	return provider, model, nil
}
