package providers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
)

func TestCancelBatch(t *testing.T) {
	var asked []string
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")+r.Header.Get("X-Goog-Api-Key"))
		w.WriteHeader(status)
		fmt.Fprint(w, `{"id": "b1", "status": "cancelling"}`)
	}))
	defer srv.Close()
	env := func(name string) string {
		if strings.HasSuffix(name, "_API_KEY") {
			return "planted"
		}
		return ""
	}
	for name, c := range map[string]struct {
		batch  llm.OpenBatch
		server Fallback
		status int
		want   string // of the request
		err    string
	}{
		"openai":                         {batch: llm.OpenBatch{ID: "b1", Provider: "openai", Model: "m", Endpoint: srv.URL}, want: "POST /batches/b1/cancel Bearer planted"},
		"gemini":                         {batch: llm.OpenBatch{ID: "batches/b2", Provider: "gemini", Model: "m", Endpoint: srv.URL}, want: "POST /v1beta/batches/b2:cancel planted"},
		"a named server":                 {batch: llm.OpenBatch{ID: "b1", Provider: "openai", Model: "m", Endpoint: "lab"}, server: Fallback{BaseURL: srv.URL}, want: "POST /batches/b1/cancel Bearer planted"},
		"a named server that is unknown": {batch: llm.OpenBatch{ID: "b1", Provider: "openai", Model: "m", Endpoint: "lab"}, err: `"lab": say where that is with --base-url`},
		"refused":                        {batch: llm.OpenBatch{ID: "b1", Provider: "openai", Model: "m", Endpoint: srv.URL}, status: 404, err: "404"},
		"gone":                           {batch: llm.OpenBatch{ID: "b1", Provider: "nobody", Model: "m", Endpoint: srv.URL}, err: "no provider"},
		"no batches":                     {batch: llm.OpenBatch{ID: "b1", Provider: "simulated", Model: "m", Endpoint: srv.URL}, err: "no batch API"},
	} {
		t.Run(name, func(t *testing.T) {
			asked, status = nil, http.StatusOK
			if c.status != 0 {
				status = c.status
			}
			err := CancelBatch(t.Context(), c.batch, c.server, "", env)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if got := strings.Join(asked, "; "); c.want != "" && got != c.want {
				t.Errorf("asked %q, want %q", got, c.want)
			}
		})
	}
}
