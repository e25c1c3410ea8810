package anthropic

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/llm"
)

// canned is a server that answers everything with one body.
type canned []byte

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(c)), Request: r}, nil
}

func talk(t testing.TB, body []byte) *Client {
	c, err := New(Config{BaseURL: "http://x.invalid", Key: planted, HTTP: &http.Client{Transport: canned(body)}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Whatever a server sends is an answer or an error of a known kind, never both.
func FuzzParse(f *testing.F) {
	for _, s := range []string{fine, "", "{}", `{"type":"error","error":{"type":"overloaded_error","message":"x"}}`, `{"content":[null,1,{"type":"text","text":[1]}],"usage":{"input_tokens":1e999}}`, strings.Repeat("[", 20_000), `{"content":` + strings.Repeat(`{"a":`, 9000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		alloctest.Within(t, len(b), 2000, 4<<20, func() {
			r, err := talk(t, b).Complete(t.Context(), llm.Request{Model: "m", MaxTokens: 1, Messages: []llm.Message{{Role: llm.RoleUser, Content: "q"}}})
			if (r == nil) == (err == nil) || err != nil && strings.Contains(err.Error(), planted) {
				t.Errorf("%q: %v, %v", b, r, err)
			}
			_, _ = talk(t, b).BatchState(t.Context(), "id") // must not panic
			var msg anthropic.Message
			if json.Unmarshal(b, &msg) == nil {
				if r, err := talk(t, b).response(&msg); (r == nil) == (err == nil) {
					t.Errorf("%q: %v, %v", b, r, err)
				}
			}
		})
	})
}

// The same of the lines of a batch's results.
func FuzzBatchAnswers(f *testing.F) {
	line := func(id, result string) string { return `{"custom_id":"` + id + `","result":` + result + "}\n" }
	f.Add([]byte(line("a_x", `{"type":"succeeded","message":`+fine+`}`) + line("b", `{"type":"errored","error":{"type":"error","error":{"type":"invalid_request_error","message":"m"}}}`)))
	f.Add([]byte(line("", `{"type":"expired"}`) + line("_", `{"type":"succeeded","message":null}`) + "\n\n{"))
	f.Add([]byte(strings.Repeat("[", 20_000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		alloctest.Within(t, len(b), 2000, 8<<20, func() {
			n := 0
			_ = talk(t, b).BatchAnswers(t.Context(), "id", func(a llm.BatchAnswer) error {
				if n++; (a.Response == nil) == (a.Err == nil) {
					t.Errorf("%q: %+v", b, a)
				}
				return nil
			})
			if n > bytes.Count(b, []byte("\n"))+1 {
				t.Errorf("%d answers of %q", n, b)
			}
		})
	})
}

var blanks = bytes.Repeat([]byte(" "), 64<<10)

// endless is a body that never ends and has no line end.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, blanks)
	e.read += int64(n)
	return n, nil
}

func (e *endless) Close() error { return nil }

func (e *endless) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: e, Request: r}, nil
}

// A server that goes on and on, as one that was compressed a thousand to one does, is cut.
func TestEndlessAnswers(t *testing.T) {
	req := llm.Request{Model: "m", MaxTokens: 1, Messages: []llm.Message{{Role: llm.RoleUser, Content: "q"}}}
	for title, ask := range map[string]func(*Client) error{
		"an answer": func(c *Client) error { _, err := c.Complete(t.Context(), req); return err },
		"a state":   func(c *Client) error { _, err := c.BatchState(t.Context(), "id"); return err },
		"a batch": func(c *Client) error {
			return c.BatchAnswers(t.Context(), "id", func(llm.BatchAnswer) error { return nil })
		},
	} {
		e := &endless{}
		c, err := New(Config{BaseURL: "http://x.invalid", Key: planted, HTTP: &http.Client{Transport: e}})
		if err != nil {
			t.Fatal(err)
		}
		alloctest.Within(t, 0, 0, 8*llm.MaxAnswer, func() { err = ask(c) })
		if err == nil || e.read > 2*llm.MaxAnswer {
			t.Errorf("%s: %d bytes read, %v", title, e.read, err)
		}
	}
}

// A list of batches without an end is left.
func TestEndlessList(t *testing.T) {
	c := talk(t, []byte(`{"has_more":true,"last_id":"x","data":[{"id":"x","created_at":"2030-01-01T00:00:00Z","processing_status":"in_progress"}]}`))
	if _, _, err := c.FindBatch(t.Context(), "name", time.Time{}); !errors.Is(err, llm.ErrPages) {
		t.Error(err)
	}
}

// An answer that is null is an error everywhere.
func TestNullAnswers(t *testing.T) {
	c := talk(t, []byte("null"))
	for title, ask := range map[string]func() error{
		"a message": func() error {
			_, err := c.Complete(t.Context(), llm.Request{Model: "m", Messages: []llm.Message{{Role: llm.RoleUser, Content: "q"}}})
			return err
		},
		"a state":  func() error { _, err := c.BatchState(t.Context(), "id"); return err },
		"a list":   func() error { _, _, err := c.FindBatch(t.Context(), "name", time.Time{}); return err },
		"a submit": func() error { _, err := c.SubmitBatch(t.Context(), "name", "m", nil); return err },
	} {
		if err := ask(); llm.KindOf(err) != llm.KindMalformed {
			t.Errorf("%s: %v", title, err)
		}
	}
}
