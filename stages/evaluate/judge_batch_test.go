package evaluate

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// The judge's votes go through a batch as a teacher's prompts do, and a later run by calls
// finds the verdicts.
func TestJudgeInBatches(t *testing.T) {
	var lines []gjson.Result
	singles := 0
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { singles++ })
	mux.HandleFunc("POST /v1/files", func(w http.ResponseWriter, r *http.Request) {
		f, _, err := r.FormFile("file")
		if err != nil {
			t.Error(err)
			return
		}
		b, _ := io.ReadAll(f)
		for l := range strings.Lines(string(b)) {
			lines = append(lines, gjson.Parse(l))
		}
		io.WriteString(w, `{"id":"f"}`)
	})
	mux.HandleFunc("/v1/batches/{id}", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"id":"b","status":"completed","output_file_id":"out"}`)
	})
	mux.HandleFunc("POST /v1/batches", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"id":"b"}`) })
	mux.HandleFunc("/v1/files/out/content", func(w http.ResponseWriter, r *http.Request) {
		for _, l := range lines {
			verdict := `{"verdict": "valid", "reason": "fine"}`
			if strings.Contains(l.Get("body.messages.0.content").String(), "guess") {
				verdict = `{"verdict": "invalid", "reason": "a guess"}`
			}
			json.NewEncoder(w).Encode(map[string]any{"custom_id": l.Get("custom_id").String(), "response": map[string]any{"status_code": 200, "body": map[string]any{
				"choices": []any{map[string]any{"message": map[string]any{"content": verdict}, "finish_reason": "stop"}}}}})
		}
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	memo := &llmtest.Memo{}
	rows := []string{pathRow("a", "sound", "a guess"), pathRow("b", "also sound")}
	for _, mode := range []string{"batch", "sync"} {
		j := runJudge(t, map[string]any{"model": "openai/m", "base_url": srv.URL + "/v1", "mode": mode, "votes": 3, "poll_min": 0.005, "poll_max": 0.01}, memo, rows...)
		if j.err != nil || len(j.valid) != 2 || len(j.invalid) != 1 || j.invalid[0].Paths[0].Judge.Reason != "a guess" {
			t.Fatalf("%s: %v, %d valid, %d invalid", mode, j.err, len(j.valid), len(j.invalid))
		}
		if len(lines) != 9 || singles != 0 {
			t.Errorf("%s: %d requests in batches, %d single calls", mode, len(lines), singles)
		}
	}
}
