package prompt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// TestRealModel asks a real model behind an OpenAI-compatible server, for example
//
//	python -m llama_cpp.server --model MODEL.gguf --port 8080
//	DISTILLFLOW_MODEL_URL=http://127.0.0.1:8080/v1 go test -run TestRealModel ./stages/prompt
//
// What it says is its own business; that it says something, that the tokens are counted and
// that a second run asks nothing is ours.
func TestRealModel(t *testing.T) {
	url := os.Getenv("DISTILLFLOW_MODEL_URL")
	if url == "" {
		t.Skip("set DISTILLFLOW_MODEL_URL to the address of an OpenAI-compatible server, with /v1, to ask a real model")
	}
	name := os.Getenv("DISTILLFLOW_MODEL")
	if name == "" {
		name = "default"
	}
	var b strings.Builder
	for i := range 4 {
		fmt.Fprintf(&b, `{"id":"r%d","task":"gsm8k","question":"q","gold_answer":"%d","paths":[{"style":"cot","replicate":0,"prompt":"What is %d + %d? Think step by step and end with the answer."}]}`+"\n", i, 3*i, i, 2*i)
	}
	input := filepath.Join(t.TempDir(), "prompts.jsonl")
	if err := os.WriteFile(input, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	memo := &llmtest.Memo{}
	for _, stream := range []bool{false, true} {
		cfg := map[string]any{"model": "openai/" + name, "base_url": url, "max_tokens": 100, "temperature": 0.0,
			"concurrency": 1, "timeout": 300.0, "stream": stream, "endpoint": fmt.Sprint("stream ", stream)}
		o := runBatch(t, t.Context(), cfg, input, memo)
		if o.err != nil {
			t.Fatal(o.err)
		}
		for _, r := range o.rows {
			for _, p := range r.Paths {
				if strings.TrimSpace(p.Response) == "" || p.FinishReason != llm.FinishStop && p.FinishReason != llm.FinishLength {
					t.Errorf("stream %v: %+v", stream, p)
				}
			}
		}
		if s := o.res.Stats; s["calls"] != 4 || !stream && s["completion_tokens"] == 0 {
			t.Errorf("stream %v: %v", stream, s)
		}
		if o := runBatch(t, t.Context(), cfg, input, memo); o.err != nil || o.res.Stats["calls"] != 0 {
			t.Errorf("stream %v: the second run: %v, %v", stream, o.err, o.res.Stats)
		}
	}
}
