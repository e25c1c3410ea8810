package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

const planted = "sk-planted-key-0123456789"

const good = `{"id":"x","model":"m-2025","choices":[{"index":0,"message":{"role":"assistant","content":"The answer is 4."},"finish_reason":"stop"}],
  "usage":{"prompt_tokens":11,"completion_tokens":5,"total_tokens":16}}`

func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := New(Config{BaseURL: srv.URL + "/v1/", Key: planted})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func user(s string) llm.Request {
	return llm.Request{Model: "m", Messages: []llm.Message{{Role: llm.RoleUser, Content: s}}}
}

func TestRequestBody(t *testing.T) {
	var body map[string]any
	var path, auth string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		path, auth = r.URL.Path, r.Header.Get("Authorization")
		body = nil
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		io.WriteString(w, good)
	})
	zero, p9, seed := 0.0, 0.9, int64(12345678901)
	full := llm.Request{
		Model:       "org/m",
		Messages:    []llm.Message{{Role: llm.RoleSystem, Content: "Be <brief> & exact."}, {Role: llm.RoleUser, Content: "2+2?"}},
		Temperature: &zero, TopP: &p9, MaxTokens: 100, Seed: &seed, Stop: []string{"\n\n"},
		JSON:  &llm.Schema{Name: "v", Schema: json.RawMessage(`{"type":"object","anyOf":[]}`), Strict: true},
		Extra: map[string]any{"top_k": 5, "chat_template_kwargs": map[string]any{"enable_thinking": false}},
	}
	resp, err := c.Complete(context.Background(), full)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"model": "org/m",
		"messages": []any{
			map[string]any{"role": "system", "content": "Be <brief> & exact."},
			map[string]any{"role": "user", "content": "2+2?"},
		},
		"temperature": 0.0, "top_p": 0.9, "max_tokens": 100.0, "seed": 12345678901.0, "stop": []any{"\n\n"},
		"response_format": map[string]any{"type": "json_schema", "json_schema": map[string]any{
			"name": "v", "strict": true, "schema": map[string]any{"type": "object", "anyOf": []any{}}}},
		"top_k": 5.0, "chat_template_kwargs": map[string]any{"enable_thinking": false},
	}
	if d := cmp.Diff(want, body); d != "" {
		t.Errorf("body (-want +got):\n%s", d)
	}
	if path != "/v1/chat/completions" || auth != "Bearer "+planted {
		t.Errorf("path %q, authorization %q", path, auth)
	}
	wantResp := &llm.Response{Text: "The answer is 4.", FinishReason: "stop", Model: "m-2025",
		Usage: llm.Usage{PromptTokens: 11, CompletionTokens: 5}, Raw: resp.Raw}
	if d := cmp.Diff(wantResp, resp); d != "" {
		t.Errorf("response (-want +got):\n%s", d)
	}
	if !json.Valid(resp.Raw) || strings.Contains(string(resp.Raw), "\n") {
		t.Errorf("raw body %s", resp.Raw)
	}

	// What is not set is not sent.
	if _, err := c.Complete(context.Background(), user("x")); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "response_format"} {
		if _, ok := body[f]; ok {
			t.Errorf("%s was sent though it is not set", f)
		}
	}
}

func TestTokensField(t *testing.T) {
	for _, tc := range []struct{ base, model, config, want string }{
		{"", "gpt-4o", "", TokensMax},
		{"", "o3-mini", "", TokensCompletion},
		{"", "gpt-5-mini", "", TokensCompletion},
		{"http://localhost:8000/v1", "gpt-5-mini", "", TokensMax},
		{"http://localhost:8000/v1", "m", TokensCompletion, TokensCompletion},
	} {
		c, err := New(Config{BaseURL: tc.base, TokensField: tc.config})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.tokensField(tc.model); got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		want       llm.Response
	}{
		{"truncated", `{"choices":[{"message":{"content":"so 4 +"},"finish_reason":"length"}]}`,
			llm.Response{Text: "so 4 +", FinishReason: llm.FinishLength}},
		{"filtered", `{"choices":[{"message":{"content":null},"finish_reason":"content_filter"}]}`,
			llm.Response{FinishReason: llm.FinishRefusal}},
		{"refused", `{"choices":[{"message":{"content":null,"refusal":"I cannot."},"finish_reason":"stop"}]}`,
			llm.Response{Text: "I cannot.", FinishReason: llm.FinishRefusal}},
		{"reasoning_content", `{"choices":[{"message":{"content":"4","reasoning_content":"2+2"},"finish_reason":"stop"}]}`,
			llm.Response{Text: "4", Reasoning: "2+2", FinishReason: llm.FinishStop}},
		{"reasoning", `{"choices":[{"message":{"content":"4","reasoning":"2+2"},"finish_reason":"stop"}]}`,
			llm.Response{Text: "4", Reasoning: "2+2", FinishReason: llm.FinishStop}},
		{"parts", `{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}`,
			llm.Response{Text: "ab"}},
		{"parts with thoughts", `{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"2+2"}]},{"type":"text","text":"4"}]},"finish_reason":"stop"}]}`,
			llm.Response{Text: "4", Reasoning: "2+2", FinishReason: "stop"}},
		{"thoughts under both names", `{"choices":[{"message":{"content":"4","reasoning":"2+2","reasoning_content":"2+2"},"finish_reason":"stop"}]}`,
			llm.Response{Text: "4", Reasoning: "2+2", FinishReason: "stop"}},
		{"thoughts counted within", `{"choices":[{"message":{"content":"4"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":9,"total_tokens":14,"completion_tokens_details":{"reasoning_tokens":7}}}`,
			llm.Response{Text: "4", FinishReason: "stop", Usage: llm.Usage{PromptTokens: 5, CompletionTokens: 9, ReasoningTokens: 7}}},
		{"thoughts counted beside", `{"choices":[{"message":{"content":"4"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":14,"completion_tokens_details":{"reasoning_tokens":7}}}`,
			llm.Response{Text: "4", FinishReason: "stop", Usage: llm.Usage{PromptTokens: 5, CompletionTokens: 9, ReasoningTokens: 7}}},
		{"NaN", `{"choices":[{"message":{"content":"NaN \"-Infinity"},"finish_reason":"stop","logprobs":{"content":[{"token":"NaN","logprob":NaN},{"logprob":-Infinity}]}}]}`,
			llm.Response{Text: `NaN "-Infinity`, FinishReason: "stop", Logprobs: json.RawMessage(`{"content":[{"token":"NaN","logprob":null},{"logprob":null}]}`)}},
		{"error null", `{"error":null,"message":"success","choices":[{"error":null,"message":{"content":"4"},"finish_reason":"stop"}]}`,
			llm.Response{Text: "4", FinishReason: "stop"}},
		{"odd field types", `{"created":"today","id":7,"choices":[{"message":{"content":"4"},"finish_reason":"stop"}]}`,
			llm.Response{Text: "4", FinishReason: llm.FinishStop}},
	} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, tc.body) })
		got, err := c.Complete(context.Background(), user("x"))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		got.Raw = nil
		if d := cmp.Diff(tc.want, *got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, d)
		}
	}
}

func say(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestFailures(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		kind    llm.Kind
		text    string
		waits   bool
	}{
		{"429 seconds", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
			io.WriteString(w, `{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}`)
		}, llm.KindRate, "slow down", true},
		{"429 date", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", soon)
			w.WriteHeader(429)
		}, llm.KindRate, "429", true},
		{"no credit", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(429)
			io.WriteString(w, `{"error":{"message":"You exceeded your quota","type":"insufficient_quota","code":"insufficient_quota"}}`)
		}, llm.KindQuota, "exceeded", false},
		{"500 html", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			io.WriteString(w, "<html>oops</html>")
		}, llm.KindServer, "oops", false},
		{"503 with wait", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(503)
		}, llm.KindServer, "503", true},
		{"401 that repeats the key", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(401)
			fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s","code":"invalid_api_key"}}`, planted)
		}, llm.KindAuth, "Incorrect API key provided: [key]", false},
		{"400 text that repeats the key", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, "bad header "+r.Header.Get("Authorization"))
		}, llm.KindInvalid, "bad header Bearer [key]", false},
		{"404", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, llm.KindNotFound, "not found", false},
		{"error with status 200", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"error":{"message":"overloaded","code":529}}`)
		}, llm.KindServer, "overloaded", false},
		{"error text with status 200", say(200, `{"error":"out of slots"}`), llm.KindServer, "out of slots", false},
		{"error beside the answer", say(200, `{"choices":[{"error":{"code":429,"message":"upstream is busy"},"finish_reason":"error","message":{"content":"4"}}],"usage":{"prompt_tokens":2}}`),
			llm.KindRate, "upstream is busy", false},
		{"text", say(400, `{"error":"no such field top_q"}`), llm.KindInvalid, ": no such field top_q", false},
		{"msg", say(422, `{"error":{"msg":"too hot"}}`), llm.KindInvalid, ": too hot", false},
		{"detail", say(400, `{"detail":"context is full"}`), llm.KindInvalid, ": context is full", false},
		{"details", say(422, `{"detail":[{"loc":["body","seed"],"msg":"not an integer"}]}`), llm.KindInvalid, ": seed: not an integer", false},
		{"message", say(400, `{"object":"error","message":"too long","code":40303}`), llm.KindInvalid, ": too long", false},
		{"unknown form", say(400, `{"oops":1}`), llm.KindInvalid, `{"oops":1}`, false},
		{"not JSON", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"choices":[{"mess`) }, llm.KindMalformed, "JSON", false},
		{"no choices", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"choices":[]}`) }, llm.KindMalformed, "choices", false},
		{"empty", func(w http.ResponseWriter, r *http.Request) {}, llm.KindMalformed, "JSON", false},
		{"dropped at once", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, llm.KindNetwork, "EOF", false},
		{"dropped in the body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, good)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, llm.KindNetwork, "broke off", false},
	} {
		c := serve(t, tc.handler)
		_, err := c.Complete(context.Background(), user("x"))
		var e *llm.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v is no *llm.Error", tc.name, err)
			continue
		}
		if e.Kind != tc.kind || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: kind %s, text %q; want %s and %q", tc.name, e.Kind, err, tc.kind, tc.text)
		}
		if (e.RetryAfter > 0) != tc.waits {
			t.Errorf("%s: RetryAfter %s", tc.name, e.RetryAfter)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, e.Err), planted) {
			t.Errorf("%s: the key stands in the error", tc.name)
		}
	}
}

func TestConnectionRefusedHidesTheURL(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	url := srv.URL
	srv.Close()
	c, err := New(Config{BaseURL: url + "/" + planted, Key: planted})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Complete(context.Background(), user("x"))
	if llm.KindOf(err) != llm.KindNetwork || strings.Contains(err.Error(), planted) {
		t.Errorf("%v", err)
	}
}

func TestSlowAnswerEndsWithTheContext(t *testing.T) {
	release := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	tr := llm.NewTransport(llm.Provider{Name: "openai", Client: c}, llm.Options{Timeout: 50 * time.Millisecond, MaxRetries: 1, MinBackoff: time.Millisecond})
	_, err := tr.Complete(context.Background(), user("x"))
	var e *llm.Error
	if !errors.As(err, &e) || e.Kind != llm.KindTimeout || e.Attempts != 2 {
		t.Errorf("%#v", err)
	}
}

// Through the transport: a server with every kind of passing trouble still gives all
// answers, and the memo then needs it no more.
func TestTroubledServer(t *testing.T) {
	tries := map[string]int{}
	lock := make(chan struct{}, 1)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Messages []llm.Message `json:"messages"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
			return
		}
		q := body.Messages[0].Content
		lock <- struct{}{}
		tries[q]++
		n := tries[q]
		<-lock
		switch n {
		case 1:
			w.WriteHeader(503)
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			io.WriteString(w, "{")
		case 4:
			w.Header().Set("Retry-After-Ms", "1")
			w.WriteHeader(429)
		default:
			fmt.Fprintf(w, `{"choices":[{"message":{"content":"re: %s"},"finish_reason":"stop"}]}`, q)
		}
	})
	memo := &llmtest.Memo{}
	for round := range 2 {
		tr := llm.NewTransport(llm.Provider{Name: "openai", Client: c}, llm.Options{
			Concurrency: 4, MaxRetries: 6, MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond, Memo: memo})
		for i := range 10 {
			q := fmt.Sprint("question ", i)
			r, err := tr.Complete(context.Background(), user(q))
			if err != nil || r.Text != "re: "+q {
				t.Fatalf("%v, %v", r, err)
			}
		}
		if s := tr.Stats(); round == 0 && s.Calls != 50 || round == 1 && s.Calls != 0 {
			t.Errorf("round %d: %+v", round, s)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"choices":[{"message":{"content":[1,null,{"text":3}]},"finish_reason":7}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r *llm.Response
		var err error
		alloctest.Within(t, len(b), 100, 1<<20, func() {
			r, err = (&Client{}).parse(t.Context(), &llm.RawAnswer{Status: 200, Body: b})
		})
		if (r == nil) == (err == nil) {
			t.Errorf("%v, %v", r, err)
		}
	})
}

func BenchmarkComplete(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, good) }))
	defer srv.Close()
	c, err := New(Config{BaseURL: srv.URL})
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Complete(context.Background(), user("x")); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
