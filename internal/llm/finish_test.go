package llm

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

func TestFinishReasons(t *testing.T) {
	for reason, want := range map[string]Class{
		"": Finished, "stop": Finished, "STOP": Finished, "eos": Finished, "eos_token": Finished, "end_turn": Finished, "stop_sequence": Finished,
		"FINISH_REASON_UNSPECIFIED": Finished,
		"length":                    Cut, "MAX_TOKENS": Cut, "model_length": Cut, "model_context_window_exceeded": Cut, "pause_turn": Cut, "OTHER": Cut, "brand_new": Cut,
		"content_filter": Refused, "refusal": Refused, "SAFETY": Refused, "RECITATION": Refused, "sensitive": Refused, "PROHIBITED_CONTENT": Refused,
		"tool_calls": Tool, "function_call": Tool, "tool_use": Tool, "UNEXPECTED_TOOL_CALL": Tool,
		"abort": Failed, "error": Failed, "network_error": Failed, "insufficient_system_resource": Failed, "load": Failed,
	} {
		if got := ClassOf(reason); got != want {
			t.Errorf("%s: class %d, want %d", reason, got, want)
		}
	}
}

// A generation that failed is an attempt: tried again, paid and never remembered, also where
// an earlier version kept it.
func TestFailedGenerations(t *testing.T) {
	memo := &llmtest.Memo{}
	key, _ := RequestKey(prompt("p"), "test", "here")
	old, _ := encodeMemo(&Response{Text: "half", FinishReason: "abort"}, "", nil)
	if err := memo.Put(key, old); err != nil {
		t.Fatal(err)
	}
	budget, _ := NewBudget(Limits{}, nil)
	n := 0
	tr := transport(func(context.Context, Request) (*Response, error) {
		r := ok("half")
		if n++; n < 3 {
			r.FinishReason = []string{"error", "insufficient_system_resource"}[n-1]
		}
		return r, nil
	}, Options{MaxRetries: 3, Memo: memo, Budget: budget, MinBackoff: 1})
	r, err := tr.Complete(t.Context(), prompt("p"))
	if err != nil || r.FinishReason != FinishStop || n != 3 {
		t.Fatalf("%+v, %v after %d calls", r, err, n)
	}
	if got := budget.Spent(); got.Requests != 3 || got.Tokens != 15 {
		t.Errorf("spent %+v, want 3 requests and 15 tokens", got)
	}
	tr = transport(func(context.Context, Request) (*Response, error) {
		return &Response{Text: "half", FinishReason: "network_error"}, nil
	}, Options{Memo: memo})
	_, err = tr.Complete(t.Context(), prompt("other"))
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "network_error") {
		t.Error(err)
	}
	if r, err := tr.Peek(prompt("other")); r != nil || err != nil {
		t.Errorf("remembered %+v, %v", r, err)
	}
}

func TestUnknownFinishReasonIsToldOnce(t *testing.T) {
	var told []string
	tr := transport(func(_ context.Context, r Request) (*Response, error) {
		return &Response{Text: "x", FinishReason: "weary"}, nil
	}, Options{Notify: func(s string) { told = append(told, s) }})
	for _, p := range []string{"a", "b"} {
		if r, err := tr.Complete(t.Context(), prompt(p)); err != nil || r.FinishReason != "weary" {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "weary") {
		t.Errorf("told %q", told)
	}
}
