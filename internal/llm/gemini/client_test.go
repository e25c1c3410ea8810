package gemini

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/llm"
)

const planted = "AIza-planted-key-0123456789"

// exchangeWith answers one request as handler says and returns what was sent.
func exchangeWith(t *testing.T, req llm.Request, handler http.HandlerFunc) (map[string]any, *http.Request, *llm.Response, error) {
	t.Helper()
	var sent map[string]any
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if err := json.Unmarshal(b, &sent); err != nil {
			t.Errorf("%v in %s", err, b)
		}
		handler(w, r)
	}))
	defer srv.Close()
	c, err := New(Config{BaseURL: srv.URL, Key: planted})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Complete(t.Context(), req)
	return sent, got, resp, err
}

func say(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
}

const fine = `{"candidates":[{"content":{"role":"model","parts":[{"text":"hm ","thought":true},{"text":"The answer "},{"text":"is 4."}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":5,"thoughtsTokenCount":11,"totalTokenCount":23},"modelVersion":"gemini-x-001"}`

func TestRequestAndAnswer(t *testing.T) {
	temp, topP, seed := 0.8, 0.1, int64(1<<40)
	sent, r, resp, err := exchangeWith(t, llm.Request{
		Model: "gemini-x", Temperature: &temp, TopP: &topP, Seed: &seed, MaxTokens: 9, Stop: []string{"END"},
		Messages: []llm.Message{{Role: llm.RoleSystem, Content: "be brief"}, {Role: llm.RoleUser, Content: "2+2?"},
			{Role: llm.RoleAssistant, Content: "5"}, {Role: llm.RoleUser, Content: "sure?"}},
		JSON:  &llm.Schema{Name: "n", Schema: json.RawMessage(`{"type":"object"}`)},
		Extra: map[string]any{"safetySettings": []any{"s"}, "generationConfig": map[string]any{"topK": 3}},
		Hint:  &llm.Hint{Gold: "secret"},
	}, say(fine))
	if err != nil {
		t.Fatal(err)
	}
	raw := resp.Raw
	resp.Raw = nil
	want := &llm.Response{Text: "The answer is 4.", Reasoning: "hm ", FinishReason: "STOP", Model: "gemini-x-001",
		Usage: llm.Usage{PromptTokens: 7, CompletionTokens: 16, ReasoningTokens: 11}}
	if d := cmp.Diff(want, resp); d != "" || string(raw) != fine {
		t.Errorf("%s\n%s", d, raw)
	}
	part := func(s string) []any { return []any{map[string]any{"text": s}} }
	wantSent := map[string]any{
		"systemInstruction": map[string]any{"parts": part("be brief")},
		"contents": []any{
			map[string]any{"role": "user", "parts": part("2+2?")},
			map[string]any{"role": "model", "parts": part("5")},
			map[string]any{"role": "user", "parts": part("sure?")},
		},
		"generationConfig": map[string]any{"temperature": 0.8, "topP": 0.1, "seed": float64(1 << 40), "maxOutputTokens": 9.0,
			"stopSequences": []any{"END"}, "topK": 3.0, "responseMimeType": "application/json",
			"responseJsonSchema": map[string]any{"type": "object"}},
		"safetySettings": []any{"s"},
	}
	// genai adds the role of the system instruction by itself in some versions.
	delete(sent["systemInstruction"].(map[string]any), "role")
	if d := cmp.Diff(wantSent, sent); d != "" {
		t.Error(d)
	}
	if r.URL.Path != "/v1beta/models/gemini-x:generateContent" || r.URL.RawQuery != "" || r.Header.Get("x-goog-api-key") != planted {
		t.Errorf("%s?%s, key %q", r.URL.Path, r.URL.RawQuery, r.Header.Get("x-goog-api-key"))
	}
}

func TestFinishReasons(t *testing.T) {
	for _, tc := range []struct{ body, text, finish string }{
		{`{"candidates":[{"content":{"parts":[{"text":"cut"}]},"finishReason":"MAX_TOKENS"}]}`, "cut", "MAX_TOKENS"},
		{`{"candidates":[{"finishReason":"MAX_TOKENS"}]}`, "", "MAX_TOKENS"},
		{`{"candidates":[{"finishReason":"SAFETY","safetyRatings":[]}]}`, "", "SAFETY"},
		{`{"candidates":[{"finishReason":"RECITATION"}]}`, "", "RECITATION"},
		{`{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":4}}`, "", llm.FinishRefusal},
		{`{"candidates":[{"finishReason":"A_NEW_ONE","content":{"parts":[{"text":"x"}]}}]}`, "x", "A_NEW_ONE"},
		{`{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}`, "x", ""},
	} {
		_, _, resp, err := exchangeWith(t, llm.Request{Model: "m"}, say(tc.body))
		if err != nil || resp.Text != tc.text || resp.FinishReason != tc.finish {
			t.Errorf("%s: %+v, %v", tc.body, resp, err)
		}
	}
}

func TestErrors(t *testing.T) {
	status := func(code int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			io.WriteString(w, body)
		}
	}
	gerr := func(status, details string) string {
		return `{"error":{"code":1,"message":"no ` + planted + `","status":"` + status + `","details":[` + details + `]}}`
	}
	for name, tc := range map[string]struct {
		h    http.HandlerFunc
		kind llm.Kind
		wait time.Duration
	}{
		"rate, header":   {status(429, gerr("RESOURCE_EXHAUSTED", ""), "Retry-After", "7"), llm.KindRate, 7 * time.Second},
		"rate, details":  {status(429, gerr("RESOURCE_EXHAUSTED", `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"31.5s"}`)), llm.KindRate, 31500 * time.Millisecond},
		"day is used up": {status(429, gerr("RESOURCE_EXHAUSTED", `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]}`)), llm.KindQuota, 0},
		"wrong key":      {status(400, gerr("INVALID_ARGUMENT", `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}`)), llm.KindAuth, 0},
		"bad request":    {status(400, gerr("INVALID_ARGUMENT", "")), llm.KindInvalid, 0},
		"no such model":  {status(404, gerr("NOT_FOUND", "")), llm.KindNotFound, 0},
		"overloaded":     {status(503, gerr("UNAVAILABLE", "")), llm.KindServer, 0},
		"a proxy's page": {status(502, "<html>"+planted), llm.KindServer, 0},
		"not JSON":       {say("<html>"), llm.KindMalformed, 0},
		"nothing":        {say(""), llm.KindMalformed, 0},
		"no candidates":  {say("{}"), llm.KindMalformed, 0},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, fine[:20])
		}, llm.KindNetwork, 0},
	} {
		_, _, _, err := exchangeWith(t, llm.Request{Model: "m"}, tc.h)
		var e *llm.Error
		if !errors.As(err, &e) || e.Kind != tc.kind || e.RetryAfter != tc.wait {
			t.Errorf("%s: %#v, want %s and %s", name, err, tc.kind, tc.wait)
		}
		for u := err; u != nil; u = errors.Unwrap(u) {
			if strings.Contains(u.Error(), planted) {
				t.Errorf("%s: the key stands in %q", name, u)
			}
		}
	}
}

// genai would retry five times by itself; the Transport must see every attempt.
func TestOneAttempt(t *testing.T) {
	n := 0
	_, _, _, err := exchangeWith(t, llm.Request{Model: "m"}, func(w http.ResponseWriter, _ *http.Request) { n++; w.WriteHeader(503) })
	if n != 1 || err == nil {
		t.Errorf("%d attempts, %v", n, err)
	}
}

func TestCancelled(t *testing.T) {
	c, err := New(Config{BaseURL: "http://127.0.0.1:1", Key: planted})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Complete(t.Context(), llm.Request{Model: "m"}); llm.KindOf(err) != llm.KindNetwork {
		t.Errorf("nobody there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Complete(ctx, llm.Request{Model: "m"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestNewErrors(t *testing.T) {
	for want, cfg := range map[string]Config{
		"base_url":   {BaseURL: "localhost:80"},
		"user name":  {BaseURL: "http://u:" + planted + "@h", Key: planted},
		"line break": {Key: planted + "\nx"},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), planted) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{fine, "", "{}", `{"candidates":[null]}`, `{"candidates":[{"content":{"parts":[1]}}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		alloctest.Within(t, len(b), 100, 1<<20, func() {
			if r, err := parse(b); (r == nil) == (err == nil) {
				t.Errorf("%q: %v, %v", b, r, err)
			}
		})
	})
}
