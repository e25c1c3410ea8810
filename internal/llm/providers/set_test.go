package providers

import (
	"slices"
	"testing"

	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// What is set holds for the next call, and every field that may be set can be.
func TestSet(t *testing.T) {
	url, _ := server(t, func(string, int) (int, string, string) { return 200, "x", "stop" })
	price := 1e6 // a dollar a token
	c, err := New(t.Context(), Settings{Links: []Fallback{{Model: "openai/m", BaseURL: url, Concurrency: 2, PriceInput: &price, PriceOutput: &price}}}, Services{Memo: &llmtest.Memo{}, Scope: "s"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, field := range Steered {
		if err := c.Set(field, 3); err != nil {
			t.Error(field, err)
		}
	}
	if c.Concurrency() != 3 || !slices.Contains(Steered, "budget_usd") {
		t.Errorf("concurrency %d", c.Concurrency())
	}
	if _, err := ask(t, c, "q"); err == nil {
		t.Error("three dollars were enough")
	}
	if err := c.Set("budget_usd", 0); err != nil {
		t.Error(err)
	}
	if _, err := ask(t, c, "q"); err != nil {
		t.Errorf("without a limit: %v", err)
	}
	unpriced, err := New(t.Context(), Settings{Links: []Fallback{{Model: "openai/m", BaseURL: url}}}, Services{})
	if err != nil {
		t.Fatal(err)
	}
	defer unpriced.Close()
	if err := unpriced.Set("budget_usd", 1); err == nil {
		t.Error("a budget in dollars without a price")
	}
}
