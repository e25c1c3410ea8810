package anthropic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/internal/llm"
)

const planted = "sk-ant-planted-0123456789"

// double is a server with Anthropic's API: messages, and batches that end when they are
// asked for the third time.
type double struct {
	*httptest.Server
	mu      sync.Mutex
	answer  func(w http.ResponseWriter, body map[string]any) // of one message
	bodies  []map[string]any
	headers []http.Header
	batches []*batch
}

type batch struct {
	id       string
	at       time.Time
	looks    int
	requests []map[string]any
}

const fine = `{"id":"msg_1","type":"message","role":"assistant","model":"claude-x-1","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"It is "},{"type":"text","text":"4."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"cache_creation_input_tokens":100,"cache_read_input_tokens":20,"output_tokens":9,"output_tokens_details":{"thinking_tokens":5}}}`

func newDouble(t *testing.T, answer func(http.ResponseWriter, map[string]any)) (*double, *Client) {
	t.Helper()
	d := &double{answer: answer}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", func(w http.ResponseWriter, r *http.Request) {
		body := d.read(t, r)
		w.Header().Set("Content-Type", "application/json")
		d.answer(w, body)
	})
	mux.HandleFunc("POST /v1/messages/batches", func(w http.ResponseWriter, r *http.Request) {
		body := d.read(t, r)
		d.mu.Lock()
		defer d.mu.Unlock()
		b := &batch{id: fmt.Sprint("msgbatch_", len(d.batches)), at: time.Now()}
		for _, one := range body["requests"].([]any) {
			b.requests = append(b.requests, one.(map[string]any))
		}
		d.batches = append(d.batches, b)
		d.show(w, b)
	})
	mux.HandleFunc("GET /v1/messages/batches", func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		var all []string
		for _, b := range slices.Backward(d.batches) {
			rec := httptest.NewRecorder()
			d.show(rec, b)
			all = append(all, rec.Body.String())
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"data":[%s],"has_more":false,"first_id":null,"last_id":null}`, strings.Join(all, ","))
	})
	mux.HandleFunc("GET /v1/messages/batches/{id}", func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, b := range d.batches {
			if b.id == r.PathValue("id") {
				b.looks++
				d.show(w, b)
				return
			}
		}
		http.NotFound(w, r)
	})
	mux.HandleFunc("POST /v1/messages/batches/{id}/cancel", func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, b := range d.batches {
			if b.id == r.PathValue("id") {
				b.looks = 3
				d.show(w, b)
				return
			}
		}
		http.NotFound(w, r)
	})
	mux.HandleFunc("GET /v1/messages/batches/{id}/results", func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		w.Header().Set("Content-Type", "application/x-jsonl")
		for _, b := range d.batches {
			if b.id != r.PathValue("id") {
				continue
			}
			for i, one := range b.requests {
				id := one["custom_id"]
				switch i {
				case 0:
					fmt.Fprintf(w, `{"custom_id":%q,"result":{"type":"succeeded","message":%s}}`+"\n", id, fine)
				case 1:
					fmt.Fprintf(w, `{"custom_id":%q,"result":{"type":"errored","error":{"type":"error","error":{"type":"invalid_request_error","message":"too hot"}}}}`+"\n", id)
				default:
					fmt.Fprintf(w, `{"custom_id":%q,"result":{"type":"expired"}}`+"\n", id)
				}
			}
		}
	})
	d.Server = httptest.NewServer(mux)
	t.Cleanup(d.Close)
	return d, d.client(t)
}

// client is one of another process.
func (d *double) client(t *testing.T) *Client {
	t.Helper()
	c, err := New(Config{BaseURL: d.URL, Key: planted})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (d *double) read(t *testing.T, r *http.Request) map[string]any {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		t.Error(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bodies, d.headers = append(d.bodies, body), append(d.headers, r.Header)
	return body
}

func (d *double) show(w http.ResponseWriter, b *batch) {
	status, open, done := "in_progress", len(b.requests), 0
	if b.looks >= 3 {
		status, open, done = "ended", 0, len(b.requests)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"id":%q,"type":"message_batch","processing_status":%q,"created_at":%q,"request_counts":{"processing":%d,"succeeded":%d,"errored":0,"canceled":0,"expired":0}}`,
		b.id, status, b.at.Format(time.RFC3339), open, done)
}

func say(status int, body string) func(http.ResponseWriter, map[string]any) {
	return func(w http.ResponseWriter, _ map[string]any) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestRequestAndAnswer(t *testing.T) {
	d, c := newDouble(t, say(200, fine))
	temp, long := 0.8, strings.Repeat("Be brief. ", 500)
	resp, err := c.Complete(t.Context(), llm.Request{
		Model: "claude-opus-4-6", MaxTokens: 50, Temperature: &temp, Stop: []string{"END"},
		Messages: []llm.Message{{Role: llm.RoleSystem, Content: long}, {Role: llm.RoleUser, Content: "2+2?"}},
		JSON:     &llm.Schema{Name: "answer", Schema: json.RawMessage(`{"type":"object"}`)},
		Thinking: llm.Thinking{Effort: "low"}, Extra: map[string]any{"top_k": 5},
		Hint: &llm.Hint{Gold: "secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	raw := string(resp.Raw)
	resp.Raw = nil
	want := &llm.Response{Text: "It is 4.", Reasoning: "hm", FinishReason: "end_turn", Model: "claude-x-1",
		Usage: llm.Usage{PromptTokens: 127, CompletionTokens: 9, ReasoningTokens: 5, CacheWriteTokens: 100, CacheReadTokens: 20}}
	if diff := cmp.Diff(want, resp); diff != "" || raw != fine {
		t.Errorf("%s\n%s", diff, raw)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(`{"model":"claude-opus-4-6","max_tokens":50,"temperature":0.8,"stop_sequences":["END"],"top_k":5,
		"messages":[{"role":"user","content":[{"type":"text","text":"2+2?"}]}],
		"thinking":{"type":"adaptive","display":"summarized"},
		"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}}}`), &body); err != nil {
		t.Fatal(err)
	}
	body["system"] = []any{map[string]any{"type": "text", "text": long, "cache_control": map[string]any{"type": "ephemeral"}}}
	if diff := cmp.Diff(body, d.bodies[0]); diff != "" {
		t.Error(diff)
	}
	if h := d.headers[0]; h.Get("X-Api-Key") != planted || h.Get("Anthropic-Version") == "" {
		t.Errorf("headers %v", slices.Sorted(maps.Keys(h)))
	}
}

func TestSmallSystemPromptIsNotCached(t *testing.T) {
	d, c := newDouble(t, say(200, fine))
	if _, err := c.Complete(t.Context(), llm.Request{Model: "m", Messages: []llm.Message{{Role: llm.RoleSystem, Content: "Be brief."}, {Role: llm.RoleUser, Content: "x"}}}); err != nil {
		t.Fatal(err)
	}
	want := []any{map[string]any{"type": "text", "text": "Be brief."}}
	if diff := cmp.Diff(want, d.bodies[0]["system"].([]any)); diff != "" || d.bodies[0]["max_tokens"] != float64(4096) {
		t.Errorf("%s, max_tokens %v", diff, d.bodies[0]["max_tokens"])
	}
}

func TestThinking(t *testing.T) {
	low, off, budget := llm.Thinking{Effort: "low"}, llm.Thinking{Off: true}, llm.Thinking{BudgetTokens: 2000}
	for _, tc := range []struct {
		model string
		t     llm.Thinking
		max   int
		want  string // fields of the body; "" is refused
	}{
		{"claude-3-5-haiku-latest", low, 5000, ""},
		{"claude-3-7-sonnet-20250219", low, 5000, `{"thinking":{"budget_tokens":1024,"type":"enabled"}}`},
		{"claude-3-7-sonnet-20250219", low, 1024, ""},
		{"claude-sonnet-4-20250514", budget, 5000, `{"thinking":{"budget_tokens":2000,"type":"enabled"}}`},
		{"claude-haiku-4-5", budget, 2000, ""},
		{"claude-haiku-4-5", llm.Thinking{BudgetTokens: 10}, 2000, ""},
		{"claude-haiku-4-5", off, 100, `{"thinking":{"type":"disabled"}}`},
		{"claude-opus-4-6", budget, 5000, ""},
		{"claude-sonnet-5", low, 100, `{"output_config":{"effort":"low"},"thinking":{"display":"summarized","type":"adaptive"}}`},
		{"claude-mythos-preview", off, 100, `{"thinking":{"type":"disabled"}}`},
	} {
		if err := CheckThinking(tc.model, tc.t, tc.max); (err == nil) == (tc.want == "") {
			t.Errorf("%s %+v: %v", tc.model, tc.t, err)
		}
		if tc.want == "" {
			continue
		}
		p, err := params(llm.Request{Model: tc.model, Thinking: tc.t})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"model", "messages", "max_tokens"} {
			delete(got, f)
		}
		if b, _ := json.Marshal(got); string(b) != tc.want {
			t.Errorf("%s: %s", tc.model, b)
		}
	}
}

func TestFailures(t *testing.T) {
	limited := func(headers map[string]string) func(http.ResponseWriter, map[string]any) {
		return func(w http.ResponseWriter, _ map[string]any) {
			for k, v := range headers {
				w.Header().Set(k, v)
			}
			w.WriteHeader(429)
			io.WriteString(w, `{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}`)
		}
	}
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter, map[string]any)
		kind   llm.Kind
		text   string
		wait   time.Duration // about
	}{
		"retry after": {limited(map[string]string{"Retry-After": "7"}), llm.KindRate, "[rate_limit_error]: slow down", 7 * time.Second},
		"the limit's own time": {limited(map[string]string{
			"Anthropic-Ratelimit-Requests-Remaining": "3", "Anthropic-Ratelimit-Requests-Reset": in(time.Hour),
			"Anthropic-Ratelimit-Output-Tokens-Remaining": "0", "Anthropic-Ratelimit-Output-Tokens-Reset": in(20 * time.Second),
		}), llm.KindRate, "slow down", 20 * time.Second},
		"overloaded":     {say(529, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`), llm.KindServer, "Overloaded", 0},
		"wrong key":      {say(401, `{"type":"error","error":{"type":"authentication_error","message":"invalid `+planted+`"}}`), llm.KindAuth, "invalid [key]", 0},
		"no credit":      {say(400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}`), llm.KindQuota, "credit", 0},
		"wrong":          {say(400, `{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too large"}}`), llm.KindInvalid, "too large", 0},
		"a proxy's page": {say(502, `<html>bad gateway</html>`), llm.KindServer, "bad gateway", 0},
		"not JSON":       {say(200, `{"id":`), llm.KindMalformed, "unreadable", 0},
		"another thing":  {say(200, `{"id":"x","type":"list"}`), llm.KindMalformed, "content", 0},
		"error, 200":     {say(200, `{"type":"error","error":{"type":"api_error","message":"lost"}}`), llm.KindServer, "lost", 0},
		"cut": {func(w http.ResponseWriter, _ map[string]any) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, fine)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, llm.KindNetwork, "", 0},
	} {
		d, c := newDouble(t, tc.answer)
		_, err := c.Complete(t.Context(), llm.Request{Model: "m", Messages: []llm.Message{{Role: llm.RoleUser, Content: "x"}}})
		var e *llm.Error
		if !errors.As(err, &e) || e.Kind != tc.kind || !strings.Contains(err.Error(), tc.text) || (e.RetryAfter-tc.wait).Abs() > 5*time.Second {
			t.Errorf("%s: %v, %+v", name, err, e)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), planted) {
			t.Errorf("%s: the key stands in the error", name)
		}
		if len(d.bodies) != 1 {
			t.Errorf("%s: %d attempts", name, len(d.bodies))
		}
	}
}

func TestBatches(t *testing.T) {
	d, c := newDouble(t, say(200, fine))
	since := time.Now().Add(-time.Hour)
	const name = "distillflow-0123456789abcdef01234567"
	ids := []string{strings.Repeat("a_-", 14) + "A", strings.Repeat("b", 43), strings.Repeat("c", 43)}
	var elements [][]byte
	req := llm.Request{Model: "m", MaxTokens: 5, Messages: []llm.Message{{Role: llm.RoleUser, Content: "x"}}, Extra: map[string]any{"top_k": 5}}
	for _, id := range ids {
		e, err := c.EncodeForBatch(id, req)
		if err != nil {
			t.Fatal(err)
		}
		elements = append(elements, e)
	}
	id, err := c.SubmitBatch(t.Context(), name, "m", elements)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Complete(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.bodies[1], d.batches[0].requests[0]["params"]); diff != "" {
		t.Errorf("a batched request differs from the single one: %s", diff)
	}
	for _, one := range d.batches[0].requests {
		if n := len(one["custom_id"].(string)); n > 64 {
			t.Errorf("an id of %d characters", n)
		}
	}
	other := d.client(t)
	if got, ok, err := c.FindBatch(t.Context(), name, since); got != id || !ok || err != nil {
		t.Errorf("its own batch: %q, %v, %v", got, ok, err)
	}
	if _, ok, err := c.FindBatch(t.Context(), "distillflow-other", since); ok || err != nil {
		t.Errorf("another name: %v, %v", ok, err)
	}
	if _, ok, err := other.FindBatch(t.Context(), name, since); ok || llm.KindOf(err) != llm.KindBatch || !strings.Contains(err.Error(), id) {
		t.Errorf("an open batch of another process: %v, %v", ok, err)
	}
	for range 3 {
		s, err := c.BatchState(t.Context(), id)
		if err != nil || s.Total != 3 {
			t.Errorf("%+v, %v", s, err)
		}
		if s.Ended {
			break
		}
	}
	if got, ok, err := other.FindBatch(t.Context(), name, since); got != id || !ok || err != nil {
		t.Errorf("an ended batch of another process: %q, %v, %v", got, ok, err)
	}
	if _, ok, err := other.FindBatch(t.Context(), "distillflow-fedcba9876543210fedcba98", since); ok || err != nil {
		t.Errorf("an ended batch of another name: %v, %v", ok, err)
	}
	if _, ok, err := other.FindBatch(t.Context(), name, time.Now().Add(time.Hour)); ok || err != nil {
		t.Errorf("an older batch: %v, %v", ok, err)
	}
	got := map[string]llm.BatchAnswer{}
	if err := other.BatchAnswers(t.Context(), id, func(a llm.BatchAnswer) error {
		got[a.ID] = a
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[ids[0]].Response == nil || got[ids[0]].Response.Text != "It is 4." ||
		llm.KindOf(got[ids[1]].Err) != llm.KindInvalid || !strings.Contains(got[ids[1]].Err.Error(), "too hot") {
		t.Errorf("%+v", got)
	}
	if err := c.CancelBatch(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := c.CancelBatch(t.Context(), "gone"); llm.KindOf(err) != llm.KindNotFound {
		t.Error(err)
	}
	if _, err := c.BatchState(t.Context(), "gone"); llm.KindOf(err) != llm.KindNotFound {
		t.Error(err)
	}
}
