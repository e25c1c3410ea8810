package providers

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/anthropic"
	"github.com/distillflow/distillflow/internal/llm/gemini"
	"github.com/distillflow/distillflow/internal/llm/openai"
)

// A server that sends requests on gets no key and no prompt to another one. The standard
// client would take a port for the same host, and knows one header of keys only.
func TestRedirectsCarryNoKeys(t *testing.T) {
	const key = "sk-planted-0123456789"
	for _, status := range []int{301, 302, 303, 307, 308} {
		reached := 0
		stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			reached++
			body, _ := io.ReadAll(r.Body)
			t.Errorf("status %d: a request reached the other server: %s %s %v %s", status, r.Method, r.URL, r.Header, body)
		}))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, stranger.URL+r.URL.Path, status)
		}))
		for name, make := range map[string]func() (llm.Client, error){
			"openai":    func() (llm.Client, error) { return openai.New(openai.Config{BaseURL: server.URL, Key: key}) },
			"gemini":    func() (llm.Client, error) { return gemini.New(gemini.Config{BaseURL: server.URL, Key: key}) },
			"anthropic": func() (llm.Client, error) { return anthropic.New(anthropic.Config{BaseURL: server.URL, Key: key}) },
			"openai, with a client": func() (llm.Client, error) {
				return openai.New(openai.Config{BaseURL: server.URL, Key: key, HTTP: &http.Client{}})
			},
		} {
			c, err := make()
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Complete(t.Context(), llm.Request{Model: "m", MaxTokens: 5, Messages: []llm.Message{{Role: llm.RoleUser, Content: "x"}}})
			if err == nil || strings.Contains(err.Error(), key) || !llm.KindOf(err).Fatal() {
				t.Errorf("%s, status %d: error %v of kind %s, want one that ends the run", name, status, err, llm.KindOf(err))
			}
		}
		server.Close()
		stranger.Close()
		if reached > 0 {
			break
		}
	}
}

// A download may be sent on, without the key.
func TestRedirectedDownloadsCarryNoKeys(t *testing.T) {
	var got http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stay" {
			got = r.Header
			return
		}
		http.Redirect(w, r, map[string]string{"/away": other.URL, "/here": "/stay"}[r.URL.Path], http.StatusFound)
	}))
	defer server.Close()
	headers := []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key"}
	for path, kept := range map[string]bool{"/away": false, "/here": true} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			req.Header.Set(h, "sk-planted")
		}
		res, err := llm.HTTPClient(nil).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		for _, h := range headers {
			if (got.Get(h) != "") != kept {
				t.Errorf("%s: header %s is %q", path, h, got.Get(h))
			}
		}
	}
}
