package evaluate

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// TestJudgeEstimate asks nobody, and is right about what a run then sends.
func TestJudgeEstimate(t *testing.T) {
	var calls atomic.Int64
	url := judgeServer(t, &calls, func(string, int64) (int, string) { return 200, `{"verdict":"valid","reason":"ok"}` })
	memo := &llmtest.Memo{}
	rows := []string{pathRow("r1", "x", "y"), pathRow("r2", "z"), `{"id":"r3","task":"gsm8k","question":"q","gold_answer":"1","paths":[{"style":"s","response":"no","correct":false}]}`}
	cfg := map[string]any{"model": "openai/m", "base_url": url, "votes": 2, "price_input": 1.0, "price_output": 2.0}
	input := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(input, []byte(strings.Join(rows, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	estimate := func() stage.Estimate {
		c, errs := Judge.Decode(cfg)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		e, err := c.Estimate(context.Background(), stage.Question{Memo: memo,
			Inputs: map[string][]stage.Expected{"rows": {{Path: input, Rows: stage.Exactly(3)}}}})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	check := func(name string, e stage.Estimate, hits, requests float64) {
		t.Helper()
		want := []*stage.Range{stage.Exactly(hits), stage.Exactly(requests), {Max: 2}, {Max: 2}}
		if d := cmp.Diff(want, []*stage.Range{e.MemoHits, e.Requests, e.Rows["valid"], e.Rows["invalid"]}); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	fresh := estimate()
	check("fresh", fresh, 0, 6)
	if calls.Load() != 0 || fresh.Tokens.Min <= 0 || fresh.USD.Max <= fresh.USD.Min {
		t.Errorf("%d calls, tokens %v, USD %v", calls.Load(), fresh.Tokens, fresh.USD)
	}
	if fresh.Seconds != nil {
		t.Errorf("without a limit a minute: %v s", *fresh.Seconds)
	}
	cfg["rpm"] = 2
	if e := estimate(); e.Seconds == nil || e.Seconds.Min < 60 || e.Seconds.Max < e.Seconds.Min {
		t.Errorf("six requests at two a minute: %v", e.Seconds)
	}
	delete(cfg, "rpm")
	cfg["votes"] = 1
	if j := runJudge(t, cfg, memo, rows...); j.err != nil || calls.Load() != 3 {
		t.Fatalf("%v, %d calls", j.err, calls.Load())
	}
	check("all bought", estimate(), 3, 0)
	cfg["votes"] = 2
	check("one vote bought", estimate(), 3, 3)
	cfg["model"] = "simulated"
	delete(cfg, "price_input")
	delete(cfg, "price_output")
	check("simulated", estimate(), 0, 0)
}
