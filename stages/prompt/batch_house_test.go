package prompt

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// batchHouse is a server with OpenAI's and Gemini's batch APIs. It notes what is bought.
type batchHouse struct {
	*httptest.Server
	hook    func(step string) bool // true: say nothing more to this client
	outcome func(n int) (status string, answered int)

	mu      sync.Mutex
	files   map[string]string
	batches []*houseBatch
	bought  map[string]int // prompts
	singles int
	looks   int
	blank   string // this prompt gets an empty answer the first time
}

type houseBatch struct {
	id, name string
	lines    []gjson.Result
	looks    int
	at       time.Time
}

func newBatchHouse(t *testing.T) *batchHouse {
	t.Helper()
	h := &batchHouse{files: map[string]string{}, bought: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/files", h.upload)
	mux.HandleFunc("POST /v1/batches", h.create)
	mux.HandleFunc("GET /v1/batches", h.list)
	mux.HandleFunc("GET /v1/batches/{id}", h.look)
	mux.HandleFunc("GET /v1/files/{id}/content", h.content)
	mux.HandleFunc("POST /v1/chat/completions", h.single)
	mux.HandleFunc("POST /v1beta/models/{call}", h.gemini)
	mux.HandleFunc("GET /v1beta/batches", h.geminiList)
	mux.HandleFunc("GET /v1beta/batches/{id}", h.geminiLook)
	h.Server = httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h
}

// stop runs the hook and cuts the connection if it says so.
func (h *batchHouse) stop(step string) {
	if h.hook != nil && h.hook(step) {
		panic(http.ErrAbortHandler)
	}
}

func houseAnswer(prompt string) map[string]any {
	return map[string]any{
		"model":   "m-1",
		"choices": []any{map[string]any{"message": map[string]any{"content": "re: " + prompt}, "finish_reason": "stop"}},
		"usage":   map[string]any{"prompt_tokens": 10, "completion_tokens": 5},
	}
}

func (h *batchHouse) single(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.singles++
	h.mu.Unlock()
	json.NewEncoder(w).Encode(houseAnswer(gjson.GetBytes(b, "messages.@reverse.0.content").String()))
}

func (h *batchHouse) upload(w http.ResponseWriter, r *http.Request) {
	f, _, err := r.FormFile("file")
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	b, _ := io.ReadAll(f)
	h.stop("upload")
	h.mu.Lock()
	id := fmt.Sprint("file-", len(h.files))
	h.files[id] = string(b)
	h.mu.Unlock()
	h.stop("uploaded")
	fmt.Fprintf(w, `{"id":%q}`, id)
}

func (h *batchHouse) add(name string, lines []gjson.Result, prompt string) *houseBatch {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := &houseBatch{id: fmt.Sprint("b", len(h.batches)), name: name, lines: lines, at: time.Now()}
	h.batches = append(h.batches, b)
	for _, l := range lines {
		h.bought[l.Get(prompt).String()]++
	}
	return b
}

func (h *batchHouse) create(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.stop("create")
	h.mu.Lock()
	text := h.files[gjson.GetBytes(body, "input_file_id").String()]
	h.mu.Unlock()
	var lines []gjson.Result
	for l := range strings.Lines(text) {
		lines = append(lines, gjson.Parse(l))
	}
	b := h.add(gjson.GetBytes(body, "metadata.distillflow").String(), lines, "body.messages.@reverse.0.content")
	h.stop("created")
	fmt.Fprintf(w, `{"id":%q,"status":"validating"}`, b.id)
}

func (h *batchHouse) list(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	data := []any{}
	for _, b := range h.batches {
		data = append([]any{map[string]any{"id": b.id, "created_at": b.at.Unix(), "metadata": map[string]string{"distillflow": b.name}}}, data...)
	}
	json.NewEncoder(w).Encode(map[string]any{"data": data})
}

// state is how a batch is after one more look.
func (h *batchHouse) state(id string) (b *houseBatch, status string, answered int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, b := range h.batches {
		if b.id != id && "batches/"+b.id != id {
			continue
		}
		if b.looks++; b.looks <= h.looks {
			return b, "in_progress", 0
		}
		status, answered = "completed", len(b.lines)
		if h.outcome != nil {
			status, answered = h.outcome(i)
		}
		return b, status, min(answered, len(b.lines))
	}
	return nil, "", 0
}

func (h *batchHouse) look(w http.ResponseWriter, r *http.Request) {
	h.stop("poll")
	b, status, n := h.state(r.PathValue("id"))
	if b == nil {
		http.Error(w, `{"error":{"message":"No such batch"}}`, 404)
		return
	}
	m := map[string]any{"id": b.id, "status": status, "request_counts": map[string]int{"total": len(b.lines), "completed": n}}
	if status != "in_progress" {
		m["output_file_id"] = b.id
	}
	json.NewEncoder(w).Encode(m)
}

func (h *batchHouse) content(w http.ResponseWriter, r *http.Request) {
	h.stop("content")
	b, _, n := h.state(r.PathValue("id"))
	e := json.NewEncoder(w)
	for i, l := range b.lines[:n] {
		if i == 300 {
			w.(http.Flusher).Flush()
			h.stop("half")
		}
		prompt := l.Get("body.messages.@reverse.0.content").String()
		answer := houseAnswer(prompt)
		h.mu.Lock()
		if prompt == h.blank && h.bought[prompt] == 1 {
			answer = map[string]any{"choices": []any{map[string]any{"message": map[string]any{"content": " "}, "finish_reason": "stop"}}}
		}
		h.mu.Unlock()
		e.Encode(map[string]any{"custom_id": l.Get("custom_id").String(), "response": map[string]any{
			"status_code": 200, "body": answer}})
	}
}

func geminiAnswer(prompt string) map[string]any {
	return map[string]any{
		"candidates":    []any{map[string]any{"content": map[string]any{"parts": []any{map[string]any{"text": "re: " + prompt}}}, "finishReason": "STOP"}},
		"usageMetadata": map[string]any{"promptTokenCount": 10, "candidatesTokenCount": 5},
	}
}

func (h *batchHouse) gemini(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if !strings.HasSuffix(r.PathValue("call"), ":batchGenerateContent") {
		h.mu.Lock()
		h.singles++
		h.mu.Unlock()
		json.NewEncoder(w).Encode(geminiAnswer(gjson.GetBytes(body, "contents.@reverse.0.parts.0.text").String()))
		return
	}
	h.stop("create")
	b := h.add(gjson.GetBytes(body, "batch.displayName").String(), gjson.GetBytes(body, "batch.inputConfig.requests.requests").Array(), "request.contents.@reverse.0.parts.0.text")
	h.stop("created")
	fmt.Fprintf(w, `{"name":"batches/%s","metadata":{"state":"BATCH_STATE_PENDING"}}`, b.id)
}

func (h *batchHouse) geminiList(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := []any{}
	for _, b := range h.batches {
		list = append([]any{map[string]any{"name": "batches/" + b.id, "metadata": map[string]any{"displayName": b.name, "createTime": b.at.UTC()}}}, list...)
	}
	json.NewEncoder(w).Encode(map[string]any{"operations": list})
}

func (h *batchHouse) geminiLook(w http.ResponseWriter, r *http.Request) {
	h.stop("poll")
	b, status, n := h.state(r.PathValue("id"))
	meta := map[string]any{"state": "BATCH_STATE_RUNNING"}
	if status != "in_progress" {
		var list []any
		for _, l := range b.lines[:n] {
			list = append(list, map[string]any{"metadata": map[string]string{"key": l.Get("metadata.key").String()}, "response": geminiAnswer(l.Get("request.contents.@reverse.0.parts.0.text").String())})
		}
		meta = map[string]any{"state": "BATCH_STATE_SUCCEEDED", "output": map[string]any{"inlinedResponses": map[string]any{"inlinedResponses": list}}}
	}
	json.NewEncoder(w).Encode(map[string]any{"name": "batches/" + b.id, "metadata": meta})
}

func (h *batchHouse) config(more map[string]any) map[string]any {
	cfg := map[string]any{"model": "openai/m", "base_url": h.URL + "/v1", "poll_min": 0.005, "poll_max": 0.02, "max_tokens": 20}
	for k, v := range more {
		cfg[k] = v
	}
	return cfg
}
