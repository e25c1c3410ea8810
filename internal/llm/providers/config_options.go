package providers

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distillflow/distillflow/internal/base/secret"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/prices"
	"github.com/distillflow/distillflow/internal/llm/simulated"
	"github.com/distillflow/distillflow/internal/thoughts"
)

// Options are the config fields that every stage which asks a model has in common. A stage
// embeds them in its config; the tags are those of stage configs. Limits on the answer,
// sampling and the files belong to the stages, whose defaults and path types differ.
type Options struct {
	Model       string       `json:"model" default:"simulated" doc:"The model to ask: provider/name, for example openai/gpt-4o-mini or gemini/gemini-2.5-flash, local/FOLDER for a checkpoint that answers in this process (also local/FILE.gguf or local/hf://owner/name, then ?adapter=DIR, ?tokenizer=DIR, ?precision=f32|bf16), or simulated, which needs no key and no network."`
	Device      string       `json:"device" default:"auto" semantic:"false" doc:"Where local models run: auto, cpu, xla, cuda or cuda:N."`
	BaseURL     string       `json:"base_url" doc:"Address of the server: OpenAI-compatible ones up to and with /v1, Gemini ones without the version. Empty: the provider's own."`
	Endpoint    string       `json:"endpoint" doc:"A name for the server in the memo of paid answers, so that a move to another address keeps them. Empty: the base URL."`
	TokensField string       `json:"tokens_field" choices:"|max_tokens|max_completion_tokens" doc:"Name of the limit max_tokens in requests. Empty: chosen by model and server."`
	Seed        *int64       `json:"seed" doc:"Seed sent to providers that know one."`
	Fallback    []Fallback   `json:"fallback" doc:"Models to ask, in this order, for an answer that model could not give. A path's provider says which one answered."`
	RetryOn     []string     `json:"retry_on" doc:"Answers that buy one more try: empty, length (cut off), content_filter (refused). The second answer is taken unless it is one of these too; if the try fails, the first answer stays."`
	Thinking    llm.Thinking `json:"thinking" doc:"How much a reasoning model thinks before it answers; set one of the three. The fallbacks are asked the same. See docs/providers.md."`
	ThoughtTags [][]string   `json:"thought_tags" doc:"Further marks around thoughts in the text of an answer, opening and closing one, for example [[\"<plan>\", \"</plan>\"]]. <think> and the other usual ones are known."`

	APIKeyEnv   string  `json:"api_key_env" semantic:"false" doc:"Environment variable with the API key. Empty: the provider's own, such as OPENAI_API_KEY; distillflow doctor lists them."`
	Concurrency int     `json:"concurrency" default:"8" min:"1" max:"4096" semantic:"false" doc:"Most requests at the same time; a local model answers them together. While the provider answers 429 it is lowered, then raised step by step."`
	RPM         float64 `json:"rpm" default:"0" min:"0" semantic:"false" doc:"Most requests a minute; 0: no limit. While the provider answers 429 the rate is lowered, then raised step by step."`
	TPM         float64 `json:"tpm" default:"0" min:"0" semantic:"false" doc:"Most tokens a minute, prompts and answers; 0: no limit."`
	Stream      bool    `json:"stream" default:"false" semantic:"false" doc:"Receive answers piece by piece: proxies cut connections that are silent during a long answer. OpenAI-compatible servers only; the recorded answer is the same."`
	Timeout     float64 `json:"timeout" default:"120" min:"0" semantic:"false" doc:"Seconds to wait for one attempt; 0: no limit. Local models have none."`
	MaxRetries  int     `json:"max_retries" default:"6" min:"0" max:"100" semantic:"false" doc:"Further attempts after 408, 409, 425, 429, 5xx, timeouts, dropped connections and unreadable answers."`
	MaxOutage   float64 `json:"max_outage" default:"600" min:"0" semantic:"false" doc:"Seconds that a provider may be down: the stage pauses, says until when, and tries again. 0: no pauses."`
	Refresh     bool    `json:"refresh" default:"false" semantic:"false" doc:"Buy every answer again, once, even if the memo of paid answers holds it. A run that was interrupted continues where it stopped."`

	BudgetRequests int      `json:"budget_requests" default:"0" min:"0" semantic:"false" doc:"Most requests for this result, over all runs that work on it; 0: no limit. Answers already paid for are free."`
	BudgetTokens   int      `json:"budget_tokens" default:"0" min:"0" semantic:"false" doc:"Most tokens, prompt and answer, for this result; 0: no limit."`
	BudgetUSD      float64  `json:"budget_usd" default:"0" min:"0" semantic:"false" doc:"Most dollars for this result; 0: no limit. Needs a known price."`
	PriceInput     *float64 `json:"price_input" min:"0" semantic:"false" doc:"Dollars per million prompt tokens; goes before price_file and the built-in table."`
	PriceOutput    *float64 `json:"price_output" min:"0" semantic:"false" doc:"Dollars per million answer tokens."`

	BatchOptions

	Simulated simulated.Options `json:"simulated" doc:"How good the simulated model is; other models ignore it."`
}

// Fallback is one more model to ask. Empty fields mean what they mean for the first one.
type Fallback struct {
	Model       string   `json:"model" required:"true" doc:"provider/name."`
	BaseURL     string   `json:"base_url" doc:"Address of the server. Empty: the provider's own."`
	Endpoint    string   `json:"endpoint" doc:"A name for the server in the memo of paid answers."`
	TokensField string   `json:"tokens_field" choices:"|max_tokens|max_completion_tokens" doc:"Name of the limit max_tokens in requests."`
	APIKeyEnv   string   `json:"api_key_env" semantic:"false" doc:"Environment variable with the API key."`
	Concurrency int      `json:"concurrency" default:"8" min:"1" max:"4096" semantic:"false" doc:"Most requests at the same time."`
	RPM         float64  `json:"rpm" default:"0" min:"0" semantic:"false" doc:"Most requests a minute; 0: no limit."`
	TPM         float64  `json:"tpm" default:"0" min:"0" semantic:"false" doc:"Most tokens a minute; 0: no limit."`
	PriceInput  *float64 `json:"price_input" min:"0" semantic:"false" doc:"Dollars per million prompt tokens."`
	PriceOutput *float64 `json:"price_output" min:"0" semantic:"false" doc:"Dollars per million answer tokens."`
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
// answer, 0 for none; priceFile is the user's table of prices, "" for none, whose content
// is looked at when the stage runs. The error joins FieldErrors.
func (o Options) Validate(maxTokens int, priceFile string) error {
	var errs []error
	fail := func(field, format string, args ...any) {
		errs = append(errs, FieldError{Field: field, Msg: fmt.Sprintf(format, args...)})
	}
	if _, _, err := lookup(o.Model); err != nil {
		fail("model", "%v", err)
	}
	paid := o.Paid()
	for _, f := range o.Fallback {
		switch _, _, err := lookup(f.Model); {
		case f.Model == "": // said already
		case err != nil:
			fail("fallback", "%v", err)
		case !paidModel(f.Model):
			fail("fallback", "the simulated model invents answers: it cannot replace another")
		}
	}
	if !paid && len(o.Fallback) > 0 {
		fail("fallback", "the simulated model never fails")
	}
	o.checkLocals(fail)
	for i, l := range o.links() {
		if secret.InURL(l.BaseURL) {
			fail([]string{"base_url", "fallback"}[min(i, 1)], "%sholds a key, a user name or a password, which everybody who gets the recipe, its lock or its runs would read: put it in the environment, where api_key_env names it", []string{"", "base_url "}[min(i, 1)])
		}
		if (l.PriceInput == nil) != (l.PriceOutput == nil) {
			fail("price_input", "set both prices, price_input and price_output, or neither")
		} else if paid && o.BudgetUSD > 0 && priceFile == "" {
			if p, err := l.price(nil); err != nil {
				fail("budget_usd", "%v", err)
			} else if p == nil {
				fail("budget_usd", "%v", unknownPrice(l))
			}
		}
	}
	if paid && maxTokens == 0 && (o.BudgetUSD > 0 || o.BudgetTokens > 0) {
		fail("max_tokens", "a budget needs a limit on the tokens of an answer")
	}
	for _, l := range o.links() {
		if err := l.checkThinking(o.Thinking, maxTokens); err != nil {
			fail("thinking", "model %q: %v", l.Model, err)
		}
	}
	for i, t := range o.ThoughtTags {
		if len(t) != 2 || strings.TrimSpace(t[0]) == "" || strings.TrimSpace(t[1]) == "" || t[0] == t[1] {
			fail("thought_tags", "pair %d: want two marks that differ, [open, close]", i+1)
		}
	}
	for _, r := range o.RetryOn {
		if r != RetryEmpty && r != llm.FinishLength && r != llm.FinishRefusal {
			fail("retry_on", "%q: want %s, %s or %s", r, RetryEmpty, llm.FinishLength, llm.FinishRefusal)
		}
	}
	if _, err := simulated.New(o.Simulated); err != nil {
		fail("simulated", "%v", err)
	}
	return errors.Join(errs...)
}

// RetryEmpty is the retry_on word for answers without text; the others are finish reasons.
const RetryEmpty = "empty"

func paidModel(model string) bool {
	p, _, err := llm.ParseModel(model)
	return err != nil || p != llm.Simulated
}

// Paid reports whether answers may cost something: every model but the simulated one.
func (o Options) Paid() bool { return paidModel(o.Model) }

// links lists all models to ask: the first one and the fallbacks.
func (o Options) links() []Fallback {
	first := Fallback{
		Model: o.Model, BaseURL: o.BaseURL, Endpoint: o.Endpoint, TokensField: o.TokensField, APIKeyEnv: o.APIKeyEnv,
		Concurrency: o.Concurrency, RPM: o.RPM, TPM: o.TPM, PriceInput: o.PriceInput, PriceOutput: o.PriceOutput,
	}
	return append([]Fallback{first}, o.Fallback...)
}

// price finds what a link costs, nil if that is not known. The tables speak of the
// providers' own addresses: whoever runs another server has prices of its own.
func (l Fallback) price(own *prices.Table) (*llm.Price, error) {
	spec, model, err := lookup(l.Model)
	if err != nil {
		return nil, nil // said elsewhere
	}
	if spec.URL == "" {
		return &llm.Price{}, nil
	}
	if l.PriceInput != nil && l.PriceOutput != nil {
		return &llm.Price{Input: *l.PriceInput, Output: *l.PriceOutput}, nil
	}
	if own != nil {
		if p := own.Find(spec.Name, model); p != nil {
			return p, nil
		}
	}
	if l.BaseURL != "" {
		return nil, nil
	}
	t, err := prices.Builtin()
	if err != nil {
		return nil, err
	}
	return t.Find(spec.Name, model), nil
}

func unknownPrice(l Fallback) error {
	return fmt.Errorf("the price of %s is not known: set price_input and price_output, or list it in a price_file", l.Model)
}

// CheckKeys finds models whose API key is missing. keyFile is the file with the first
// model's key, "" for none. Where no provider may be called none is needed.
func (o Options) CheckKeys(keyFile string, getenv func(string) string) error {
	if offline(getenv) {
		return nil
	}
	var errs []error
	for _, f := range o.links() {
		spec, _, err := lookup(f.Model)
		if err == nil {
			_, err = spec.key(f, keyFile, getenv)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("model %q: %w", f.Model, err))
		}
		keyFile = ""
	}
	return errors.Join(errs...)
}

// Settings gives what New needs. keyFile is the file with the first model's API key and
// priceFile the user's table of prices, "" for none.
func (o Options) Settings(keyFile, priceFile string) Settings {
	s := Settings{
		KeyFile: keyFile, PriceFile: priceFile, MaxRetries: o.MaxRetries, RetryOn: o.RetryOn,
		Timeout:   seconds(o.Timeout),
		MaxOutage: seconds(o.MaxOutage),
		Simulated: o.Simulated, Links: o.links(), Stream: o.Stream, Device: o.Device, Thinking: o.Thinking,
		Mode: o.Mode, BatchMin: o.BatchMin, Batches: o.transportOptions(), PriceBatch: o.PriceBatch,
	}
	for _, t := range o.ThoughtTags {
		s.ThoughtTags = append(s.ThoughtTags, thoughts.Tag{Open: t[0], Close: t[1]})
	}
	if o.Paid() { // a model that costs nothing is stopped by no budget
		s.Limits = llm.Limits{Requests: o.BudgetRequests, Tokens: o.BudgetTokens, USD: o.BudgetUSD}
	}
	return s
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// again reports whether an answer is among those that buy one more try.
func (s Settings) again(r *llm.Response) bool {
	cut := llm.ClassOf(r.FinishReason) == llm.Cut
	for _, on := range s.RetryOn {
		if on == r.FinishReason || on == llm.FinishLength && cut || on == RetryEmpty && strings.TrimSpace(r.Text) == "" {
			return true
		}
	}
	return false
}

// Teacher is a model as answers are remembered for it.
type Teacher struct {
	Model    string // provider/name
	Endpoint string // the name of the server: the alias the user chose, or its address
}

// Teachers lists the models that may be asked, each once, in order. Those that answer in
// this process are not among them: the simulated one comes with the program, and the files
// of local ones count as inputs; see [Options.LocalFiles].
func (o Options) Teachers() []Teacher {
	var out []Teacher
	seen := map[string]bool{}
	for _, f := range o.links() {
		spec, _, err := lookup(f.Model)
		if err != nil || spec.URL == "" || seen[f.Model] {
			continue
		}
		seen[f.Model] = true
		out = append(out, Teacher{Model: f.Model, Endpoint: spec.endpoint(f)})
	}
	return out
}
