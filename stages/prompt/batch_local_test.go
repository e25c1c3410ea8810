package prompt

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
	"github.com/distillflow/distillflow/internal/llm/local/localtest"
)

// A model in this process answers like any other, its files are inputs of the stage, and a
// second run asks nothing.
func TestLocalModel(t *testing.T) {
	dir := localtest.Folder(t)
	input := filepath.Join(t.TempDir(), "prompts.jsonl")
	rows := `{"id":"r1","task":"t","question":"q","paths":[{"style":"a","replicate":0,"prompt":"abc"},{"style":"b","replicate":0,"prompt":"abcdef"}]}
{"id":"r2","task":"t","question":"q","paths":[{"style":"a","replicate":0,"prompt":"xyz"}]}
`
	if err := os.WriteFile(input, []byte(rows), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := map[string]any{"model": "local/" + dir, "device": "cpu", "temperature": 1.0, "max_tokens": 8, "replicates": 2}
	memo := &llmtest.Memo{}
	first := runBatch(t, t.Context(), cfg, input, memo)
	if first.err != nil {
		t.Fatal(first.err)
	}
	for _, r := range first.rows {
		for i, p := range r.Paths {
			if !p.Answered() || p.Provider != "local/"+dir || i%2 == 1 && p.Response == r.Paths[i-1].Response {
				t.Errorf("%+v", p)
			}
		}
	}
	if s := first.res.Stats; s["calls"] != 6 || s["usd"] != 0 || s["prompt_tokens"] != 2*(5+8+5) {
		t.Errorf("%v", s)
	}
	again := runBatch(t, t.Context(), cfg, input, memo)
	if again.err != nil || again.res.Stats["calls"] != 0 || again.res.Stats["memo_hits"] != 6 {
		t.Errorf("%v %v", again.err, again.res.Stats)
	}
	decoded, errs := BatchLLM.Decode(map[string]any{"model": "local/" + dir})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	files, err := decoded.Externals(t.Context())
	if err != nil || !slices.Contains(files, stage.External{Name: "local/model/model.safetensors", Path: filepath.Join(dir, "model.safetensors")}) {
		t.Errorf("%v %v", files, err)
	}
	decoded, errs = BatchLLM.Decode(map[string]any{"model": "local/no/such"})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if _, err := decoded.Externals(t.Context()); err == nil || !strings.Contains(err.Error(), "no/such") {
		t.Errorf("%v", err)
	}
}

// localEnv names a real model for TestRealLocalModel.
const localEnv = "DISTILLFLOW_LOCAL_MODEL"

// TestRealLocalModel asks a real base model, such as Gemma 3 270M, in this process, with as
// many further questions as make a figure for its speed.
func TestRealLocalModel(t *testing.T) {
	model := os.Getenv(localEnv)
	if model == "" {
		t.Skip("set " + localEnv + " to a folder, GGUF file or hf:// reference of a small base model to ask it")
	}
	input := filepath.Join(t.TempDir(), "prompts.jsonl")
	known := map[string][]string{
		"The capital of France is":                           {"Paris", "France"},
		"The colours of the rainbow are red, orange,":        {"yellow", "green", "blue"},
		"The opposite of hot is cold. The opposite of up is": {"down"},
	}
	var b strings.Builder
	for q := range known {
		fmt.Fprintf(&b, `{"id":%q,"task":"t","question":"q","paths":[{"style":"known","replicate":0,"prompt":%q}]}`+"\n", q, q)
	}
	for i := range 13 {
		q := fmt.Sprintf("Here is a short story about %d animals.", i+2)
		fmt.Fprintf(&b, `{"id":"s%d","task":"t","question":"q","paths":[{"style":"story","replicate":0,"prompt":%q}]}`+"\n", i, q)
	}
	if err := os.WriteFile(input, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := map[string]any{"model": "local/" + model, "max_tokens": 32, "stop": []any{"\n\n"}, "concurrency": 16,
		"extra": map[string]any{"logprobs": true}}
	memo := &llmtest.Memo{}
	start := time.Now()
	first := runBatch(t, t.Context(), cfg, input, memo)
	took := time.Since(start)
	if first.err != nil {
		t.Fatal(first.err)
	}
	tokens := 0
	for _, r := range first.rows {
		p := r.Paths[0]
		var lp struct{ Content []struct{ Token string } }
		raw := p.Extra.Get("logprobs")
		if err := json.Unmarshal(raw, &lp); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		n := len(lp.Content)
		tokens += n
		if (p.FinishReason == llm.FinishLength) != (n == 32) && p.FinishReason != llm.FinishStop || n > 32 {
			t.Errorf("%d tokens, ended by %s", n, p.FinishReason)
		}
		if p.Style != "known" {
			continue
		}
		t.Logf("%s ... %q (%s, %d tokens)", p.Prompt, p.Response, p.FinishReason, n)
		if !slices.ContainsFunc(known[p.Prompt], func(w string) bool { return strings.Contains(p.Response, w) }) {
			t.Errorf("%q: none of %v in %q", p.Prompt, known[p.Prompt], p.Response)
		}
	}
	s := first.res.Stats
	t.Logf("%d answers of %g tokens to prompts of %g in %s with loading: %.1f tokens/s", len(first.rows), s["completion_tokens"], s["prompt_tokens"],
		took.Round(time.Millisecond), s["completion_tokens"]/took.Seconds())
	if got := s["completion_tokens"]; s["calls"] != 16 || got < float64(tokens) || got > float64(tokens+16) {
		t.Errorf("%d tokens in the answers: %v", tokens, s)
	}
	again := runBatch(t, t.Context(), cfg, input, memo)
	if again.err != nil || again.res.Stats["calls"] != 0 || again.res.Stats["memo_hits"] != 16 {
		t.Errorf("the second run: %v %v", again.err, again.res.Stats)
	}
}
