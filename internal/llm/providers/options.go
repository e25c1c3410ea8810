package providers

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/simulated"
)

// Options are the config fields that every stage which asks a model has in common. A stage
// embeds them in its config; the tags are those of stage configs. Limits on the answer,
// sampling and the key's file belong to the stages, whose defaults and path types differ.
type Options struct {
	Model       string `json:"model" default:"simulated" doc:"Who is asked: provider/name, for example openai/gpt-4o-mini, or simulated, which needs no key and no network."`
	BaseURL     string `json:"base_url" doc:"Address of an OpenAI-compatible server, up to and with /v1. Empty: the provider's own."`
	Endpoint    string `json:"endpoint" doc:"A name for the server in the memo of paid answers, so that a move to another address keeps them. Empty: the base URL."`
	TokensField string `json:"tokens_field" choices:"|max_tokens|max_completion_tokens" doc:"Name of the limit max_tokens in requests. Empty: chosen by model and server."`
	Seed        *int64 `json:"seed" doc:"Seed sent to providers that know one."`

	APIKeyEnv   string  `json:"api_key_env" semantic:"false" doc:"Environment variable with the API key. Empty: OPENAI_API_KEY."`
	Concurrency int     `json:"concurrency" default:"8" min:"1" max:"4096" semantic:"false" doc:"Most requests at the same time. It is lowered while the provider answers 429 and raised again step by step."`
	RPM         float64 `json:"rpm" default:"0" min:"0" semantic:"false" doc:"Most requests a minute; 0: no limit."`
	Timeout     float64 `json:"timeout" default:"120" min:"0" semantic:"false" doc:"Seconds to wait for one attempt; 0: no limit."`
	MaxRetries  int     `json:"max_retries" default:"6" min:"0" max:"100" semantic:"false" doc:"Further attempts after 408, 409, 425, 429, 5xx, timeouts, dropped connections and unreadable answers."`

	BudgetRequests int      `json:"budget_requests" default:"0" min:"0" semantic:"false" doc:"Most requests this run may send; 0: no limit. Answers already paid for are free."`
	BudgetTokens   int      `json:"budget_tokens" default:"0" min:"0" semantic:"false" doc:"Most tokens, prompt and answer, this run may buy; 0: no limit."`
	BudgetUSD      float64  `json:"budget_usd" default:"0" min:"0" semantic:"false" doc:"Most dollars this run may spend; 0: no limit. Needs the two prices."`
	PriceInput     *float64 `json:"price_input" min:"0" semantic:"false" doc:"Dollars per million prompt tokens."`
	PriceOutput    *float64 `json:"price_output" min:"0" semantic:"false" doc:"Dollars per million answer tokens."`

	Simulated simulated.Options `json:"simulated" doc:"How good the simulated model is; other models ignore it."`
}

// FieldError is a problem with one field of a config.
type FieldError struct {
	Field string // name of the field
	Msg   string
}

// Error implements error.
func (e FieldError) Error() string { return e.Field + ": " + e.Msg }

// ConfigField tells a stage's config decoder which field to point at, and what to say there.
func (e FieldError) ConfigField() (path, msg string) { return e.Field, e.Msg }

// Validate checks what the field tags cannot say. maxTokens is the stage's limit on one
// answer, 0 for none. The error joins FieldErrors.
func (o Options) Validate(maxTokens int) error {
	var errs []error
	fail := func(field, format string, args ...any) {
		errs = append(errs, FieldError{Field: field, Msg: fmt.Sprintf(format, args...)})
	}
	if err := Check(o.Model); err != nil {
		fail("model", "%v", err)
	}
	if (o.PriceInput == nil) != (o.PriceOutput == nil) {
		fail("price_input", "set both prices, price_input and price_output, or neither")
	}
	if o.paid() && o.BudgetUSD > 0 && o.PriceInput == nil {
		fail("budget_usd", "the price of %s is not known: set price_input and price_output", o.Model)
	}
	if o.paid() && maxTokens == 0 && (o.BudgetUSD > 0 || o.BudgetTokens > 0) {
		fail("max_tokens", "a budget needs a limit on the tokens of an answer")
	}
	if _, err := simulated.New(o.Simulated); err != nil {
		fail("simulated", "%v", err)
	}
	return errors.Join(errs...)
}

func (o Options) paid() bool { return !strings.HasPrefix(o.Model, llm.Simulated) }

// Settings gives what New needs. keyFile is the file with the API key, "" for none.
func (o Options) Settings(keyFile string) Settings {
	s := Settings{
		Model: o.Model, BaseURL: o.BaseURL, Endpoint: o.Endpoint,
		KeyEnv: o.APIKeyEnv, KeyFile: keyFile, TokensField: o.TokensField,
		Concurrency: o.Concurrency, RPM: o.RPM, MaxRetries: o.MaxRetries,
		Timeout:   time.Duration(o.Timeout * float64(time.Second)),
		Simulated: o.Simulated,
	}
	if !o.paid() {
		return s // it costs nothing, so no budget can stop it
	}
	s.Limits = llm.Limits{Requests: o.BudgetRequests, Tokens: o.BudgetTokens, USD: o.BudgetUSD}
	if o.PriceInput != nil && o.PriceOutput != nil {
		s.Price = &llm.Price{Input: *o.PriceInput, Output: *o.PriceOutput}
	}
	return s
}
