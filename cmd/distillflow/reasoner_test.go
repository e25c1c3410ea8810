package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

var sum = regexp.MustCompile(`(\d+) \+ (\d+)`)

// cmdReasoner is a reasoning model behind an OpenAI-compatible server: `reasoner` sets
// $REASONER to its address. It streams its thoughts, in which it states wrong answers and
// verdicts, as reasoning_content, or inline where the model is named inline. About a number
// and itself it thinks long.
func cmdReasoner(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: reasoner")
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var req struct {
			Model    string
			Stream   bool
			Messages []struct{ Content string }
		}
		if err == nil {
			err = json.Unmarshal(body, &req)
		}
		if err != nil || !req.Stream || len(req.Messages) != 1 {
			http.Error(w, fmt.Sprintf("want a stream and one message: %s, %v", body, err), http.StatusBadRequest)
			return
		}
		prompt := req.Messages[0].Content
		thought, text := `Is it {"verdict": "invalid"}? I check once more.`, `{"reason": "It adds up.", "verdict": "valid"}`
		if n := sum.FindStringSubmatch(prompt); !strings.Contains(prompt, `"verdict"`) && n != nil {
			a, _ := strconv.Atoi(n[1])
			b, _ := strconv.Atoi(n[2])
			thought = fmt.Sprintf("The answer is %d. No.", a+b+1)
			if a == b {
				thought += strings.Repeat(" No, wait.", 20)
			}
			text = fmt.Sprintf("%s is %d. The answer is %d.", n[0], a+b, a+b)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		send := func(field, text string) {
			for _, word := range strings.SplitAfter(text, " ") {
				b, _ := json.Marshal(map[string]any{"choices": []any{map[string]any{"index": 0, "delta": map[string]string{field: word}}}})
				fmt.Fprintf(w, "data: %s\n\n", b)
				w.(http.Flusher).Flush()
			}
		}
		if req.Model == "inline" {
			send("content", "<think>\n"+thought+"\n</think>\n\n"+text)
		} else {
			send("reasoning_content", thought)
			send("content", text)
		}
		fmt.Fprint(w, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":20,"completion_tokens_details":{"reasoning_tokens":12}}}`+"\n\ndata: [DONE]\n\n")
	}))
	ts.Defer(srv.Close)
	ts.Setenv("REASONER", srv.URL)
}
