package gemini

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/llm"
)

// canned is a server that answers everything with one body.
type canned []byte

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(c)), Request: r}, nil
}

// Whatever a server says of a batch is answers and errors, and none is both.
func FuzzBatchAnswers(f *testing.F) {
	f.Add([]byte(`{"name":"batches/x","metadata":{"state":"BATCH_STATE_SUCCEEDED","output":{"inlinedResponses":{"inlinedResponses":[{"metadata":{"key":"a"},"response":` + fine + `},{"metadata":{"key":"b"},"error":{"code":3,"message":"m"}},null,1]}}}}`))
	f.Add([]byte(`{"response":{"inlinedResponses":{"inlinedResponses":[{}]}}}`))
	f.Add([]byte(strings.Repeat("[", 20_000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := New(Config{BaseURL: "http://x.invalid", Key: "planted-0123456789", HTTP: &http.Client{Transport: canned(b)}})
		if err != nil {
			t.Fatal(err)
		}
		alloctest.Within(t, len(b), 2000, 4<<20, func() {
			_ = c.BatchAnswers(t.Context(), "batches/x", func(a llm.BatchAnswer) error {
				if (a.Response == nil) == (a.Err == nil) {
					t.Errorf("%q: %+v", b, a)
				}
				return nil
			})
			_, _ = c.BatchState(t.Context(), "batches/x")
		})
	})
}

// The SDK panics on fields of other types than its own. What can be read without it is read.
func TestFieldsOfOtherTypes(t *testing.T) {
	body := `{"candidates":[{"content":{"parts":[{"text":"4"}]},"finishReason":"STOP"},7]}`
	c, err := New(Config{BaseURL: "http://x.invalid", HTTP: &http.Client{Transport: canned(body)}})
	if err != nil {
		t.Fatal(err)
	}
	req := llm.Request{Model: "m", Messages: []llm.Message{{Role: llm.RoleUser, Content: "q"}}}
	if got, err := c.Complete(t.Context(), req); err != nil || got.Text != "4" {
		t.Errorf("%+v, %v", got, err)
	}
}

var blanks = bytes.Repeat([]byte(" "), 64<<10)

// endless is a body that never ends.
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
	e := &endless{}
	c, err := New(Config{BaseURL: "http://x.invalid", HTTP: &http.Client{Transport: e}})
	if err != nil {
		t.Fatal(err)
	}
	req := llm.Request{Model: "m", Messages: []llm.Message{{Role: llm.RoleUser, Content: "q"}}}
	alloctest.Within(t, 0, 0, 16*llm.MaxAnswer, func() { _, err = c.Complete(t.Context(), req) })
	if err == nil || e.read > 2*llm.MaxAnswer {
		t.Errorf("%d bytes read, %v", e.read, err)
	}
}

// A list of batches without an end is left.
func TestEndlessList(t *testing.T) {
	c, err := New(Config{BaseURL: "http://x.invalid", HTTP: &http.Client{Transport: canned(`{"nextPageToken":"x"}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.FindBatch(t.Context(), "name", time.Time{}); !errors.Is(err, llm.ErrPages) {
		t.Error(err)
	}
}
