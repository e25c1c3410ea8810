package providers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// server is an OpenAI-compatible one that answers as told and counts.
func server(t *testing.T, answer func(prompt string, call int) (status int, text, finish string)) (url string, calls func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Messages []llm.Message }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		n++
		call := n
		mu.Unlock()
		status, text, finish := answer(body.Messages[len(body.Messages)-1].Content, call)
		w.WriteHeader(status)
		if status != 200 {
			fmt.Fprintf(w, `{"error":{"message":%q}}`, text)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"message": map[string]any{"content": text}, "finish_reason": finish}},
			"usage": map[string]any{"prompt_tokens": 10, "completion_tokens": 5}})
	}))
	srv.Config.SetKeepAlivesEnabled(false) // a broken network breaks single connections
	t.Cleanup(srv.Close)
	return srv.URL, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func always(status int, text string) func(string, int) (int, string, string) {
	return func(string, int) (int, string, string) { return status, text, "stop" }
}

func ask(t *testing.T, c *Caller, prompt string) (*llm.Response, error) {
	t.Helper()
	return c.Complete(t.Context(), llm.Request{Messages: []llm.Message{{Role: llm.RoleUser, Content: prompt}}, MaxTokens: 10})
}

func TestFallback(t *testing.T) {
	sick := true
	first, firstCalls := server(t, func(p string, _ int) (int, string, string) {
		switch {
		case p == "odd":
			return 400, "I cannot", ""
		case sick:
			return 401, "no", ""
		}
		return 200, "first", "stop"
	})
	second, secondCalls := server(t, always(200, "second"))
	s := Settings{Links: []Fallback{{Model: "openai/a", BaseURL: first}, {Model: "openai/b", BaseURL: second}}}
	memo := &llmtest.Memo{}
	var told []string
	open := func() *Caller {
		c, err := New(t.Context(), s, Services{Getenv: withKey, Memo: memo, Notify: func(m string) { told = append(told, m) }})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open()
	for _, p := range []string{"one", "two", "three"} {
		r, err := ask(t, c, p)
		if err != nil || r.Text != "second" || r.Provider != "openai/b" {
			t.Fatalf("%s: %+v, %v", p, r, err)
		}
	}
	// A wrong key is tried once a run, and said once.
	if firstCalls() != 1 || secondCalls() != 3 || len(told) != 1 || !strings.Contains(told[0], "openai/a") {
		t.Errorf("%d and %d calls, told %q", firstCalls(), secondCalls(), told)
	}
	if f := c.Figures(); f["fallbacks"] != 3 || f["calls"] != 4 {
		t.Errorf("%v", f)
	}
	// What the second one sold is not bought from the first when that is well again.
	sick = false
	c = open()
	if r, err := ask(t, c, "one"); err != nil || r.Provider != "openai/b" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ask(t, c, "four"); err != nil || r.Text != "first" || r.Provider != "openai/a" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := ask(t, c, "odd"); err != nil || r.Provider != "openai/b" {
		t.Errorf("a request that the first refuses: %+v, %v", r, err)
	}
	if firstCalls() != 3 || secondCalls() != 4 {
		t.Errorf("%d and %d calls", firstCalls(), secondCalls())
	}
}

func TestBudgetIsSharedByFallbacks(t *testing.T) {
	first, _ := server(t, always(400, "no"))
	second, secondCalls := server(t, always(200, "yes"))
	price := func(v float64) *float64 { return &v }
	s := Settings{Links: []Fallback{
		{Model: "openai/a", BaseURL: first, PriceInput: price(1), PriceOutput: price(1)},
		{Model: "openai/b", BaseURL: second, PriceInput: price(1), PriceOutput: price(2)},
	}, Limits: llm.Limits{Requests: 5}}
	c, err := New(t.Context(), s, Services{Getenv: withKey})
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for i := range 10 {
		if _, last = ask(t, c, fmt.Sprint(i)); last != nil {
			break
		}
	}
	if llm.KindOf(last) != llm.KindBudget || secondCalls() != 2 || c.Spent().Requests != 5 {
		t.Errorf("%v, %d answers, %+v", last, secondCalls(), c.Spent())
	}
	if want := 2 * (10*1 + 5*2) / 1e6; c.Spent().USD != want {
		t.Errorf("$%g spent, want $%g", c.Spent().USD, want)
	}
	s.Links[1].PriceInput, s.Links[1].PriceOutput = nil, nil
	s.Limits = llm.Limits{USD: 1}
	if _, err := New(t.Context(), s, Services{Getenv: withKey}); err == nil || !strings.Contains(err.Error(), "openai/b") {
		t.Errorf("a dollar budget with an unknown price: %v", err)
	}
}

func TestRetryOn(t *testing.T) {
	url, calls := server(t, func(p string, n int) (int, string, string) {
		switch {
		case p == "always cut":
			return 200, fmt.Sprint("cut ", n), "length"
		case n%2 == 1:
			return 200, "  ", "stop"
		}
		return 200, "good", "stop"
	})
	memo := &llmtest.Memo{}
	for _, tc := range []struct {
		on     []string
		prompt string
		want   string
		calls  int
	}{
		{nil, "a", "  ", 1}, {[]string{"empty"}, "a", "good", 2}, {[]string{"empty"}, "a", "good", 2},
		{[]string{"length"}, "a", "  ", 2}, {[]string{"empty", "length"}, "always cut", "cut 3", 4}, {[]string{"length"}, "always cut", "cut 3", 4},
	} {
		c, err := New(t.Context(), Settings{Links: []Fallback{{Model: "openai/m", BaseURL: url}}, RetryOn: tc.on}, Services{Memo: memo})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := ask(t, c, tc.prompt); err != nil || r.Text != tc.want || calls() != tc.calls {
			t.Errorf("retry_on %v: %+v, %v, %d calls; want %q and %d", tc.on, r, err, calls(), tc.want, tc.calls)
		}
	}
}

// When the second try fails, the first answer stays: it was paid for. What a later run
// may mend makes the result incomplete, and that run asks again.
func TestRetryOnKeepsTheFirstAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		status  int
		missing bool
		fails   llm.Kind // of the whole run, whose answers are in the memo
	}{
		"busy":    {status: 503, missing: true},
		"refused": {status: 400},
		"no key":  {status: 401, fails: llm.KindAuth},
	} {
		well := false
		url, calls := server(t, func(_ string, n int) (int, string, string) {
			switch {
			case n == 1:
				return 200, "cut", "length"
			case well:
				return 200, "whole", "stop"
			}
			return tc.status, "no", ""
		})
		memo := &llmtest.Memo{}
		open := func(offline string) *Caller {
			c, err := New(t.Context(), Settings{Links: []Fallback{{Model: "openai/m", BaseURL: url}}, RetryOn: []string{"length"}},
				Services{Memo: memo, Getenv: func(name string) string {
					if name == OfflineEnv {
						return offline
					}
					return ""
				}})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		c := open("")
		r, err := ask(t, c, "q")
		if tc.fails != "" {
			if llm.KindOf(err) != tc.fails {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			continue
		}
		if err != nil || r.Text != "cut" || (c.Missing() != "") != tc.missing {
			t.Errorf("%s: %+v, %v, missing %q", name, r, err, c.Missing())
		}
		c = open("1")
		if r, err := ask(t, c, "q"); err != nil || r.Text != "cut" || c.Missing() != "" {
			t.Errorf("%s, offline: %+v, %v, missing %q", name, r, err, c.Missing())
		}
		well = true
		c = open("")
		if r, err := ask(t, c, "q"); err != nil || r.Text != "whole" || c.Missing() != "" || calls() != 3 {
			t.Errorf("%s, later: %+v, %v, missing %q, %d calls", name, r, err, c.Missing(), calls())
		}
	}
}

func TestWatch(t *testing.T) {
	url, _ := server(t, func(p string, _ int) (int, string, string) {
		if p == "bad" {
			return 400, "no", ""
		}
		return 200, "x", "stop"
	})
	c, err := New(t.Context(), Settings{Links: []Fallback{{Model: "openai/gpt-4o-mini", BaseURL: url, PriceInput: new(float64), PriceOutput: func() *float64 { v := 100.0; return &v }()}}}, Services{})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, c, "good")
	ask(t, c, "bad")
	var v View
	stop := c.Watch(time.Hour, func() (int64, int64) { return 2, 10 }, func(w View) { v = w })
	stop()
	want := 5 * 100 / 1e6
	if v.Values["calls"] != 2 || v.Values["errors_invalid"] != 1 || v.Values["failed"] != 1 || v.Values["tokens"] != 15 ||
		v.Values["usd"] != want || v.Values["usd_projected"] != 5*want || v.Values["eta_s"] <= 0 || !strings.HasPrefix(v.Message, "last error: openai: ") {
		t.Errorf("%v, %q", v.Values, v.Message)
	}
}
