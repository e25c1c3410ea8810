package llm

import "testing"

// Thoughts are tokens of the answer, and what a cache takes and gives has prices of its own;
// the worst case covers both.
func TestPriceOfThoughtsAndCaches(t *testing.T) {
	p := &Price{Input: 10, Output: 100, CacheWrite: 1.25, CacheRead: 0.1}
	u := Usage{PromptTokens: 1000, CompletionTokens: 50, ReasoningTokens: 40, CacheWriteTokens: 400, CacheReadTokens: 500}
	if got, want := p.usd(u)*1e6, 100*10+400*12.5+500*1+50*100.0; got < want-1e-6 || got > want+1e-6 {
		t.Errorf("%g, want %g", got, want)
	}
	if got := p.InBatch().usd(u); got != p.usd(u) {
		t.Errorf("without a batch price: %g", got)
	}
	r := Request{MaxTokens: 10, Messages: []Message{{RoleUser, "0123456789"}}, Thinking: Thinking{BudgetTokens: 30}}
	if got, want := worstCase(r, p), (Charge{1, 26 + 30, (26*12.5 + 30*100) / 1e6}); got != want {
		t.Errorf("the worst case is %+v, want %+v", got, want)
	}
}
