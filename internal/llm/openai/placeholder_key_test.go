package openai

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
)

// Local servers teach keys such as "none". An answer that holds the same letters
// arrives as it was sent, by a call, as a stream and in a batch.
func TestPlaceholderKeysStayInAnswers(t *testing.T) {
	for _, key := range []string{"none", "null", "EMPTY", "test", planted} {
		words := "We " + key + " every case, and null, none of them EMPTY"
		answer := fmt.Sprintf(`{"model":%q,"choices":[{"message":{"content":%q,"refusal":null,"reasoning":%q},"finish_reason":"stop","logprobs":{"content":[{"token":%q}]}}]}`, key, words, words, key)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			switch {
			case strings.HasSuffix(r.URL.Path, "/content"):
				line, err := json.Marshal(map[string]any{"custom_id": "1", "response": map[string]any{"status_code": 200, "body": json.RawMessage(answer)}})
				if err != nil {
					t.Error(err)
				}
				w.Write(append(line, '\n'))
			case strings.Contains(r.URL.Path, "/batches/"):
				io.WriteString(w, `{"id":"b","status":"completed","output_file_id":"f"}`)
			case strings.Contains(string(b), `"stream":true`):
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprintf(w, "data: %s\n\ndata: [DONE]\n\n", strings.Replace(answer, `"message"`, `"delta"`, 1))
			default:
				io.WriteString(w, answer)
			}
		}))
		for name, ask := range map[string]func(c *Client) (*llm.Response, error){
			"call": func(c *Client) (*llm.Response, error) { return c.Complete(t.Context(), user("q")) },
			"stream": func(c *Client) (*llm.Response, error) {
				c.stream = true
				return c.Complete(t.Context(), user("q"))
			},
			"batch": func(c *Client) (r *llm.Response, err error) {
				err = c.BatchAnswers(context.Background(), "b", func(a llm.BatchAnswer) error {
					r = a.Response
					return a.Err
				})
				return r, err
			},
		} {
			c, err := New(Config{BaseURL: srv.URL + "/v1", Key: key})
			if err != nil {
				t.Fatal(err)
			}
			r, err := ask(c)
			if err != nil {
				t.Errorf("%s, key %s: %v", name, key, err)
				continue
			}
			if r.Text != words || r.Reasoning != words || r.Model != key || strings.Contains(string(r.Raw)+string(r.Logprobs), "[key]") {
				t.Errorf("%s, key %s: got %+v, raw %s", name, key, r, r.Raw)
			}
		}
		srv.Close()
	}
}
