package openai

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

// batchFile is a server whose only batch has these bytes as its answers.
type batchFile []byte

func (c batchFile) RoundTrip(r *http.Request) (*http.Response, error) {
	body := []byte(`{"output_file_id":"f"}`)
	if strings.HasSuffix(r.URL.Path, "/content") {
		body = c
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

// Whatever stands in a batch's file is answers and errors, and none is both.
func FuzzBatchAnswers(f *testing.F) {
	f.Add([]byte(`{"custom_id":"a","response":{"status_code":200,"body":` + good + "}}\n" + `{"custom_id":"b","error":{"message":"x"}}` + "\n\n" + `{"custom_id":"c","response":{"status_code":400,"body":{"error":{"message":"m","code":1}}}}`))
	f.Add([]byte("{\n{}\n[]\n"))
	f.Add([]byte(strings.Repeat("[", 20_000)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := New(Config{BaseURL: "http://x.invalid/v1", HTTP: &http.Client{Transport: batchFile(b)}})
		if err != nil {
			t.Fatal(err)
		}
		alloctest.Within(t, len(b), 200, 1<<20, func() {
			n := 0
			_ = c.BatchAnswers(t.Context(), "id", func(a llm.BatchAnswer) error {
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
	if strings.HasSuffix(r.URL.Path, "/batches/id") {
		return batchFile(nil).RoundTrip(r)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: e, Request: r}, nil
}

// A server that goes on and on, as one that was compressed a thousand to one does, is cut.
func TestEndlessAnswers(t *testing.T) {
	req := llm.Request{Model: "m", Messages: []llm.Message{{Role: llm.RoleUser, Content: "q"}}}
	for title, ask := range map[string]func(*Client) error{
		"an answer": func(c *Client) error { _, err := c.Complete(t.Context(), req); return err },
		"a stream":  func(c *Client) error { c.stream = true; _, err := c.Complete(t.Context(), req); return err },
		"a batch": func(c *Client) error {
			return c.BatchAnswers(t.Context(), "id", func(llm.BatchAnswer) error { return nil })
		},
	} {
		e := &endless{}
		c, err := New(Config{BaseURL: "http://x.invalid/v1", HTTP: &http.Client{Transport: e}})
		if err != nil {
			t.Fatal(err)
		}
		alloctest.Within(t, 0, 0, 8*llm.MaxAnswer, func() { err = ask(c) })
		if err == nil || e.read > 2*llm.MaxAnswer {
			t.Errorf("%s: %d bytes read, %v", title, e.read, err)
		}
	}
}

// canned is a server that answers everything with one body.
type canned []byte

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(c)), Request: r}, nil
}

// A list of batches without an end is left.
func TestEndlessList(t *testing.T) {
	c, err := New(Config{BaseURL: "http://x.invalid/v1", HTTP: &http.Client{Transport: canned(`{"has_more":true,"data":[{"id":"x"}]}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.FindBatch(t.Context(), "name", time.Time{}); !errors.Is(err, llm.ErrPages) {
		t.Error(err)
	}
}
