package providers

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// Each link is asked to think in its provider's words, and the answer of a model that was
// asked to think is another one than that of a model that was not.
func TestThinkingReachesTheServer(t *testing.T) {
	var bodies []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(b))
		if strings.Contains(r.URL.Path, "chat/completions") {
			w.WriteHeader(404)
			return
		}
		sayOK(w)
	}))
	defer srv.Close()
	memo := &llmtest.Memo{}
	for _, th := range []llm.Thinking{{}, {Effort: "low"}, {Effort: "low"}} {
		c, err := New(t.Context(), Settings{Thinking: th, Links: []Fallback{{Model: "openai/m", BaseURL: srv.URL}, {Model: "gemini/gemini-2.5-flash", BaseURL: srv.URL}}},
			Services{Getenv: withKey, Memo: memo})
		if err != nil {
			t.Fatal(err)
		}
		if x, err := c.Expect(llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Content: "p"}}, MaxTokens: 10}); err != nil || x.Remembered != (len(bodies) == 4) {
			t.Errorf("%+v expects %+v, %v", th, x, err)
		}
		if _, err := ask(t, c, "p"); err != nil {
			t.Error(err)
		}
	}
	if len(bodies) != 4 || strings.Contains(bodies[0]+bodies[1], "think") || !strings.Contains(bodies[2], `"reasoning_effort":"low"`) || !strings.Contains(bodies[3], `"thinkingBudget":1024`) {
		t.Errorf("sent %q", bodies)
	}
}
