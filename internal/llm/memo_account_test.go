package llm

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// listedMemo is a memo whose records can be listed.
type listedMemo struct {
	llmtest.Memo
	keys [][32]byte
}

func (m *listedMemo) Put(key [32]byte, val []byte) error {
	m.keys = append(m.keys, key)
	return m.Memo.Put(key, val)
}

func account(t *testing.T, m *listedMemo) *Account {
	t.Helper()
	a, err := ReadAccount(m, func(fn func([32]byte, []byte) error) error {
		for _, k := range m.keys {
			v, _, err := m.Get(k)
			if err == nil {
				err = fn(k, v)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wantAccount(t *testing.T, m *listedMemo, want *Account) {
	t.Helper()
	if d := cmp.Diff(want, account(t, m), cmpopts.EquateApprox(1e-9, 0), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// What a transport buys stands in the account with its model, recipe and price.
func TestAccountOfATransport(t *testing.T) {
	memo := &listedMemo{}
	client := clientFunc(func(context.Context, Request) (*Response, error) {
		return &Response{Text: "42", FinishReason: FinishStop, Model: "m-2024", Usage: Usage{PromptTokens: 100, CompletionTokens: 10}}, nil
	})
	for _, o := range []Options{
		{Recipe: "exp/a.yaml", Price: &Price{Input: 1, Output: 10}},
		{Recipe: "exp/b.yaml"},
	} {
		o.Memo = memo
		tr := NewTransport(Provider{Name: "test", Endpoint: "http://here", Client: client}, o)
		for _, text := range []string{"one", "two"} {
			if _, err := tr.Complete(t.Context(), Request{Model: "m", Messages: []Message{{Role: "user", Content: o.Recipe + text}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantAccount(t, memo, &Account{
		Answers: 4,
		Models:  []Spending{{Name: "test/m", Answers: 4, PromptTokens: 400, CompletionTokens: 40, USD: 400e-6, Unpriced: 2}},
		Recipes: []Spending{
			{Name: "exp/a.yaml", Answers: 2, PromptTokens: 200, CompletionTokens: 20, USD: 400e-6},
			{Name: "exp/b.yaml", Answers: 2, PromptTokens: 200, CompletionTokens: 20, Unpriced: 2},
		},
	})
}

// Answers of older programs say neither who bought them nor their price: their
// reservations do, or their batches.
func TestAccountOfOlderRecords(t *testing.T) {
	memo := &listedMemo{}
	price := &Price{Input: 1, Output: 10}
	for i, text := range []string{"reserved", "from a batch", "of no known price"} {
		v, err := json.Marshal(map[string]any{"text": text, "finish_reason": "stop", "model": "m-2024", "usage": Usage{PromptTokens: 100, CompletionTokens: 10}})
		if err == nil {
			err = memo.Put([32]byte{byte(i)}, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := OpenLedger(memo, "scope")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.reserve([32]byte{0}, Charge{1, 1000, 5}, price); err != nil {
		t.Fatal(err)
	}
	book, at := batchRecords{memo}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	intent := func(name string, hours int) batchIntent {
		return batchIntent{Name: name, Provider: "test", Endpoint: "http://here", Model: "m", Requests: 1, Worst: Charge{1, 1000, 5}, Price: price, At: at.Add(time.Duration(hours) * time.Hour)}
	}
	for _, err := range []error{
		book.point([32]byte{1}, 0, "lost"), // never submitted
		book.point([32]byte{1}, 1, "done"),
		book.put(intent("done", 0), "intent", "done"), book.put(batchOpened{"b0"}, "opened", "done"), book.put(batchClosed{Status: "completed"}, "closed", "done"),
		book.put(intent("late", 2), "intent", "late"), book.put(batchOpened{"b2"}, "opened", "late"),
		book.put(intent("early", 1), "intent", "early"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	open := func(id, name string, hours int) OpenBatch {
		return OpenBatch{ID: id, Name: name, Provider: "test", Endpoint: "http://here", Model: "m", Requests: 1, Worst: Charge{1, 1000, 5}, At: at.Add(time.Duration(hours) * time.Hour)}
	}
	wantAccount(t, memo, &Account{
		Answers: 3,
		Models:  []Spending{{Name: "m-2024", Answers: 3, PromptTokens: 300, CompletionTokens: 30, USD: 400e-6, Unpriced: 1}},
		Recipes: []Spending{{Answers: 3, PromptTokens: 300, CompletionTokens: 30, USD: 400e-6, Unpriced: 1}},
		Batches: []OpenBatch{open("", "early", 1), open("b2", "late", 2)},
	})
}

func TestContains(t *testing.T) {
	for value, want := range map[string]bool{
		`{"text": "a [key] b", "finish_reason": "stop"}`:                  true,
		`{"text": "", "reasoning": "[key]", "finish_reason": "stop"}`:     true,
		`{"text": "key", "raw": {"x": "[key]"}, "finish_reason": "stop"}`: false,
		`{"name": "[key]", "text": "[key]"}`:                              false, // not an answer
		`"[key]"`:                                                         false,
	} {
		if Contains([]byte(value), "[key]") != want {
			t.Error(value)
		}
	}
}
