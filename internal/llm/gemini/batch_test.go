package gemini

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/llm"
)

func batchClient(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := New(Config{BaseURL: srv.URL, Key: planted})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The batched request holds what the single call sends.
func TestBatchedRequestIsTheSingleOne(t *testing.T) {
	temp := 0.8
	req := llm.Request{Model: "m", MaxTokens: 9, Temperature: &temp, Stop: []string{"x"},
		Messages: []llm.Message{{Role: llm.RoleSystem, Content: "s"}, {Role: llm.RoleUser, Content: "q"}, {Role: llm.RoleAssistant, Content: "a"}, {Role: llm.RoleUser, Content: "r"}},
		JSON:     &llm.Schema{Schema: json.RawMessage(`{"type":"object"}`)}, Extra: map[string]any{"generationConfig": map[string]any{"topK": 3}}}
	single, _, _, err := exchangeWith(t, req, say(fine))
	if err != nil {
		t.Fatal(err)
	}
	el, err := batchClient(t, nil).EncodeForBatch("id-1", req)
	if err != nil {
		t.Fatal(err)
	}
	var batched struct {
		Request  map[string]any
		Metadata struct{ Key string }
	}
	if err := json.Unmarshal(el, &batched); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(single)
	b, _ := json.Marshal(batched.Request)
	if !bytes.Equal(a, b) || batched.Metadata.Key != "id-1" {
		t.Errorf("single  %s\nbatched %s", a, b)
	}
}

func TestSubmitAndFind(t *testing.T) {
	var noise bytes.Buffer
	log.SetOutput(&noise)
	defer log.SetOutput(log.Default().Writer())
	var created gjson.Result
	var path string
	c := batchClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			b, _ := io.ReadAll(r.Body)
			created, path = gjson.ParseBytes(b), r.URL.Path
			io.WriteString(w, `{"name":"batches/b1","metadata":{"state":"BATCH_STATE_PENDING"}}`)
			return
		}
		if r.URL.Query().Get("pageToken") == "" {
			io.WriteString(w, `{"operations":[{"name":"batches/x","metadata":{"displayName":"other","createTime":"2030-01-02T03:04:05Z"}}],"nextPageToken":"t"}`)
			return
		}
		io.WriteString(w, `{"operations":[{"name":"batches/y","metadata":{"displayName":"mine","createTime":"2030-01-02T03:04:05Z"}},{"name":"batches/z","metadata":{"displayName":"old","createTime":"2001-01-02T03:04:05Z"}}],"nextPageToken":"t"}`)
	})
	id, err := c.SubmitBatch(t.Context(), "mine", "gemini-x", [][]byte{[]byte(`{"request":{"contents":[1]},"metadata":{"key":"k1"}}`), []byte(`{"request":{"contents":[2]},"metadata":{"key":"k2"}}`)})
	if err != nil || id != "batches/b1" || !strings.HasSuffix(path, "/models/gemini-x:batchGenerateContent") {
		t.Errorf("%q %v at %s", id, err, path)
	}
	reqs := created.Get("batch.inputConfig.requests.requests").Array()
	if len(reqs) != 2 || reqs[1].Get("metadata.key").String() != "k2" || reqs[1].Get("request.contents.0").Int() != 2 || created.Get("batch.displayName").String() != "mine" {
		t.Errorf("sent %s", created.Raw)
	}
	if id, ok, err := c.FindBatch(t.Context(), "mine", time.Unix(1e9, 0)); id != "batches/y" || !ok || err != nil {
		t.Error(id, ok, err)
	}
	if _, ok, err := c.FindBatch(t.Context(), "gone", time.Unix(1.1e9, 0)); ok || err != nil {
		t.Error(ok, err)
	}
	if noise.Len() > 0 {
		t.Errorf("the SDK wrote to the log: %s", noise.String())
	}
}

func TestBatchStates(t *testing.T) {
	for body, want := range map[string]llm.BatchState{
		`{"name":"batches/b","metadata":{"state":"BATCH_STATE_PENDING"}}`:                                                                                         {Status: "pending"},
		`{"name":"batches/b","metadata":{"state":"BATCH_STATE_RUNNING","batchStats":{"requestCount":"5","successfulRequestCount":"2","failedRequestCount":"1"}}}`: {Status: "running", Total: 5, Done: 2, Failed: 1},
		`{"name":"batches/b","metadata":{"state":"BATCH_STATE_SUCCEEDED"},"done":true}`:                                                                           {Status: "succeeded", Ended: true},
		`{"name":"batches/b","metadata":{"state":"JOB_STATE_EXPIRED"}}`:                                                                                           {Status: "expired", Ended: true},
		`{"name":"batches/b","metadata":{"state":"BATCH_STATE_CANCELLED"}}`:                                                                                       {Status: "cancelled", Ended: true},
		`{"name":"batches/b","metadata":{"state":"BATCH_STATE_FAILED"},"error":{"code":8,"message":"quota"}}`:                                                     {Status: "failed", Ended: true, Full: true, Message: "quota"},
	} {
		if got, err := batchClient(t, say(body)).BatchState(t.Context(), "batches/b"); err != nil || got != want {
			t.Errorf("%s: %+v %v", body, got, err)
		}
	}
	c := batchClient(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(429)
		io.WriteString(w, `{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}`)
	})
	if _, err := c.BatchState(t.Context(), "batches/b"); llm.KindOf(err) != llm.KindRate {
		t.Error(err)
	}
}

func TestBatchAnswers(t *testing.T) {
	list := `{"inlinedResponses":{"inlinedResponses":[{"metadata":{"key":"a"},"response":` + fine + `},{"metadata":{"key":"b"},"error":{"code":3,"message":"bad"}},{"metadata":{"key":"c"},"error":{"code":13,"message":"internal"}},{"metadata":{"key":"d"},"response":{}}]}}`
	for _, body := range []string{
		`{"name":"batches/b","metadata":{"state":"BATCH_STATE_SUCCEEDED","output":` + list + `},"done":true}`,
		`{"name":"batches/b","metadata":{"state":"BATCH_STATE_SUCCEEDED"},"done":true,"response":` + list + `}`,
	} {
		got := map[string]llm.BatchAnswer{}
		if err := batchClient(t, say(body)).BatchAnswers(t.Context(), "batches/b", func(a llm.BatchAnswer) error { got[a.ID] = a; return nil }); err != nil || len(got) != 4 {
			t.Fatal(err, got)
		}
		if r := got["a"].Response; r == nil || r.Text != "The answer is 4." || r.Usage.CompletionTokens != 16 {
			t.Errorf("a: %+v", got["a"])
		}
		var e *llm.Error
		if !errors.As(got["b"].Err, &e) || e.Kind != llm.KindInvalid || llm.KindOf(got["c"].Err) != llm.KindServer || llm.KindOf(got["d"].Err) != llm.KindMalformed {
			t.Errorf("%+v", got)
		}
		stop := errors.New("stop")
		if err := batchClient(t, say(body)).BatchAnswers(t.Context(), "batches/b", func(llm.BatchAnswer) error { return stop }); err != stop {
			t.Error(err)
		}
	}
}
