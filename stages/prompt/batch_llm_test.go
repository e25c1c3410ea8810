package prompt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/stagetest"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
	"github.com/distillflow/distillflow/schema"
)

func TestBatchLLMGolden(t *testing.T) { stagetest.Golden(t, BatchLLM) }

const plantedKey = "sk-planted-key-0123456789"

// teacher is an OpenAI-compatible server that counts what it is asked. answer may refuse
// by writing to w itself and returning "".
type teacher struct {
	*httptest.Server
	mu    sync.Mutex
	count int
}

// calls is how often the server was asked. A cancelled request may still be
// arriving when a stage has ended, hence the lock.
func (te *teacher) calls() int {
	te.mu.Lock()
	defer te.mu.Unlock()
	return te.count
}

func newTeacher(t *testing.T, answer func(w http.ResponseWriter, prompt string, call int) string) *teacher {
	t.Helper()
	te := &teacher{}
	te.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Messages []llm.Message `json:"messages"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
			return
		}
		q := body.Messages[len(body.Messages)-1].Content
		te.mu.Lock()
		te.count++
		n := te.count
		te.mu.Unlock()
		if a := answer(w, q, n); a != "" {
			json.NewEncoder(w).Encode(map[string]any{
				"choices": []any{map[string]any{"message": map[string]any{"content": a}, "finish_reason": "stop"}},
				"usage":   map[string]any{"prompt_tokens": 10, "completion_tokens": 5},
			})
		}
	}))
	t.Cleanup(te.Close)
	return te
}

func echo(_ http.ResponseWriter, q string, _ int) string { return "re: " + q }

// outcome is what one run of the stage left.
type outcome struct {
	res   stage.Result
	err   error
	bytes []byte
	rows  []schema.Problem
	errs  []schema.Problem // the port errors
	warns []string
	last  stage.Progress
}

func runBatch(t *testing.T, ctx context.Context, cfg map[string]any, input string, memo stage.Memo) outcome {
	t.Helper()
	return runBatchIn(t, ctx, t.TempDir(), cfg, input, memo)
}

// runBatchIn runs the stage with a working folder that may have seen a run before.
func runBatchIn(t *testing.T, ctx context.Context, dir string, cfg map[string]any, input string, memo stage.Memo) outcome {
	t.Helper()
	c, errs := BatchLLM.Decode(cfg)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	js, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	reg, err := stage.NewRegistry(BatchLLM)
	if err != nil {
		t.Fatal(err)
	}
	out, errsFile := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "errors")
	var o outcome
	o.res, o.err = reg.Run(ctx, stage.Task{
		Stage: "replies", Type: "batch-llm", Version: BatchLLM.Version, Config: js, WorkDir: dir, Key: keyOf(dir),
		Inputs:  map[string][]stage.Input{"prompts": {{Path: input, Label: "prompts"}}},
		Outputs: map[string]string{"replies": out, "errors": errsFile},
	}, stage.Services{
		Progress: func(p stage.Progress) { o.last = p },
		Memo:     memo, Warn: func(s string) { o.warns = append(o.warns, s) },
		Getenv: func(n string) string { return map[string]string{"OPENAI_API_KEY": plantedKey}[n] },
	})
	if o.err == nil {
		if o.bytes, err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
		for row, err := range stage.RowsFrom[schema.Problem](out, "out").All() {
			if err != nil {
				t.Fatal(err)
			}
			o.rows = append(o.rows, row)
		}
		for row, err := range stage.RowsFrom[schema.Problem](errsFile, "errors").All() {
			if err != nil {
				t.Fatal(err)
			}
			o.errs = append(o.errs, row)
		}
	}
	return o
}

// writePrompts makes n rows of two paths each.
func writePrompts(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"id":"r%d","task":"gsm8k","question":"q%d","gold_answer":"secretgold","paths":[{"style":"cot","replicate":0,"prompt":"cot %d"},{"style":"plain","replicate":0,"prompt":"plain %d"}]}`+"\n", i, i, i, i)
	}
	file := filepath.Join(t.TempDir(), "prompts.jsonl")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func config(te *teacher, more map[string]any) map[string]any {
	cfg := map[string]any{"model": "openai/m", "base_url": te.URL + "/v1"}
	for k, v := range more {
		cfg[k] = v
	}
	return cfg
}

func TestOrderDoesNotDependOnConcurrency(t *testing.T) {
	te := newTeacher(t, func(w http.ResponseWriter, q string, n int) string {
		time.Sleep(time.Duration(n%7) * time.Millisecond)
		return "re: " + q
	})
	input := writePrompts(t, 60)
	one := runBatch(t, t.Context(), config(te, map[string]any{"concurrency": 1}), input, nil)
	many := runBatch(t, t.Context(), config(te, map[string]any{"concurrency": 32}), input, nil)
	if one.err != nil || many.err != nil {
		t.Fatal(one.err, many.err)
	}
	if !bytes.Equal(one.bytes, many.bytes) || len(one.rows) != 60 {
		t.Errorf("outputs differ: %d and %d bytes", len(one.bytes), len(many.bytes))
	}
	for i, r := range many.rows {
		for _, p := range r.Paths {
			if p.Response != "re: "+p.Prompt || p.Provider != "openai/m" || p.FinishReason != "stop" || p.Error != "" {
				t.Errorf("row %d: %+v", i, p)
			}
		}
	}
	if s := many.res.Stats; s["calls"] != 120 || s["prompt_tokens"] != 1200 || s["finish_stop"] != 120 {
		t.Errorf("stats %v", s)
	}
}

// A run that is cut off and then repeated asks the server for every prompt once, apart
// from the calls that were in flight.
func TestInterruptedRunPaysForNothingTwice(t *testing.T) {
	const rows, concurrency = 100, 4
	input := writePrompts(t, rows)
	memo := &llmtest.Memo{}
	ctx, cancel := context.WithCancel(t.Context())
	var te *teacher
	var cutting atomic.Bool
	cutting.Store(true)
	te = newTeacher(t, func(w http.ResponseWriter, q string, n int) string {
		if cutting.Load() && n == 50 {
			cancel()
		}
		return "re: " + q
	})
	cfg := config(te, map[string]any{"concurrency": concurrency})
	if o := runBatch(t, ctx, cfg, input, memo); !errors.Is(o.err, context.Canceled) {
		t.Fatalf("%v", o.err)
	}
	cutting.Store(false)
	bought := memo.Len()
	if bought < 40 || bought >= 2*rows {
		t.Fatalf("%d answers were recorded before the cut", bought)
	}
	second := runBatch(t, t.Context(), cfg, input, memo)
	if second.err != nil {
		t.Fatal(second.err)
	}
	if te.calls() > 2*rows+concurrency {
		t.Errorf("%d calls for %d prompts", te.calls(), 2*rows)
	}
	if got := int(second.res.Stats["calls"]); got != 2*rows-bought {
		t.Errorf("the second run sent %d requests, %d were missing", got, 2*rows-bought)
	}
	undisturbed := runBatch(t, t.Context(), cfg, input, nil)
	if !bytes.Equal(second.bytes, undisturbed.bytes) {
		t.Error("the resumed output differs from an undisturbed one")
	}
	before := te.calls()
	if third := runBatch(t, t.Context(), cfg, input, memo); third.err != nil || te.calls() != before || third.res.Stats["memo_hits"] != 2*rows {
		t.Errorf("third run: %v, %d calls, %v", third.err, te.calls()-before, third.res.Stats)
	}
}

func TestMoreReplicatesBuyOnlyTheNewOnes(t *testing.T) {
	te := newTeacher(t, func(_ http.ResponseWriter, q string, n int) string { return fmt.Sprint("answer ", n) })
	input, memo := writePrompts(t, 5), &llmtest.Memo{}
	for _, n := range []int{1, 4, 8} {
		o := runBatch(t, t.Context(), config(te, map[string]any{"replicates": n}), input, memo)
		if o.err != nil {
			t.Fatal(o.err)
		}
		if te.calls() != 10*n {
			t.Errorf("%d replicates: %d calls in all, want %d", n, te.calls(), 10*n)
		}
		for _, r := range o.rows {
			if len(r.Paths) != 2*n {
				t.Fatalf("%d paths", len(r.Paths))
			}
			distinct := map[string]bool{}
			for i, p := range r.Paths {
				distinct[p.Response] = true
				if p.Replicate != i%n || p.Style != []string{"cot", "plain"}[i/n] {
					t.Errorf("path %d is %s/%d", i, p.Style, p.Replicate)
				}
			}
			if len(distinct) != 2*n {
				t.Errorf("replicates share answers: %v", distinct)
			}
		}
	}
}

func TestErrorsAreKeptAndAskedAgain(t *testing.T) {
	var healed atomic.Bool
	te := newTeacher(t, func(w http.ResponseWriter, q string, n int) string {
		switch {
		case q == "cot 3" && !healed.Load():
			w.WriteHeader(503)
			io.WriteString(w, "sorry "+plantedKey)
			return ""
		case q == "plain 5":
			w.WriteHeader(400)
			io.WriteString(w, `{"error":{"message":"too long"}}`)
			return ""
		}
		return "re: " + q
	})
	input, memo := writePrompts(t, 10), &llmtest.Memo{}
	cfg := config(te, map[string]any{"max_retries": 0})
	o := runBatch(t, t.Context(), cfg, input, memo)
	if o.err != nil {
		t.Fatal(o.err)
	}
	if len(o.errs) != 2 || len(o.rows) != 10 || len(o.rows[3].Paths) != 1 || len(o.rows[5].Paths) != 1 {
		t.Fatalf("%d rows with errors, %+v", len(o.errs), o.rows)
	}
	p3, p5 := o.errs[0].Paths[0], o.errs[1].Paths[0]
	if p3.Prompt != "cot 3" || p5.Prompt != "plain 5" || p3.Error == "" || p3.Answered() || p5.Error == "" || !strings.Contains(p5.Error, "too long") {
		t.Errorf("%+v\n%+v", p3, p5)
	}
	if !strings.HasPrefix(o.res.Incomplete, "1 requests") || len(o.warns) == 0 {
		t.Errorf("incomplete %q, warnings %v", o.res.Incomplete, o.warns)
	}
	if strings.Contains(string(o.bytes)+o.res.Incomplete+strings.Join(o.warns, ""), plantedKey) {
		t.Error("the key stands in the output")
	}
	healed.Store(true)
	before := te.calls()
	o = runBatch(t, t.Context(), cfg, input, memo)
	if o.err != nil || o.res.Incomplete != "" || o.rows[3].Paths[0].Response != "re: cot 3" || te.calls()-before != 2 {
		t.Errorf("%v, incomplete %q, %d calls", o.err, o.res.Incomplete, te.calls()-before)
	}
	cfg["on_error"] = "fail_fast"
	if o = runBatch(t, t.Context(), cfg, input, memo); llm.KindOf(o.err) != llm.KindInvalid {
		t.Errorf("on_error: fail_fast gave %v", o.err)
	}
}

func TestWrongKeyEndsTheStage(t *testing.T) {
	te := newTeacher(t, func(w http.ResponseWriter, q string, n int) string {
		w.WriteHeader(401)
		fmt.Fprintf(w, `{"error":{"message":"bad key %s"}}`, plantedKey)
		return ""
	})
	o := runBatch(t, t.Context(), config(te, map[string]any{"concurrency": 2}), writePrompts(t, 50), nil)
	if llm.KindOf(o.err) != llm.KindAuth || te.calls() > 4 || strings.Contains(o.err.Error(), plantedKey) {
		t.Errorf("%v after %d calls", o.err, te.calls())
	}
}

func TestProviderThatIsDownEndsTheStage(t *testing.T) {
	te := newTeacher(t, func(w http.ResponseWriter, q string, n int) string { w.WriteHeader(500); return "" })
	o := runBatch(t, t.Context(), config(te, map[string]any{"max_retries": 0, "concurrency": 2, "max_outage": 0}), writePrompts(t, 200), nil)
	if o.err == nil || !strings.Contains(o.err.Error(), "down") || te.calls() > 40 {
		t.Errorf("%v after %d calls", o.err, te.calls())
	}
}

func TestBudgetStopsAndResumes(t *testing.T) {
	te := newTeacher(t, echo)
	input, memo := writePrompts(t, 20), &llmtest.Memo{}
	// The working folder of a stage is named by what it makes.
	dir := filepath.Join(t.TempDir(), strings.Repeat("a1", 32))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var be *llm.BudgetError
	for _, limit := range []int{7, 7, 30} { // the second run finds the budget used up
		o := runBatchIn(t, t.Context(), dir, config(te, map[string]any{"budget_requests": limit}), input, memo)
		if !errors.As(o.err, &be) || te.calls() != limit {
			t.Fatalf("budget_requests: %d: %v, %d calls", limit, o.err, te.calls())
		}
	}
	o := runBatchIn(t, t.Context(), dir, config(te, map[string]any{"budget_requests": 40}), input, memo)
	if o.err != nil || te.calls() != 40 {
		t.Errorf("%v, %d calls", o.err, te.calls())
	}
}

func TestBatchConfigErrors(t *testing.T) {
	for field, cfg := range map[string]map[string]any{
		"model":        {"model": "gpt-4o"},
		"budget_usd":   {"model": "openai/m", "budget_usd": 5.0},
		"max_tokens":   {"model": "openai/m", "budget_tokens": 5, "max_tokens": 0},
		"price_input":  {"price_output": 1.0},
		"extra":        {"extra": []any{1}},
		"simulated":    {"simulated": map[string]any{"accuracy": map[string]any{"cot": 7.0}}},
		"replicates":   {"replicates": 0},
		"on_error":     {"on_error": "ignore"},
		"threshold":    {"threshold": "200%"},
		"retry_on":     {"retry_on": []any{"anger"}},
		"json_schema":  {"json_schema": "object"},
		"fallback":     {"model": "openai/m", "fallback": []any{map[string]any{"model": "simulated"}}},
		"tokens_field": {"tokens_field": "tokens"},
	} {
		_, errs := BatchLLM.Decode(cfg)
		if len(errs) == 0 || errs[0].Path[0] != field {
			t.Errorf("%v: %v, want an error at %s", cfg, errs, field)
		}
	}
	if _, errs := BatchLLM.Decode(map[string]any{"budget_usd": 5.0}); len(errs) > 0 {
		t.Errorf("the simulated teacher costs nothing, but: %v", errs)
	}
}

// Fields that cannot change an answer stay out of the key.
func TestSemanticFields(t *testing.T) {
	base := map[string]any{"model": "openai/m", "price_input": 1.0, "price_output": 1.0}
	for field, v := range map[string]any{
		"api_key_env": "K", "api_key_file": "k", "concurrency": 99, "rpm": 5.0, "timeout": 3.0, "max_retries": 1, "tpm": 7.0, "max_outage": 1.0, "refresh": true, "stream": true, "price_file": "p", "threshold": "2%",
		"budget_requests": 5, "budget_tokens": 5, "budget_usd": 5.0, "price_input": 2.0, "price_output": 2.0,
	} {
		if k := semantic(t, base, field, v); len(k) != 1 {
			t.Errorf("%s is part of the key: %v", field, k)
		}
	}
	for field, v := range map[string]any{
		"base_url": "http://h", "endpoint": "e", "system": "s", "temperature": 0.0, "top_p": 1.0, "max_tokens": 7,
		"seed": 0, "stop": []any{"x"}, "replicates": 2, "extra": map[string]any{"a": 1}, "json_schema": map[string]any{"type": "object"}, "retry_on": []any{"empty"}, "simulated": map[string]any{"seed": 1},
	} {
		if k := semantic(t, base, field, v); len(k) != 2 {
			t.Errorf("%s is no part of the key: %v", field, k)
		}
	}
}

func semantic(t *testing.T, base map[string]any, field string, v any) map[string]json.RawMessage {
	t.Helper()
	cfg := map[string]any{field: v}
	for k, b := range base {
		if k != field {
			cfg[k] = b
		}
	}
	c, errs := BatchLLM.Decode(cfg)
	if len(errs) > 0 {
		t.Fatal(field, errs)
	}
	m, err := c.Semantic()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// 100,000 rows through the simulated teacher; heap growth shows whether rows pile up.
func TestManyRowsStayOutOfMemory(t *testing.T) {
	if os.Getenv("DISTILLFLOW_HEAVY") == "" {
		t.Skip("set DISTILLFLOW_HEAVY=1 to run 100,000 rows")
	}
	input := writePrompts(t, 100_000)
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		var top uint64
		for {
			select {
			case <-stop:
				peak <- top
				return
			case <-time.After(20 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				top = max(top, m.HeapInuse)
			}
		}
	}()
	dir := t.TempDir()
	reg, err := stage.NewRegistry(BatchLLM)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	res, err := reg.Run(t.Context(), stage.Task{Stage: "replies", Type: "batch-llm", Version: BatchLLM.Version, WorkDir: dir, Key: keyOf(dir), Config: []byte("{}"),
		Inputs:  map[string][]stage.Input{"prompts": {{Path: input, Label: "prompts"}}},
		Outputs: map[string]string{"replies": filepath.Join(dir, "out"), "errors": filepath.Join(dir, "errors")}}, stage.Services{})
	close(stop)
	top := <-peak
	if err != nil || res.Rows["replies"] != 100_000 {
		t.Fatal(err, res.Rows)
	}
	t.Logf("100,000 rows, 200,000 answers in %s, heap peak %d MB", time.Since(start).Round(time.Millisecond), top>>20)
	if top > 200<<20 {
		t.Errorf("heap peak %d MB", top>>20)
	}
}

// keyOf is the action key of a stage whose working folder the engine has named
// after it; other folders belong to none.
func keyOf(workDir string) string {
	if base := filepath.Base(workDir); len(base) == 64 {
		return base
	}
	return ""
}

// What a reasoning model thought stands beside its answer, not in it.
func TestThoughtsStandBesideTheAnswer(t *testing.T) {
	te := newTeacher(t, func(w http.ResponseWriter, q string, _ int) string {
		io.WriteString(w, `{"choices":[{"message":{"content":"four","reasoning_content":"two and two"},"finish_reason":"stop"}]}`)
		return ""
	})
	o := runBatch(t, t.Context(), config(te, nil), writePrompts(t, 1), nil)
	if o.err != nil || len(o.rows) != 1 {
		t.Fatal(o.err, len(o.rows))
	}
	if p := o.rows[0].Paths[0]; p.Response != "four" || p.Reasoning != "two and two" {
		t.Errorf("%+v", p)
	}
}

func TestThoughtsInTheText(t *testing.T) {
	for text, want := range map[string]schema.Path{
		"<plan>add</plan><think>2+2</think>\n\nfour": {Response: "four", Reasoning: "add\n2+2", FinishReason: "stop"},
		"<THINK>I wonder": {Reasoning: "I wonder", FinishReason: "length"},
	} {
		te := newTeacher(t, func(http.ResponseWriter, string, int) string { return text })
		o := runBatch(t, t.Context(), config(te, map[string]any{"thought_tags": []any{[]any{"<plan>", "</plan>"}}}), writePrompts(t, 1), nil)
		if o.err != nil || len(o.rows) != 1 {
			t.Fatal(o.err, len(o.rows))
		}
		p := o.rows[0].Paths[0]
		if p.Response != want.Response || p.Reasoning != want.Reasoning || p.FinishReason != want.FinishReason {
			t.Errorf("%q: %+v", text, p)
		}
	}
}

// A server that the environment names counts as if it stood in the recipe.
func TestServerFromTheEnvironment(t *testing.T) {
	in := BatchLLM.In(func(name string) string {
		return map[string]string{"OPENAI_BASE_URL": "http://here/v1/"}[name]
	})
	for given, want := range map[string]string{
		`{"model":"openai/m"}`: `"http://here/v1"`, `{"model":"openai/m","base_url":"http://there"}`: `"http://there"`, `{"model":"gemini/m"}`: "",
		`{"model":"openai/m","thinking":{"effort":"low"}}`: `"http://here/v1"`, // a model of that server, not of OpenAI's
	} {
		var tree any
		if err := json.Unmarshal([]byte(given), &tree); err != nil {
			t.Fatal(err)
		}
		c, errs := in.Decode(tree)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		s, err := c.Semantic()
		if err != nil || string(s["base_url"]) != want {
			t.Errorf("%s: %s, %v", given, s["base_url"], err)
		}
	}
}
