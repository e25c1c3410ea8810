package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/llm"
)

// The body of a batched request is that of the single call, to the byte of each field.
func TestBatchedBodyIsTheSingleOne(t *testing.T) {
	temp, seed := 0.0, int64(7)
	req := llm.Request{Model: "m", MaxTokens: 9, Temperature: &temp, Seed: &seed, Stop: []string{"x"},
		Messages: []llm.Message{{Role: llm.RoleSystem, Content: "s"}, {Role: llm.RoleUser, Content: "<q> & \u00e9"}},
		JSON:     &llm.Schema{Name: "a", Schema: json.RawMessage(`{"type":"object"}`), Strict: true},
		Extra:    map[string]any{"top_k": 3, "nested": map[string]any{"a": 1}}}
	var single []byte
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		single, _ = io.ReadAll(r.Body)
		io.WriteString(w, `{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}]}`)
	})
	if _, err := c.Complete(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	line, err := c.EncodeForBatch("id-1", req)
	if err != nil {
		t.Fatal(err)
	}
	if body := gjson.GetBytes(line, "body").Raw; body != string(single) {
		t.Errorf("batched %s\nsingle  %s", body, single)
	}
	if gjson.GetBytes(line, "custom_id").String() != "id-1" || gjson.GetBytes(line, "url").String() != "/v1/chat/completions" || gjson.GetBytes(line, "method").String() != "POST" || strings.Contains(string(line), "\n") {
		t.Errorf("line %s", line)
	}
}

func TestSubmitAndFind(t *testing.T) {
	var uploaded, created string
	pages := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/files":
			f, h, err := r.FormFile("file")
			if err != nil || r.FormValue("purpose") != "batch" || !strings.HasSuffix(h.Filename, ".jsonl") {
				t.Error(err, r.FormValue("purpose"))
				return
			}
			b, _ := io.ReadAll(f)
			uploaded = string(b)
			io.WriteString(w, `{"id":"file-1"}`)
		case r.Method == "POST":
			b, _ := io.ReadAll(r.Body)
			created = string(b)
			io.WriteString(w, `{"id":"batch-1","status":"validating"}`)
		default:
			pages++
			if r.URL.Query().Get("after") == "" {
				fmt.Fprintf(w, `{"data":[{"id":"b9","created_at":%d},{"id":"b8","created_at":%d,"metadata":{"distillflow":"other"}}],"has_more":true}`, 2_000_000_000, 1_999_999_999)
				return
			}
			io.WriteString(w, `{"data":[{"id":"b7","created_at":1999999998,"metadata":{"distillflow":"mine"}},{"id":"b1","created_at":5}],"has_more":true}`)
		}
	})
	id, err := c.SubmitBatch(t.Context(), "mine", "m", [][]byte{[]byte("{1}"), []byte("{2}")})
	if err != nil || id != "batch-1" || uploaded != "{1}\n{2}\n" {
		t.Errorf("%q %v, uploaded %q", id, err, uploaded)
	}
	if g := gjson.Parse(created); g.Get("input_file_id").String() != "file-1" || g.Get("metadata.distillflow").String() != "mine" || g.Get("completion_window").String() != "24h" || g.Get("endpoint").String() != "/v1/chat/completions" {
		t.Errorf("created with %s", created)
	}
	if id, ok, err := c.FindBatch(t.Context(), "mine", time.Unix(1000, 0)); id != "b7" || !ok || err != nil {
		t.Error(id, ok, err)
	}
	pages = 0
	if _, ok, err := c.FindBatch(t.Context(), "gone", time.Unix(1000, 0)); ok || err != nil || pages != 2 {
		t.Errorf("%v %v after %d pages", ok, err, pages)
	}
}

func TestBatchStates(t *testing.T) {
	for body, want := range map[string]llm.BatchState{
		`{"status":"validating"}`: {Status: "validating"},
		`{"status":"in_progress","request_counts":{"total":5,"completed":2,"failed":1}}`: {Status: "in_progress", Total: 5, Done: 2, Failed: 1},
		`{"status":"cancelling"}`: {Status: "cancelling"},
		`{"status":"completed"}`:  {Status: "completed", Ended: true},
		`{"status":"expired"}`:    {Status: "expired", Ended: true},
		`{"status":"cancelled"}`:  {Status: "cancelled", Ended: true},
		`{"status":"failed","errors":{"data":[{"code":"token_limit_exceeded","message":"m"}]}}`: {Status: "failed", Ended: true, Full: true, Message: "m"},
		`{"status":"failed","errors":{"data":[{"code":"invalid_url","message":"m"}]}}`:          {Status: "failed", Ended: true, Message: "m"},
	} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
		if got, err := c.BatchState(t.Context(), "b"); err != nil || got != want {
			t.Errorf("%s: %+v %v", body, got, err)
		}
	}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(404)
		io.WriteString(w, `{"error":{"message":"No such batch"}}`)
	})
	if _, err := c.BatchState(t.Context(), "b"); llm.KindOf(err) != llm.KindNotFound {
		t.Error(err)
	}
}

func TestBatchAnswers(t *testing.T) {
	cut := false
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/batches/b":
			io.WriteString(w, `{"id":"b","status":"expired","output_file_id":"out","error_file_id":"err"}`)
		case "/v1/files/out/content":
			if cut {
				w.Header().Set("Content-Length", "1000")
			}
			io.WriteString(w, `{"custom_id":"a","response":{"status_code":200,"body":{"choices":[{"message":{"content":"A"},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}},"error":null}
{"custom_id":"b","response":{"status_code":200,"body":{"nothing":1}}}
`)
		case "/v1/files/err/content":
			io.WriteString(w, `{"custom_id":"c","response":{"status_code":400,"body":{"error":{"message":"too long","code":"context_length_exceeded"}}}}
{"custom_id":"d","response":null,"error":{"code":"batch_expired","message":"This request could not be executed"}}`)
		}
	})
	got := map[string]llm.BatchAnswer{}
	collect := func(a llm.BatchAnswer) error { got[a.ID] = a; return nil }
	if err := c.BatchAnswers(t.Context(), "b", collect); err != nil || len(got) != 4 {
		t.Fatal(err, got)
	}
	if r := got["a"].Response; r == nil || r.Text != "A" || r.FinishReason != "length" || r.Usage.CompletionTokens != 4 {
		t.Errorf("a: %+v", got["a"])
	}
	var e *llm.Error
	if !errors.As(got["c"].Err, &e) || e.Kind != llm.KindInvalid || e.Message != "too long" {
		t.Errorf("c: %+v", got["c"])
	}
	if !errors.As(got["d"].Err, &e) || e.Code != "batch_expired" || llm.KindOf(got["b"].Err) != llm.KindMalformed {
		t.Errorf("b, d: %+v %+v", got["b"], got["d"])
	}
	cut = true
	if err := c.BatchAnswers(t.Context(), "b", collect); llm.KindOf(err) != llm.KindNetwork {
		t.Errorf("a file that breaks off: %v", err)
	}
}

// A server that repeats the key gets it into no state or error.
func TestBatchesHideTheKey(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if len(key) < 8 {
			t.Error("no key was sent")
		}
		switch {
		case r.Method == "POST":
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"error":{"message":"bad key %s","code":"%s"}}`, key, key)
		case strings.HasSuffix(r.URL.Path, "/content"):
			fmt.Fprintf(w, `{"custom_id":"a","response":{"status_code":429,"body":{"error":{"message":"%[1]s","code":"%[1]s"}}}}
{"custom_id":"b","error":{"code":"%[1]s","message":"%[1]s"}}`, key)
		default:
			fmt.Fprintf(w, `{"id":"b","status":"failed","output_file_id":"o","errors":{"data":[{"code":"x","message":"%s"}]}}`, key)
		}
	})
	var all []any
	_, err := c.SubmitBatch(t.Context(), "n", "m", [][]byte{[]byte("{}")})
	s, serr := c.BatchState(t.Context(), "b")
	all = append(all, err, s, serr)
	if err := c.BatchAnswers(t.Context(), "b", func(a llm.BatchAnswer) error {
		all = append(all, a.ID, a.Err)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%+v %v", all, all)
	if strings.Contains(text, c.key) || !strings.Contains(text, "[key]") {
		t.Errorf("the key stands in %s", text)
	}
}
