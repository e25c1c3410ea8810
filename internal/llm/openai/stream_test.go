package openai

import (
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

const streamed = `: keep alive

data: {"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}

data: {"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"reasoning_content":"hm"},"finish_reason":null}]}

data: {"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"content":"It is "},"logprobs":{"content":[{"token":"It"}]},"finish_reason":null}]}

data: {"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"content":"4."},"logprobs":{"content":[{"token":"4"},{"token":"."}]},"finish_reason":null}]}

data: {"id":"c1","model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}

data: {"id":"c1","model":"m-1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}

data: [DONE]

`

func streamingClient(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := New(Config{BaseURL: srv.URL, Key: "sk-0123456789", Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStreamedAnswer(t *testing.T) {
	var sent map[string]any
	c := streamingClient(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for piece := range strings.SplitSeq(streamed, "\n\n") { // as the network brings it
			io.WriteString(w, piece+"\n\n")
			w.(http.Flusher).Flush()
		}
	})
	resp, err := c.Complete(t.Context(), llm.Request{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	resp.Raw = nil
	want := &llm.Response{Text: "It is 4.", Reasoning: "hm", FinishReason: llm.FinishLength, Model: "m-1",
		Usage: llm.Usage{PromptTokens: 7, CompletionTokens: 3}, Logprobs: json.RawMessage(`{"content":[{"token":"It"},{"token":"4"},{"token":"."}]}`)}
	if d := cmp.Diff(want, resp); d != "" {
		t.Error(d)
	}
	if sent["stream"] != true || sent["stream_options"].(map[string]any)["include_usage"] != true {
		t.Errorf("sent %v", sent)
	}
}

// A server that does not stream is understood too.
func TestStreamThatIsNone(t *testing.T) {
	c := streamingClient(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]}`)
	})
	if r, err := c.Complete(t.Context(), llm.Request{Model: "m"}); err != nil || r.Text != "whole" {
		t.Errorf("%+v, %v", r, err)
	}
}

// An event may go over several data lines, and NaN stands in its numbers.
func TestStreamedEventOfManyLines(t *testing.T) {
	b, err := gather(strings.NewReader("data: {\"choices\": [\ndata: {\"delta\": {\"content\": \"four {}\"},\ndata:  \"logprobs\": {\"content\": [{\"logprob\": NaN}]}}\n" +
		"data: ]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\ndata: [DONE]\n"))
	if err != nil || !strings.Contains(string(b), `"content":"four {}"`) || !strings.Contains(string(b), `"logprob":null`) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestStreamedFailures(t *testing.T) {
	events := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, body)
		}
	}
	refuse := func(after string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(429)
			io.WriteString(w, `{"error":{"message":"slow down"}}`)
		}
	}
	for name, tc := range map[string]struct {
		h          http.HandlerFunc
		kind       llm.Kind
		least, top time.Duration // of RetryAfter
	}{
		"retry after seconds":      {refuse("7"), llm.KindRate, 7 * time.Second, 7 * time.Second},
		"retry after a date":       {refuse(time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), llm.KindRate, 50 * time.Minute, time.Hour},
		"cut":                      {events(streamed[:len(streamed)/2]), llm.KindNetwork, 0, 0},
		"nothing":                  {events(""), llm.KindNetwork, 0, 0},
		"no finish":                {events("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: [DONE]\n\n"), llm.KindNetwork, 0, 0},
		"half an event at the end": {events("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"usage\":"), llm.KindNetwork, 0, 0},
		"half an event":            {events("data: {\"choices\":[\n\n" + streamed), llm.KindNetwork, 0, 0},
		"error in choice":          {events("data: {\"choices\":[{\"delta\":{\"content\":\"4\"},\"finish_reason\":\"error\",\"error\":{\"code\":502,\"message\":\"lost\"}}]}\n\n"), llm.KindServer, 0, 0},
		"error inside":             {events("data: {\"error\":{\"message\":\"overloaded\"}}\n\n"), llm.KindServer, 0, 0},
		"rate inside":              {events("data: {\"error\":{\"message\":\"slow\",\"code\":429}}\n\n"), llm.KindRate, 0, 0},
	} {
		_, err := streamingClient(t, tc.h).Complete(t.Context(), llm.Request{Model: "m"})
		var e *llm.Error
		if !errors.As(err, &e) || e.Kind != tc.kind || e.RetryAfter < tc.least || e.RetryAfter > tc.top {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func FuzzGather(f *testing.F) {
	f.Add(streamed)
	f.Add("data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n")
	f.Fuzz(func(t *testing.T, s string) {
		var b []byte
		var err error
		alloctest.Within(t, len(s), 200, 1<<20, func() { b, err = gather(strings.NewReader(s)) })
		if err != nil {
			return
		}
		if _, err := (&Client{}).parse(t.Context(), &llm.RawAnswer{Status: 200, Body: b}); err != nil {
			t.Errorf("%q was gathered to %s: %v", s, b, err)
		}
	})
}

// An event that may end at every line, and never does, takes no hours.
func TestGatherEndsEvents(t *testing.T) {
	if testing.Short() {
		t.Skip("a second, and ten under the race detector")
	}
	text := "data: {\"a\":[{}\n" + strings.Repeat("data: ,{}\n", 400_000)
	if _, err := gather(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "goes on and on") {
		t.Error(err)
	}
}
