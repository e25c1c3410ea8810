package providers

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/distillflow/distillflow/internal/llm"
)

// A network that is slow, cuts connections or ends answers in the middle costs retries and
// nothing else; and the budget counts as possibly billed what it cut.
func TestBadNetwork(t *testing.T) {
	for name, tc := range map[string]struct {
		toxic   string
		kind    llm.Kind
		timeout time.Duration
	}{
		"slow":      {`{"name":"t","type":"latency","attributes":{"latency":30,"jitter":20}}`, "", 10 * time.Second},
		"reset":     {`{"name":"t","type":"reset_peer","toxicity":0.5,"attributes":{"timeout":0}}`, llm.KindNetwork, 10 * time.Second},
		"cut":       {`{"name":"t","type":"limit_data","toxicity":0.5,"attributes":{"bytes":150}}`, llm.KindNetwork, 10 * time.Second},
		"in slices": {`{"name":"t","type":"slicer","attributes":{"average_size":20,"size_variation":10,"delay":100}}`, "", 10 * time.Second},
		"silent":    {`{"name":"t","type":"latency","toxicity":0.2,"attributes":{"latency":60000}}`, llm.KindTimeout, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream, calls := server(t, func(p string, _ int) (int, string, string) { return 200, "re: " + p + strings.Repeat(".", 200), "stop" })
			u, err := url.Parse(upstream)
			if err != nil {
				t.Fatal(err)
			}
			api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
			proxy := toxiproxy.NewProxy(api, "p", "127.0.0.1:0", u.Host)
			if err := proxy.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(proxy.Stop)
			if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(tc.toxic)); err != nil {
				t.Fatal(err)
			}
			s := Settings{Links: []Fallback{{Model: "openai/m", BaseURL: "http://" + proxy.Listen + "/v1", Concurrency: 4}},
				MaxRetries: 30, MinBackoff: time.Millisecond, Timeout: tc.timeout}
			memo := &llm.MapMemo{}
			c, err := New(t.Context(), s, Services{Memo: memo})
			if err != nil {
				t.Fatal(err)
			}
			const n = 25
			for i := range n {
				r, err := ask(t, c, fmt.Sprint(i))
				if err != nil {
					t.Fatalf("%d: %v", i, err)
				}
				if want := "re: " + fmt.Sprint(i) + strings.Repeat(".", 200); r.Text != want {
					t.Errorf("%d: %q", i, r.Text)
				}
			}
			st := c.Stats()
			if tc.kind != "" && st.Errors[tc.kind] == 0 {
				t.Errorf("errors %v, want some %s", st.Errors, tc.kind)
			}
			if tc.kind == "" && st.Calls != n {
				t.Errorf("%d calls: %+v", st.Calls, st)
			}
			if memo.Len() != n || calls() > st.Calls {
				t.Errorf("%d kept, the server saw %d of %d calls", memo.Len(), calls(), st.Calls)
			}
			// Fifteen tokens an answer; what was cut counts with its worst case.
			if got := c.Spent(); got.Requests != st.Calls || got.Tokens < n*15 || tc.kind == "" && got.Tokens != n*15 || tc.kind != "" && got.Tokens == n*15 {
				t.Errorf("%+v spent on %d calls, %v", got, st.Calls, st.Errors)
			}
		})
	}
}
