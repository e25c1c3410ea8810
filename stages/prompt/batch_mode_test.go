package prompt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// The mode decides how answers come and what they cost, and nothing else: the output is
// the same to the byte, and either mode finds what the other bought.
func TestModesGiveTheSameOutput(t *testing.T) {
	for _, model := range []map[string]any{{}, {"model": "gemini/g"}} {
		h := newBatchHouse(t)
		h.looks = 2
		cfg := func(more map[string]any) map[string]any {
			c := h.config(more)
			if model["model"] != nil {
				c["model"], c["base_url"], c["api_key_env"] = model["model"], h.URL, "OPENAI_API_KEY"
			}
			return c
		}
		input := writePrompts(t, 20)
		memo := &llmtest.Memo{}
		batched := runBatch(t, t.Context(), cfg(map[string]any{"mode": "batch", "batch_max": 15, "price_input": 2, "price_output": 4, "price_batch": 0.5}), input, memo)
		if batched.err != nil || len(batched.errs) > 0 || h.singles > 0 || len(h.batches) != 3 {
			t.Fatalf("%v: %v, %d errors, %d single calls, %d batches", model, batched.err, len(batched.errs), h.singles, len(h.batches))
		}
		if s := batched.res.Stats; s["calls"] != 40 || s["memo_hits"] != 0 || s["batches"] != 3 || s["prompt_tokens"] != 400 || s["usd"] < 0.0007999 || s["usd"] > 0.0008001 {
			t.Errorf("%v: stats %v", model, s)
		}
		if v := batched.last.Values; v["batches"] != 3 || v["batches_open"] != 0 {
			t.Errorf("%v: last view %v", model, v)
		}
		again := runBatch(t, t.Context(), cfg(nil), input, memo)
		if again.err != nil || h.singles > 0 || !bytes.Equal(again.bytes, batched.bytes) || again.res.Stats["memo_hits"] != 40 {
			t.Errorf("%v: calls do not find what batches bought: %v, %d single calls", model, again.err, h.singles)
		}
		calls := runBatch(t, t.Context(), cfg(nil), input, &llmtest.Memo{})
		if calls.err != nil || h.singles != 40 || !bytes.Equal(calls.bytes, batched.bytes) {
			t.Errorf("%v: calls give something else: %v, %d single calls", model, calls.err, h.singles)
		}
	}
}

// What a batch did not get to stands in errors, the output is incomplete, and the next run
// asks for just that.
func TestExpiredBatchLeavesTheRestForTheNextRun(t *testing.T) {
	h := newBatchHouse(t)
	h.outcome = func(n int) (string, int) {
		if n == 0 {
			return "expired", 30
		}
		return "completed", 1000
	}
	input, memo, dir := writePrompts(t, 30), &llmtest.Memo{}, filepath.Join(t.TempDir(), strings.Repeat("0c", 32))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := h.config(map[string]any{"mode": "batch", "budget_requests": 90})
	first := runBatchIn(t, t.Context(), dir, cfg, input, memo)
	failed := 0
	for _, row := range first.errs {
		for _, p := range row.Paths {
			failed++
			if !strings.Contains(p.Error, "batch") || !strings.Contains(p.Error, "expired") {
				t.Fatalf("error %q", p.Error)
			}
		}
	}
	if first.err != nil || failed != 30 || first.res.Incomplete == "" || h.singles > 0 {
		t.Fatalf("%v, %d paths failed, incomplete %q", first.err, failed, first.res.Incomplete)
	}
	second := runBatchIn(t, t.Context(), dir, cfg, input, memo)
	if second.err != nil || len(second.errs) > 0 || second.res.Incomplete != "" || len(h.batches) != 2 || len(h.batches[1].lines) != 30 {
		t.Fatalf("%v, %d rows failed, %d batches", second.err, len(second.errs), len(h.batches))
	}
}

// mode: auto, empty answers that buy one more try, and a recipe tried with the simulated
// model.
func TestBatchModeChoices(t *testing.T) {
	h := newBatchHouse(t)
	input := writePrompts(t, 10)
	if o := runBatch(t, t.Context(), h.config(map[string]any{"mode": "auto", "batch_min": 21}), input, &llmtest.Memo{}); o.err != nil || h.singles != 20 || len(h.batches) != 0 {
		t.Errorf("few: %v, %d single calls", o.err, h.singles)
	}
	if o := runBatch(t, t.Context(), h.config(map[string]any{"mode": "auto", "batch_min": 20}), input, &llmtest.Memo{}); o.err != nil || h.singles != 20 || len(h.batches) != 1 {
		t.Errorf("many: %v, %d single calls, %d batches", o.err, h.singles, len(h.batches))
	}
	h = newBatchHouse(t)
	h.blank = "plain 3"
	o := runBatch(t, t.Context(), h.config(map[string]any{"mode": "batch"}), input, &llmtest.Memo{})
	if p := o.rows[3].Paths[1]; o.err != nil || strings.TrimSpace(p.Response) != "" || !strings.Contains(string(o.bytes), `"empty":true`) || o.res.Stats["empty"] != 1 {
		t.Errorf("empty: %v, %+v, %v", o.err, p, o.res.Stats)
	}
	h.bought = map[string]int{}
	o = runBatch(t, t.Context(), h.config(map[string]any{"mode": "batch", "retry_on": []any{"empty"}}), input, &llmtest.Memo{})
	if p := o.rows[3].Paths[1]; o.err != nil || p.Response != "re: plain 3" || len(h.batches) != 3 || len(h.batches[2].lines) != 1 || o.res.Stats["retries_on_answer"] != 1 {
		t.Errorf("retry_on: empty: %v, %+v, %d batches, %v", o.err, p, len(h.batches), o.res.Stats)
	}
	h = newBatchHouse(t)
	memo, dir := &llmtest.Memo{}, t.TempDir()
	for i, want := range []int{1, 2, 2} { // bought, bought anew, and the same refreshing once more
		o := runBatchIn(t, t.Context(), dir, h.config(map[string]any{"mode": "batch", "refresh": i > 0}), input, memo)
		if o.err != nil || len(h.batches) != want || h.singles > 0 {
			t.Errorf("refresh, run %d: %v, %d batches", i, o.err, len(h.batches))
		}
	}
	if o := runBatch(t, t.Context(), map[string]any{"mode": "batch"}, input, &llmtest.Memo{}); o.err != nil || len(o.rows) != 10 {
		t.Errorf("simulated: %v", o.err)
	}
}

// A budget that allows a part buys that part, keeps it, and stops; a higher one goes on.
func TestBatchBudget(t *testing.T) {
	h := newBatchHouse(t)
	input, memo, dir := writePrompts(t, 20), &llmtest.Memo{}, filepath.Join(t.TempDir(), strings.Repeat("0d", 32))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o := runBatchIn(t, t.Context(), dir, h.config(map[string]any{"mode": "batch", "budget_requests": 25}), input, memo)
	if o.err == nil || !strings.Contains(o.err.Error(), "budget_requests 25") || len(h.bought) != 25 {
		t.Fatalf("%v after %d prompts", o.err, len(h.bought))
	}
	o = runBatchIn(t, t.Context(), dir, h.config(map[string]any{"mode": "batch", "budget_requests": 40}), input, memo)
	if o.err != nil || len(h.bought) != 40 || h.singles > 0 {
		t.Fatalf("%v after %d prompts", o.err, len(h.bought))
	}
	for q, n := range h.bought {
		if n > 1 {
			t.Errorf("%s was bought %d times", q, n)
		}
	}
}

// TestKilledBatchesAreBoughtOnce kills the process at each step of its talk with the
// server. What the server has sold, and the ledger, say whether anything was bought twice.
func TestKilledBatchesAreBoughtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("kills and repeats whole runs; not with -short")
	}
	const rows = 200 // two prompts a row, in two batches
	input := writePrompts(t, rows)
	for _, step := range []string{"upload", "uploaded", "create", "created", "poll", "content", "half", "gemini create", "gemini created", "gemini poll"} {
		step, gemini := strings.CutPrefix(step, "gemini ")
		for _, at := range []int{1, 2} {
			t.Run(fmt.Sprint(step, at, gemini), func(t *testing.T) {
				t.Parallel()
				h := newBatchHouse(t)
				h.looks = 1
				var mu sync.Mutex
				seen, kill, dead := 0, func() {}, make(chan struct{})
				h.hook = func(s string) bool {
					mu.Lock()
					if s != step {
						mu.Unlock()
						return false
					}
					seen++
					mine, k := seen == at, kill
					mu.Unlock()
					if mine {
						k()
						<-dead
					}
					return mine
				}
				dir := t.TempDir()
				most := 320
				if step == "half" {
					most = 350
				}
				settings := h.config(map[string]any{"mode": "batch", "batch_max": most, "budget_requests": 2 * rows})
				if gemini {
					settings["model"], settings["base_url"] = "gemini/g", h.URL
				}
				cfg, err := json.Marshal(settings)
				if err != nil {
					t.Fatal(err)
				}
				scope := strings.Repeat("0e", 32)
				j := job{Config: cfg, Input: input, Out: filepath.Join(dir, "out"), Work: filepath.Join(dir, "work", scope), Memo: filepath.Join(dir, "memo")}
				if err := os.MkdirAll(j.Work, 0o755); err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				cmd, _ := j.start(t)
				kill = func() { cmd.Process.Kill() }
				mu.Unlock()
				if err := cmd.Wait(); err == nil {
					if step == "half" && at == 2 {
						t.Skip("the second batch is too short for that")
					}
					t.Fatal("the run was not killed")
				}
				close(dead)
				cmd, stderr := j.start(t)
				if err := cmd.Wait(); err != nil {
					t.Fatalf("%v\n%s", err, stderr.Bytes())
				}
				h.mu.Lock()
				defer h.mu.Unlock()
				for q, n := range h.bought {
					if n != 1 {
						t.Fatalf("%s was bought %d times", q, n)
					}
				}
				if len(h.bought) != 2*rows || h.singles > 0 {
					t.Errorf("%d prompts bought, %d single calls", len(h.bought), h.singles)
				}
				b, err := os.ReadFile(j.Out)
				if err != nil || bytes.Count(b, []byte(`"re: `)) != 2*rows {
					t.Errorf("%v, %d answers", err, bytes.Count(b, []byte(`"re: `)))
				}
				memo, err := store.OpenMemo(j.Memo, store.MemoOptions{})
				if err != nil {
					t.Fatal(err)
				}
				defer memo.Close()
				l, err := llm.OpenLedger(memo, keyOf(j.Work))
				if err != nil {
					t.Fatal(err)
				}
				if s := l.Totals(); s.Settled.Requests != 2*rows || s.Answers != 2*rows || s.Lost != (llm.Charge{}) || s.Held != (llm.Charge{}) {
					t.Errorf("ledger %+v", s)
				}
			})
		}
	}
}

// Two stages of a run that ask the same model share its limit of calls at a time.
func TestStagesOfARunShareTheirLimits(t *testing.T) {
	var mu sync.Mutex
	busy, most, crowded := 0, 0, false
	var crowd chan struct{} // closed when six calls are there at once
	hold := 2 * time.Second // for as long as a call waits for that
	te := newTeacher(t, func(_ http.ResponseWriter, q string, _ int) string {
		mu.Lock()
		busy++
		if most = max(most, busy); busy == 6 && !crowded {
			crowded = true
			close(crowd)
		}
		here := crowd
		mu.Unlock()
		select {
		case <-here:
		case <-time.After(hold):
		}
		mu.Lock()
		busy--
		mu.Unlock()
		return "re: " + q
	})
	input := writePrompts(t, 10)
	reg, err := stage.NewRegistry(BatchLLM)
	if err != nil {
		t.Fatal(err)
	}
	run := func(shared [2]*stage.Shared) int {
		mu.Lock()
		most, crowded, crowd = 0, false, make(chan struct{})
		mu.Unlock()
		var wg sync.WaitGroup
		for i, temperature := range []float64{0.1, 0.2} { // different requests
			c, errs := BatchLLM.Decode(config(te, map[string]any{"concurrency": 2 + 3*i, "temperature": temperature}))
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			js, err := c.JSON()
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "out")
			wg.Go(func() {
				_, err := reg.Run(t.Context(), stage.Task{
					Stage: "replies", Type: "batch-llm", Version: BatchLLM.Version, Config: js, WorkDir: t.TempDir(),
					Inputs:  map[string][]stage.Input{"prompts": {{Path: input, Label: "prompts"}}},
					Outputs: map[string]string{"replies": out, "errors": out + ".errors"},
				}, stage.Services{Shared: shared[i], Memo: &llmtest.Memo{}})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		return most
	}
	if n := run([2]*stage.Shared{}); n < 6 {
		t.Errorf("apart only %d calls at a time: the test shows nothing", n)
	}
	hold = time.Millisecond
	s := &stage.Shared{}
	// The stage that begins first may be alone for a moment, with its own limit.
	if n := run([2]*stage.Shared{s, s}); n > 5 {
		t.Errorf("%d calls at a time with limits of 2 and 5", n)
	}
}
