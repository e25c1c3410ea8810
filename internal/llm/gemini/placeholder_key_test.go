package gemini

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
)

// An answer that holds the same letters as a placeholder key arrives as it was sent.
func TestPlaceholderKeysStayInAnswers(t *testing.T) {
	for _, key := range []string{"none", "null", "EMPTY", "test", planted} {
		words := "We " + key + " every case, and null, none of them EMPTY"
		answer := fmt.Sprintf(`{"modelVersion":%q,"x":null,"candidates":[{"content":{"parts":[{"text":%q}]},"finishReason":"STOP"}]}`, key, words)
		c := batchClient(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" {
				answer := `{"metadata":{"output":{"inlinedResponses":{"inlinedResponses":[{"metadata":{"key":"1"},"response":` + answer + `}]}}}}`
				io.WriteString(w, answer)
				return
			}
			io.WriteString(w, answer)
		})
		c.key = key
		for name, ask := range map[string]func() (*llm.Response, error){
			"call": func() (*llm.Response, error) {
				return c.Complete(t.Context(), llm.Request{Model: "m", Messages: []llm.Message{{Role: llm.RoleUser, Content: "q"}}})
			},
			"batch": func() (r *llm.Response, err error) {
				err = c.BatchAnswers(t.Context(), "batches/b", func(a llm.BatchAnswer) error {
					r = a.Response
					return a.Err
				})
				return r, err
			},
		} {
			r, err := ask()
			if err != nil {
				t.Errorf("%s, key %s: %v", name, key, err)
				continue
			}
			if r.Text != words || r.Model != key || strings.Contains(string(r.Raw), "[key]") {
				t.Errorf("%s, key %s: got %+v, raw %s", name, key, r, r.Raw)
			}
		}
	}
}
