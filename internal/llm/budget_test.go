package llm

import (
	"context"
	"encoding/json"
	"errors"
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
