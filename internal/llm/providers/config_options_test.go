package providers

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/simulated"
)

// fieldsOf lists the fields that a joined error points at.
func fieldsOf(err error) []string {
	var names []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			var fe FieldError
			if errors.As(e, &fe) {
				names = append(names, fe.Field)
			} else {
				names = append(names, "?")
			}
		}
	}
	return names
}

func TestOptionsValidate(t *testing.T) {
	one := 1.0
	for _, tc := range []struct {
		name      string
		o         Options
		maxTokens int
		priceFile string
		want      []string
	}{
		{"simulated needs nothing", Options{Model: "simulated", BudgetUSD: 1}, 0, "", nil},
		{"a paid model with all", Options{Model: "openai/m", BudgetUSD: 1, PriceInput: &one, PriceOutput: &one}, 10, "", nil},
		{"no budget, no limit", Options{Model: "openai/m"}, 0, "", nil},
		{"unknown provider", Options{Model: "nobody/m"}, 10, "", []string{"model"}},
		{"half a price", Options{Model: "openai/m", PriceOutput: &one}, 10, "", []string{"price_input"}},
		{"dollars without a price", Options{Model: "openai/m", BudgetUSD: 1}, 10, "", []string{"budget_usd"}},
		{"dollars with the built-in price", Options{Model: "openai/gpt-4o-mini", BudgetUSD: 1}, 10, "", nil},
		{"the built-in price elsewhere", Options{Model: "openai/gpt-4o-mini", BaseURL: "http://h", BudgetUSD: 1}, 10, "", []string{"budget_usd"}},
		{"dollars with a table", Options{Model: "openai/m", BudgetUSD: 1}, 10, "mine.yaml", nil},
		{"a fallback without a price", Options{Model: "openai/gpt-4o", BudgetUSD: 1, Fallback: []Fallback{{Model: "gemini/new"}}}, 10, "", []string{"budget_usd"}},
		{"a fallback of nobody", Options{Model: "openai/m", Fallback: []Fallback{{Model: "nobody/m"}, {Model: "simulated"}}}, 10, "", []string{"fallback", "fallback"}},
		{"a fallback for nothing", Options{Model: "simulated", Fallback: []Fallback{{Model: "openai/m"}}}, 10, "", []string{"fallback"}},
		{"a strange answer", Options{Model: "openai/m", RetryOn: []string{"empty", "length", "stop"}}, 10, "", []string{"retry_on"}},
		{"tokens without a limit", Options{Model: "openai/m", BudgetTokens: 1}, 0, "", []string{"max_tokens"}},
		{"thinking", Options{Model: "openai/o4-mini", Thinking: llm.Thinking{Effort: "low"}, Fallback: []Fallback{{Model: "gemini/gemini-2.5-pro"}}}, 10, "", nil},
		{"a fallback that does not think", Options{Model: "openai/o4-mini", Thinking: llm.Thinking{Effort: "low"}, Fallback: []Fallback{{Model: "openai/gpt-4o"}}}, 10, "", []string{"thinking"}},
		{"two ways to think", Options{Model: "openai/o4-mini", Thinking: llm.Thinking{Effort: "low", Off: true}}, 10, "", []string{"thinking"}},
		{"no room to answer", Options{Model: "gemini/gemini-2.5-pro", Thinking: llm.Thinking{BudgetTokens: 10}}, 10, "", []string{"thinking"}},
		{"thinking here", Options{Model: "local/folder", Thinking: llm.Thinking{Effort: "low"}}, 10, "", []string{"thinking"}},
		{"simulated thinking", Options{Model: "simulated", Thinking: llm.Thinking{BudgetTokens: 5}}, 10, "", nil},
		{"half a mark", Options{Model: "openai/m", ThoughtTags: [][]string{{"<a>", "</a>"}, {"<b>"}}}, 10, "", []string{"thought_tags"}},
		{"several", Options{Model: "openai/m", BudgetUSD: 1, Simulated: simulated.Options{Truncated: 2}}, 0, "",
			[]string{"budget_usd", "max_tokens", "simulated"}},
	} {
		if d := cmp.Diff(tc.want, fieldsOf(tc.o.Validate(tc.maxTokens, tc.priceFile))); d != "" {
			t.Errorf("%s:\n%s", tc.name, d)
		}
	}
}

func TestOptionsSettings(t *testing.T) {
	in, out := 2.0, 8.0
	o := Options{
		Model: "openai/m", BaseURL: "http://h/v1", Endpoint: "e", TokensField: "max_tokens", APIKeyEnv: "KEY",
		Concurrency: 3, RPM: 60, TPM: 600, Timeout: 1.5, MaxRetries: 2, MaxOutage: 9, RetryOn: []string{"empty"},
		BudgetRequests: 5, BudgetTokens: 6, BudgetUSD: 7, PriceInput: &in, PriceOutput: &out,
		Fallback: []Fallback{{Model: "gemini/g"}},
	}
	want := Settings{
		Links: []Fallback{{
			Model: "openai/m", BaseURL: "http://h/v1", Endpoint: "e", TokensField: "max_tokens", APIKeyEnv: "KEY",
			Concurrency: 3, RPM: 60, TPM: 600, PriceInput: &in, PriceOutput: &out,
		}, {Model: "gemini/g"}},
		KeyFile: "key.txt", PriceFile: "p.yaml", Timeout: 1500 * time.Millisecond, MaxRetries: 2,
		MaxOutage: 9 * time.Second, RetryOn: []string{"empty"}, Limits: llm.Limits{Requests: 5, Tokens: 6, USD: 7},
	}
	if d := cmp.Diff(want, o.Settings("key.txt", "p.yaml")); d != "" {
		t.Error(d)
	}
	o.Model = llm.Simulated
	if s := o.Settings("", ""); s.Limits != (llm.Limits{}) {
		t.Errorf("a model without a price got the limits %+v", s.Limits)
	}
}
