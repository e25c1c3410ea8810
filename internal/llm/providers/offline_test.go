package providers

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// With OfflineEnv no provider is called, whatever is configured, and remembered
// answers come out as ever. A provider that is added is covered by itself.
func TestOffline(t *testing.T) {
	for _, spec := range Specs() {
		name := spec.Name
		if spec.URL == "" { // neither has a server; see TestLocal
			continue
		}
		t.Run(name, func(t *testing.T) {
			calls := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls++
				sayOK(w)
			}))
			defer srv.Close()
			memo := &llmtest.Memo{}
			link := Fallback{Model: name + "/m", BaseURL: srv.URL, Concurrency: 1}
			online, err := New(t.Context(), one(link), Services{Getenv: withKey, Memo: memo})
			if err != nil {
				t.Fatal(err)
			}
			ask := func(c *Caller, text string) (string, error) {
				r, err := c.Complete(context.Background(), llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Content: text}}})
				if err != nil {
					return "", err
				}
				return r.Text, nil
			}
			if _, err := ask(online, "known"); err != nil {
				t.Fatal(err)
			}
			s := one(link)
			gone := filepath.Join(t.TempDir(), "gone")
			s.KeyFile, s.PriceFile, s.Limits, s.Mode = gone, gone, llm.Limits{USD: 1}, ModeBatch
			off, err := New(t.Context(), s, Services{Memo: memo, Refresh: "anew", Getenv: func(name string) string {
				if name == OfflineEnv {
					return "1"
				}
				return ""
			}})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := ask(off, "known"); got != "ok" || err != nil {
				t.Errorf("a remembered answer is %q, %v", got, err)
			}
			before := calls
			_, err = ask(off, "unknown "+strings.Repeat("x", 200))
			if llm.KindOf(err) != llm.KindUnrecorded || !strings.Contains(err.Error(), `"unknown xxx`) || !strings.Contains(err.Error(), `..."`) {
				t.Errorf("a missing answer: %v", err)
			}
			if calls != before {
				t.Error("the provider was called")
			}
		})
	}
}

func TestTeachers(t *testing.T) {
	o := Options{Model: "openai/a", Fallback: []Fallback{{Model: "gemini/b"}, {Model: "openai/c", BaseURL: "http://lab/v1"}, {Model: "openai/d", BaseURL: "http://lab/v1", Endpoint: "lab"}, {Model: "openai/a"}}}
	got := o.Teachers()
	if len(got) != 4 || got[0].Endpoint == "" || got[1].Endpoint == got[0].Endpoint || got[2] != (Teacher{"openai/c", "http://lab/v1"}) || got[3] != (Teacher{"openai/d", "lab"}) {
		t.Errorf("%+v", got)
	}
	if got := (Options{Model: llm.Simulated}).Teachers(); len(got) != 0 {
		t.Errorf("the simulated model is listed: %+v", got)
	}
}
