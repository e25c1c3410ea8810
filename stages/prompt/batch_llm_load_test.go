package prompt

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"encoding/json"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// quick is a server without latency: one fixed answer, the body unread.
func quick(t testing.TB) *httptest.Server {
	t.Helper()
	answer := []byte(`{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Some reasoning. The answer is 42."},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5}}`)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(answer) }))
	t.Cleanup(srv.Close)
	return srv
}

// onePrompt makes n rows of one path each.
func onePrompt(t testing.TB, n int) string {
	t.Helper()
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"id":"r%d","task":"gsm8k","question":"q%d","gold_answer":"42","paths":[{"style":"cot","replicate":0,"prompt":"How many are %d and one more? Think step by step."}]}`+"\n", i, i, i)
	}
	file := filepath.Join(t.TempDir(), "prompts.jsonl")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// BenchmarkRequests buys b.N answers from a server without latency, each recorded in a
// durable memo and ledger; BenchmarkMemoHits runs once more over answers that are there.
func BenchmarkRequests(b *testing.B) { benchmark(b, false) }

// BenchmarkMemoHits counts rows that are answered from the memo.
func BenchmarkMemoHits(b *testing.B) { benchmark(b, true) }

func benchmark(b *testing.B, hits bool) {
	srv := quick(b)
	dir := b.TempDir()
	memo, err := store.OpenMemo(filepath.Join(dir, "memo"), store.MemoOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer memo.Close()
	work := filepath.Join(dir, strings.Repeat("0c", 32))
	if err := os.Mkdir(work, 0o755); err != nil {
		b.Fatal(err)
	}
	reg, err := stage.NewRegistry(BatchLLM)
	if err != nil {
		b.Fatal(err)
	}
	input := onePrompt(b, b.N)
	run := func() stage.Result {
		out := filepath.Join(b.TempDir(), "out")
		res, err := reg.Run(b.Context(), stage.Task{
			Stage: "replies", Type: "batch-llm", Version: BatchLLM.Version, WorkDir: work,
			Config:  []byte(fmt.Sprintf(`{"model":"openai/m","base_url":%q,"concurrency":128}`, srv.URL+"/v1")),
			Inputs:  map[string][]stage.Input{"prompts": {{Path: input, Label: "prompts"}}},
			Outputs: map[string]string{"replies": out, "errors": out + ".errors"},
		}, stage.Services{Memo: memo, Getenv: os.Getenv})
		if err != nil {
			b.Fatal(err)
		}
		return res
	}
	want := "calls"
	if hits {
		run()
		want = "memo_hits"
	}
	b.ResetTimer()
	res := run()
	b.StopTimer()
	if res.Stats[want] != float64(b.N) {
		b.Fatalf("%v", res.Stats)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// TestLargeRunStaysSmall buys 100,000 answers in a process of its own and looks at the most
// memory that it ever had.
func TestLargeRunStaysSmall(t *testing.T) {
	if os.Getenv("DISTILLFLOW_HEAVY") == "" {
		t.Skip("set DISTILLFLOW_HEAVY=1 to buy 100,000 answers")
	}
	srv := quick(t)
	dir := t.TempDir()
	cfg, err := json.Marshal(map[string]any{"model": "openai/m", "base_url": srv.URL + "/v1", "concurrency": 128})
	if err != nil {
		t.Fatal(err)
	}
	j := job{Config: cfg, Input: onePrompt(t, 100_000), Out: filepath.Join(dir, "out"), Work: filepath.Join(dir, strings.Repeat("0d", 32)), Memo: filepath.Join(dir, "memo")}
	if err := os.Mkdir(j.Work, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bought", "from the memo"} {
		start := time.Now()
		cmd, stderr := j.start(t)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, stderr.Bytes())
		}
		use, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			t.Skip("this system does not say how much memory a process used")
		}
		t.Logf("100,000 rows %s: %s, at most %d MB resident", name, time.Since(start).Round(10*time.Millisecond), use.Maxrss>>10)
		if use.Maxrss>>10 > 500 { // kilobytes on Linux
			t.Errorf("%s: %d MB", name, use.Maxrss>>10)
		}
	}
}

// TestPaceAgainstALimit runs for half a minute against a server with 200 ms of latency that
// refuses the 601st request of any minute, and, as providers do, the eleventh of a second.
func TestPaceAgainstALimit(t *testing.T) {
	if os.Getenv("DISTILLFLOW_HEAVY") == "" {
		t.Skip("set DISTILLFLOW_HEAVY=1 to run for half a minute")
	}
	const rpm, rows = 600, 300
	var mu sync.Mutex
	var at []time.Time
	refused := 0
	te := newTeacher(t, func(w http.ResponseWriter, q string, _ int) string {
		mu.Lock()
		now := time.Now()
		at = append(at, now)
		n := 0
		for _, u := range at {
			if now.Sub(u) < time.Second {
				n++
			}
		}
		if n > rpm/60+1 {
			refused++
			mu.Unlock()
			w.WriteHeader(429)
			return ""
		}
		mu.Unlock()
		time.Sleep(200 * time.Millisecond)
		return "re: " + q
	})
	start := time.Now()
	o := runBatch(t, t.Context(), config(te, map[string]any{"rpm": rpm, "concurrency": 32}), onePrompt(t, rows), nil)
	took := time.Since(start)
	if o.err != nil {
		t.Fatal(o.err)
	}
	got := float64(rows-1) / at[len(at)-1].Sub(at[0]).Minutes()
	t.Logf("%d requests in %s: %.1f a minute, %d refused", rows, took.Round(time.Millisecond), got, refused)
	if refused > 0 || got < 0.97*rpm || got > rpm {
		t.Errorf("%.1f requests a minute of %d, %d refused", got, rpm, refused)
	}
}
