package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

func TestParseModel(t *testing.T) {
	for _, tc := range []struct{ in, provider, model string }{
		{"openai/gpt-4o", "openai", "gpt-4o"},
		{"openai/meta-llama/Llama-3.1-8B", "openai", "meta-llama/Llama-3.1-8B"},
		{"simulated", "simulated", ""},
		{" simulated/x ", "simulated", "x"},
	} {
		p, m, err := ParseModel(tc.in)
		if err != nil || p != tc.provider || m != tc.model {
			t.Errorf("%q: %q, %q, %v", tc.in, p, m, err)
		}
	}
	for _, bad := range []string{"", "openai", "openai/", "/gpt", "gpt-4o"} {
		if _, _, err := ParseModel(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// Every part of a request moves the key, and each to a key of its own.
func TestRequestKey(t *testing.T) {
	one, half, seed := 1.0, 0.5, int64(7)
	base := func() Request {
		return Request{Model: "m", Messages: []Message{{RoleSystem, "s"}, {RoleUser, "u"}}}
	}
	type variant struct {
		name     string
		provider string
		endpoint string
		edit     func(*Request)
	}
	variants := []variant{
		{"base", "p", "e", func(*Request) {}},
		{"provider", "p2", "e", func(*Request) {}},
		{"endpoint", "p", "e2", func(*Request) {}},
		{"model", "p", "e", func(r *Request) { r.Model = "m2" }},
		{"system", "p", "e", func(r *Request) { r.Messages[0].Content = "s2" }},
		{"user", "p", "e", func(r *Request) { r.Messages[1].Content = "u2" }},
		{"role", "p", "e", func(r *Request) { r.Messages[0].Role = RoleAssistant }},
		{"split", "p", "e", func(r *Request) { r.Messages = []Message{{RoleUser, "su"}} }},
		{"temperature 0", "p", "e", func(r *Request) { r.Temperature = new(float64) }},
		{"temperature", "p", "e", func(r *Request) { r.Temperature = &one }},
		{"effort", "p", "e", func(r *Request) { r.Thinking.Effort = "low" }},
		{"thoughts", "p", "e", func(r *Request) { r.Thinking.BudgetTokens = 9 }},
		{"no thoughts", "p", "e", func(r *Request) { r.Thinking.Off = true }},
		{"top_p", "p", "e", func(r *Request) { r.TopP = &half }},
		{"max_tokens", "p", "e", func(r *Request) { r.MaxTokens = 5 }},
		{"seed", "p", "e", func(r *Request) { r.Seed = &seed }},
		{"stop", "p", "e", func(r *Request) { r.Stop = []string{"x"} }},
		{"schema", "p", "e", func(r *Request) { r.JSON = &Schema{Name: "n", Schema: json.RawMessage(`{"type":"object"}`)} }},
		{"extra", "p", "e", func(r *Request) { r.Extra = map[string]any{"top_k": 1} }},
		{"replicate", "p", "e", func(r *Request) { r.Replicate = 1 }},
	}
	seen := map[[32]byte]string{}
	for _, v := range variants {
		r := base()
		v.edit(&r)
		k, err := RequestKey(r, v.provider, v.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		if other, dup := seen[k]; dup {
			t.Errorf("%s has the key of %s", v.name, other)
		}
		seen[k] = v.name
	}
	same := []variant{
		{"hint", "p", "e", func(r *Request) { r.Hint = &Hint{Gold: "1"} }},
		{"trailing slash", "p", "e/", func(*Request) {}},
	}
	for _, v := range same {
		r := base()
		v.edit(&r)
		if k, err := RequestKey(r, v.provider, v.endpoint); err != nil || seen[k] != "base" {
			t.Errorf("%s changed the key (%v)", v.name, err)
		}
	}
	if _, err := RequestKey(Request{Extra: map[string]any{"f": func() {}}}, "p", "e"); err == nil {
		t.Error("a request without a JSON form got a key")
	}
}

// The preimage is written down: changing it by accident would make every answer that
// anybody ever paid for unreachable.
func TestKeyPreimageIsPinned(t *testing.T) {
	half, seed := 0.5, int64(7)
	got, err := keyText(Request{
		Model: "m", Messages: []Message{{RoleUser, "a < b"}}, Temperature: &half, MaxTokens: 9, Seed: &seed,
		Stop: []string{"\n"}, Extra: map[string]any{"b": 1, "a": 2}, Replicate: 3,
	}, "openai", "https://h/v1/")
	want := `{"format":"llm-request-1","provider":"openai","model":"m","endpoint":"https://h/v1",` +
		`"messages":[{"role":"user","content":"a \u003c b"}],"temperature":0.5,"max_tokens":9,"seed":7,` +
		`"stop":["\n"],"extra":{"a":2,"b":1},"replicate":3}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s\nwant %s (%v)", got, want, err)
	}
}

func TestHintHasNoJSONForm(t *testing.T) {
	if b, err := json.Marshal(Request{Hint: &Hint{Gold: "42"}}); err == nil {
		t.Errorf("a request with a hint became %s", b)
	}
}

func TestKindOf(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want Kind
	}{
		{&Error{Kind: KindQuota}, KindQuota},
		{fmt.Errorf("row 3: %w", &Error{Kind: KindRate}), KindRate},
		{&BudgetError{}, KindBudget},
		{context.DeadlineExceeded, KindTimeout},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, KindNetwork},
		{&net.DNSError{IsTimeout: true}, KindTimeout},
		{io.ErrUnexpectedEOF, KindNetwork},
		{errors.New("else"), KindOther},
	} {
		if got := KindOf(tc.err); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.err, got, tc.want)
		}
	}
	for status, want := range map[int]Kind{
		400: KindInvalid, 401: KindAuth, 402: KindQuota, 403: KindAuth, 404: KindNotFound, 408: KindServer,
		409: KindServer, 413: KindInvalid, 422: KindInvalid, 425: KindServer, 429: KindRate, 500: KindServer,
		501: KindInvalid, 502: KindServer, 503: KindServer, 529: KindServer, 200: KindOther,
	} {
		if got := KindOfStatus(status); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		header, value string
		want          time.Duration
	}{
		{"Retry-After", "20", 20 * time.Second},
		{"Retry-After", " 1.5 ", 1500 * time.Millisecond},
		{"Retry-After", now.Add(time.Minute).Format(http.TimeFormat), time.Minute},
		{"Retry-After", now.Add(time.Minute).Format(time.RFC850), time.Minute},
		{"Retry-After", now.Add(-time.Minute).Format(http.TimeFormat), 0},
		{"Retry-After", "-5", 0},
		{"Retry-After", "soon", 0},
		{"Retry-After", "", 0},
		{"Retry-After-Ms", "250", 250 * time.Millisecond},
	} {
		h := http.Header{}
		h.Set(tc.header, tc.value)
		if got := ParseRetryAfter(h, now); got != tc.want {
			t.Errorf("%s: %q gives %s, want %s", tc.header, tc.value, got, tc.want)
		}
	}
}

func TestErrorText(t *testing.T) {
	e := &Error{Kind: KindRate, Provider: "openai", Status: 429, Code: "rate_limit", Message: "slow down", Attempts: 3}
	if got, want := e.Error(), "openai: rate (HTTP 429 Too Many Requests) [rate_limit]: slow down (after 3 attempts)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := (&BudgetError{"usd", 5, 4.99, .02}).Error(); !strings.Contains(got, "budget_usd 5") {
		t.Errorf("%q", got)
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "Sat, 01 Mar 2025 12:00:00 GMT", "1e9", "9999999999999999999", "-1", "NaN", "1h"} {
		f.Add(s)
	}
	now := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, v string) {
		h := http.Header{"Retry-After": {v}}
		if d := ParseRetryAfter(h, now); d < 0 {
			t.Errorf("%q gives %s", v, d)
		}
	})
}

// A panic behind a request is a mistake in this program: it ends the run, is not tried
// again, and callers that share the request are not left waiting.
func TestPanicEndsTheRun(t *testing.T) {
	calls := 0
	tr := transport(func(context.Context, Request) (*Response, error) { calls++; panic("boom") }, Options{MaxRetries: 3, Memo: &llmtest.Memo{}})
	_, err := tr.Complete(t.Context(), prompt("p"))
	if KindOf(err) != KindInternal || !strings.Contains(err.Error(), "boom") || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if err := NewFailures(Policy{}).Note(t.Context(), err); err == nil {
		t.Error("the run went on")
	}
	if busy, _ := tr.gate.state(); busy != 0 {
		t.Errorf("%d places are still taken", busy)
	}
}
