package llm

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

// A call is not made when all that is sent, or all answers that are asked for, may
// cost more than the budget has left.
func TestBudgetCountsTheWholeRequest(t *testing.T) {
	long := strings.Repeat("a field. ", 2700)
	schema, err := json.Marshal(map[string]any{"description": long})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(r *Request){
		"nothing":        func(*Request) {},
		"prompt":         func(r *Request) { r.Messages[0].Content = long },
		"schema":         func(r *Request) { r.JSON = &Schema{Name: "answer", Schema: schema} },
		"tools":          func(r *Request) { r.Extra = map[string]any{"tools": []any{map[string]any{"description": long}}} },
		"answers":        func(r *Request) { r.Extra = map[string]any{"n": 60} },
		"a higher limit": func(r *Request) { r.Extra = map[string]any{"max_completion_tokens": int64(600)} },
		"Gemini's limit": func(r *Request) {
			r.Extra = map[string]any{"generationConfig": map[string]any{"maxOutputTokens": 600.0}}
		},
		"Gemini's answers": func(r *Request) { r.Extra = map[string]any{"generationConfig": map[string]any{"candidateCount": 60}} },
	} {
		b, err := NewBudget(Limits{Tokens: 500}, nil)
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		tr := transport(func(context.Context, Request) (*Response, error) { calls++; return ok("x"), nil }, Options{Budget: b})
		req := prompt("x")
		change(&req)
		_, err = tr.Complete(t.Context(), req)
		var be *BudgetError
		if name == "nothing" {
			if err != nil || calls != 1 {
				t.Errorf("a request that fits: %d calls, %v", calls, err)
			}
		} else if !errors.As(err, &be) || calls != 0 {
			t.Errorf("%s: %d calls, %v", name, calls, err)
		}
	}
}

// An attempt whose answer was lost counts with its worst case, because the provider may
// bill it; one that the provider refused counts as a request.
func TestLostAnswersCountInFull(t *testing.T) {
	for kind, billed := range map[Kind]bool{
		KindTimeout: true, KindNetwork: true, KindMalformed: true,
		KindServer: false, KindRate: false, KindInvalid: false, KindAuth: false,
	} {
		b, err := NewBudget(Limits{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		tr := transport(func(context.Context, Request) (*Response, error) { return nil, &Error{Kind: kind} }, Options{Budget: b})
		if _, err := tr.Complete(t.Context(), prompt("four")); KindOf(err) != kind {
			t.Errorf("%s: %v", kind, err)
		}
		want := Charge{Requests: 1}
		if billed {
			want.Tokens = len("four") + 16 + 10
		}
		if got := b.Spent(); got != want {
			t.Errorf("%s: spent %+v, want %+v", kind, got, want)
		}
	}
}

// A provider that lies about the length of its answers does not make the budget grow, nor
// does it end it: an impossible count is none, and the call counts with its worst case.
func TestImpossibleCountsOfTokens(t *testing.T) {
	for name, u := range map[string]Usage{
		"negative prompt":    {PromptTokens: -1000, CompletionTokens: 2},
		"negative answer":    {PromptTokens: 3, CompletionTokens: -1000},
		"negative thoughts":  {PromptTokens: 3, CompletionTokens: 2, ReasoningTokens: -1},
		"overflow":           {PromptTokens: math.MaxInt, CompletionTokens: math.MaxInt},
		"the lowest integer": {PromptTokens: math.MinInt},
		"from a cache":       {PromptTokens: 3, CompletionTokens: 2, CacheReadTokens: 1 << 60},
	} {
		for _, fails := range []bool{false, true} {
			b, err := NewBudget(Limits{Tokens: 1000, USD: 1}, nil)
			if err != nil {
				t.Fatal(err)
			}
			tr := transport(func(context.Context, Request) (*Response, error) {
				if fails {
					return nil, &Error{Kind: KindServer, Status: 200, Usage: u}
				}
				r := ok("x")
				r.Usage = u
				return r, nil
			}, Options{Budget: b, Price: &Price{Input: 1, Output: 1}})
			r, err := tr.Complete(t.Context(), prompt("x"))
			if (err != nil) != fails || r != nil && r.Usage != (Usage{}) {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			if spent := b.Spent(); spent.Tokens < 0 || spent.Tokens > 1000 || spent.USD < 0 || !fails && spent.Tokens == 0 {
				t.Errorf("%s, fails %v: spent %+v", name, fails, spent)
			}
			if s := tr.Stats(); s.PromptTokens < 0 || s.CompletionTokens < 0 || s.USD < 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}
