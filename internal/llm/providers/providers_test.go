package providers

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
	"github.com/distillflow/distillflow/internal/llm/simulated"
)

const planted = "sk-planted-key-0123456789"

func noEnv(string) string { return "" }

func withKey(name string) string {
	if slices.ContainsFunc(Specs(), func(s Spec) bool { return slices.Contains(s.KeyEnv, name) }) {
		return planted
	}
	return ""
}

func one(f Fallback) Settings { return Settings{Links: []Fallback{f}} }

func TestNewErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		s    Settings
		env  func(string) string
		want string
	}{
		{"no provider", one(Fallback{Model: "gpt-4o"}), noEnv, "does not name a model"},
		{"unknown provider", one(Fallback{Model: "opnai/gpt-4o"}), noEnv, "known: anthropic, gemini, local, openai, simulated"},
		{"no key", one(Fallback{Model: "openai/gpt-4o"}), noEnv, "OPENAI_API_KEY"},
		{"named key missing", one(Fallback{Model: "openai/m", BaseURL: "http://localhost:1", APIKeyEnv: "OTHER"}), withKey, "OTHER"},
		{"key file missing", Settings{Links: []Fallback{{Model: "openai/m"}}, KeyFile: "no-such-file"}, withKey, "api_key_file"},
		{"bad URL", one(Fallback{Model: "openai/m", BaseURL: "localhost:8000"}), withKey, "base_url"},
		{"secret in URL", one(Fallback{Model: "openai/m", BaseURL: "http://u:" + planted + "@h/v1"}), withKey, "user name"},
		{"dollars without a price", Settings{Links: []Fallback{{Model: "openai/m"}}, Limits: llm.Limits{USD: 1}}, withKey, "price_input"},
		{"bad share", Settings{Links: []Fallback{{Model: "simulated"}}, Simulated: simulated.Options{Truncated: 2}}, noEnv, "truncated"},
	} {
		_, err := New(t.Context(), tc.s, Services{Getenv: tc.env})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", tc.name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), planted) {
			t.Errorf("%s: the key stands in the error: %v", tc.name, err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("  "+planted+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var auth string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		auth = r.Header.Get("Authorization")
		io.WriteString(w, `{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}]}`)
	}))
	defer srv.Close()
	c, err := New(t.Context(), Settings{Links: []Fallback{{Model: "openai/m", BaseURL: srv.URL}}, KeyFile: file}, Services{Getenv: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Complete(context.Background(), llm.Request{}); err != nil {
		t.Fatal(err)
	}
	if auth != "Bearer "+planted {
		t.Errorf("Authorization is %q", auth)
	}
}

// sayOK answers a call of any provider.
func sayOK(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}],`+
		`"candidates":[{"content":{"parts":[{"text":"ok"}]},"finishReason":"STOP"}],`+
		`"type":"message","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn"}`)
}

// Only the simulated provider may see a hint. Every other provider is pointed at a
// server that records what it receives; a provider added later is covered by itself.
func TestNoProviderReceivesTheHint(t *testing.T) {
	hint := &llm.Hint{Task: "hinttask", Style: "hintstyle", Question: "hintquestion", Gold: "hintgold",
		Solution: "hintsolution", Response: "hintresponse", Choices: []llm.Choice{{Label: "hintlabel", Text: "hinttext"}}}
	for _, spec := range Specs() {
		name := spec.Name
		if spec.URL == "" { // neither has a server; see TestLocal
			continue
		}
		t.Run(name, func(t *testing.T) {
			var seen strings.Builder
			calls := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls++
				b, _ := io.ReadAll(r.Body)
				seen.Write(b)
				seen.WriteString(r.URL.String())
				h, _ := json.Marshal(r.Header)
				seen.Write(h)
				sayOK(w)
			}))
			defer srv.Close()
			memo := &llmtest.Memo{}
			c, err := New(t.Context(), one(Fallback{Model: name + "/m", BaseURL: srv.URL}), Services{Getenv: withKey, Memo: memo})
			if err != nil {
				t.Fatal(err)
			}
			ask := func(h *llm.Hint) {
				req := llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Content: "hello"}}, Hint: h}
				if _, err := c.Complete(context.Background(), req); err != nil {
					t.Fatal(err)
				}
			}
			ask(hint)
			if !strings.Contains(seen.String(), "hello") {
				t.Fatal("the server saw no request")
			}
			if strings.Contains(seen.String(), "hint") {
				t.Errorf("the hint reached the server: %s", seen.String())
			}
			ask(nil) // same key: the hint is no part of it
			if calls != 1 {
				t.Errorf("%d calls; the hint changed the memo key", calls)
			}
		})
	}
}

func TestSimulatedReceivesTheHint(t *testing.T) {
	memo := &llmtest.Memo{}
	c, err := New(t.Context(), Settings{Links: []Fallback{{Model: "simulated"}}, Simulated: simulated.Options{
		Accuracy: map[string]float64{"cot": 1},
	}}, Services{Getenv: noEnv, Memo: memo})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Complete(context.Background(), llm.Request{Hint: &llm.Hint{Style: "cot", Gold: "271"}})
	if err != nil || !strings.Contains(r.Text, "271") {
		t.Errorf("%v, %v", r, err)
	}
	if memo.Len() != 0 {
		t.Error("a simulated answer went into the memo of paid calls")
	}
}

// parrot is a client of a provider of its own.
type parrot struct{ key string }

func (p parrot) Complete(_ context.Context, r llm.Request) (*llm.Response, error) {
	return &llm.Response{Text: r.Messages[0].Content + " " + r.Model + " " + p.key, FinishReason: llm.FinishStop}, nil
}

// A new provider is a client and one line in the table: recipes may name it, its key is
// looked for, and its server stands in memo keys and locks.
func TestANewProviderIsOneLine(t *testing.T) {
	old := specs
	t.Cleanup(func() { specs = old })
	specs = append(Specs(), Spec{Name: "parrot", URL: "https://parrot.example", KeyEnv: []string{"PARROT_KEY"},
		New: func(_ context.Context, l Link) (llm.Provider, error) { return llm.Provider{Client: parrot{l.Key}}, nil }})

	o := Options{Model: "parrot/ara", Fallback: []Fallback{{Model: "parrot/kea", BaseURL: "http://here"}}}
	if err := o.Validate(10, ""); err != nil {
		t.Error(err)
	}
	want := []Teacher{{"parrot/ara", "https://parrot.example"}, {"parrot/kea", "http://here"}}
	if got := o.Teachers(); !slices.Equal(got, want) {
		t.Errorf("the lock gets %v", got)
	}
	if _, err := New(t.Context(), o.Settings("", ""), Services{Getenv: noEnv}); err == nil || !strings.Contains(err.Error(), "PARROT_KEY") {
		t.Errorf("without a key: %v", err)
	}
	c, err := New(t.Context(), o.Settings("", ""), Services{Getenv: withKey, Memo: &llmtest.Memo{}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := ask(t, c, "hello"); err != nil || r.Text != "hello ara "+planted || r.Provider != "parrot/ara" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := New(t.Context(), one(Fallback{Model: "parot/ara"}), Services{}); err == nil || !strings.Contains(err.Error(), "openai, parrot, simulated") {
		t.Errorf("a name that is wrong: %v", err)
	}
}
