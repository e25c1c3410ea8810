package prompt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// childJob names the file that tells a child process of a test what to run.
const childJob = "DISTILLFLOW_TEST_BATCH_LLM_JOB"

func TestMain(m *testing.M) {
	if file := os.Getenv(childJob); file != "" {
		if err := runChild(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m) // no test leaves goroutines behind
}

// job is one run of the stage in a process of its own.
type job struct {
	Config json.RawMessage
	Input  string
	Out    string
	Work   string
	Memo   string
}

func runChild(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var j job
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	memo, err := store.OpenMemo(j.Memo, store.MemoOptions{})
	if err != nil {
		return err
	}
	defer memo.Close()
	reg, err := stage.NewRegistry(BatchLLM)
	if err != nil {
		return err
	}
	_, err = reg.Run(context.Background(), stage.Task{
		Stage: "replies", Type: "batch-llm", Version: BatchLLM.Version, Config: j.Config, WorkDir: j.Work, Key: keyOf(j.Work),
		Inputs:  map[string][]stage.Input{"prompts": {{Path: j.Input, Label: "prompts"}}},
		Outputs: map[string]string{"replies": j.Out, "errors": j.Out + ".errors"},
	}, stage.Services{Memo: memo, Getenv: os.Getenv})
	return err
}

// start begins a job; the process is the caller's to wait for.
func (j job) start(t *testing.T) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	b, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "job.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childJob+"="+file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &stderr
}

// TestKilledRunsBuyNothingTwice kills a run of 2,000 prompts again and again while it buys
// and lets it end. The server's log says what was bought, the ledger what was counted.
func TestKilledRunsBuyNothingTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("kills and repeats whole runs; not with -short")
	}
	const rows, concurrency = 1000, 16 // two prompts a row
	kills, spacing := 5, 300
	if os.Getenv("DISTILLFLOW_HEAVY") != "" {
		kills, spacing = 50, 36
	}
	rng := rand.New(rand.NewPCG(4, uint64(kills)))

	var mu sync.Mutex
	var epochs [][]string // what each process asked, in order of arrival
	killAt, kill := 0, func() {}
	te := newTeacher(t, func(_ http.ResponseWriter, q string, _ int) string {
		mu.Lock()
		epochs[len(epochs)-1] = append(epochs[len(epochs)-1], q)
		if killAt > 0 && len(epochs[len(epochs)-1]) == killAt {
			go kill()
		}
		mu.Unlock()
		time.Sleep(time.Duration(len(q)%3) * time.Millisecond)
		return "re: " + q
	})
	dir := t.TempDir()
	cfg, err := json.Marshal(config(te, map[string]any{"concurrency": concurrency, "budget_tokens": 100_000_000, "max_tokens": 10}))
	if err != nil {
		t.Fatal(err)
	}
	scope := strings.Repeat("0b", 32)
	j := job{Config: cfg, Input: writePrompts(t, rows), Out: filepath.Join(dir, "out"), Work: filepath.Join(dir, "work", scope), Memo: filepath.Join(dir, "memo")}
	if err := os.MkdirAll(j.Work, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(at int, delay time.Duration) (killed bool) {
		mu.Lock()
		epochs = append(epochs, nil)
		mu.Unlock()
		cmd, stderr := j.start(t)
		mu.Lock()
		killAt, kill = at, func() { time.Sleep(delay); cmd.Process.Kill() }
		mu.Unlock()
		err := cmd.Wait()
		if at == 0 && err != nil {
			t.Fatalf("%v\n%s", err, stderr.Bytes())
		}
		// What was in flight at a kill may arrive after it, and belongs to the killed process.
		for before := -1; ; time.Sleep(50 * time.Millisecond) {
			mu.Lock()
			arrived := len(epochs[len(epochs)-1])
			mu.Unlock()
			if arrived == before {
				return err != nil
			}
			before = arrived
		}
	}
	n := 0
	for range kills {
		if run(1+rng.IntN(spacing), time.Duration(rng.IntN(4000))*time.Microsecond) {
			n++
		}
	}
	run(0, 0)
	if n < kills*9/10 {
		t.Fatalf("only %d of %d runs were killed", n, kills)
	}

	total, distinct := 0, map[string]bool{}
	for e, asked := range epochs {
		again := 0
		here := map[string]int{}
		for _, q := range asked {
			total++
			distinct[q] = true
			if here[q]++; here[q] > 1 {
				t.Errorf("process %d asked %q %d times", e, q, here[q])
			}
		}
		later := map[string]bool{}
		for _, l := range epochs[e+1:] {
			for _, q := range l {
				later[q] = true
			}
		}
		for q := range here {
			if later[q] {
				again++
			}
		}
		if again > concurrency {
			t.Errorf("%d prompts of process %d were bought again, %d calls could be in flight", again, e, concurrency)
		}
	}
	if len(distinct) != 2*rows || total > 2*rows+n*concurrency {
		t.Errorf("%d calls for %d prompts, %d kills", total, len(distinct), n)
	}

	got, err := os.ReadFile(j.Out)
	if err != nil {
		t.Fatal(err)
	}
	memo, err := store.OpenMemo(j.Memo, store.MemoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer memo.Close()
	ledger, err := llm.OpenLedger(memo, keyOf(j.Work))
	if err != nil {
		t.Fatal(err)
	}
	sum := ledger.Totals()
	counted := sum.Settled.Requests + sum.Lost.Requests
	if sum.Answers != 2*rows || sum.Settled.Requests != sum.Answers || sum.Open.Requests != 0 {
		t.Errorf("the ledger says %+v, %d answers were received", sum, 2*rows)
	}
	if counted < total || counted-total > n*concurrency || sum.Lost.Requests > n*concurrency {
		t.Errorf("the ledger counts %d calls (%+v), the server %d", counted, sum, total)
	}
	if want := 2 * rows * 15; sum.Settled.Tokens != want {
		t.Errorf("%d tokens settled, want %d", sum.Settled.Tokens, want)
	}

	calm := j
	calm.Memo, calm.Out = filepath.Join(dir, "memo2"), filepath.Join(dir, "out2")
	mu.Lock()
	killAt, epochs = 0, append(epochs, nil)
	mu.Unlock()
	cmd, stderr := calm.start(t)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	want, err := os.ReadFile(calm.Out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the output differs from that of an undisturbed run")
	}
	t.Logf("%d kills: %d calls for %d prompts, ledger %+v", n, total, 2*rows, sum)
}

// refresh: true buys every answer once more; the run that goes on in the same working folder
// is the same refreshing, and later runs take the newest answers.
func TestRefresh(t *testing.T) {
	te := newTeacher(t, func(_ http.ResponseWriter, q string, n int) string { return fmt.Sprint("answer ", n) })
	input, memo := writePrompts(t, 5), &llmtest.Memo{}
	plain, anew := config(te, nil), config(te, map[string]any{"refresh": true})
	dir := t.TempDir()
	var last outcome
	for i, step := range []struct {
		cfg   map[string]any
		dir   string
		calls int
	}{{plain, t.TempDir(), 10}, {plain, t.TempDir(), 10}, {anew, dir, 20}, {anew, dir, 20}, {plain, t.TempDir(), 20}, {anew, t.TempDir(), 30}} {
		o := runBatchIn(t, t.Context(), step.dir, step.cfg, input, memo)
		if o.err != nil || te.calls() != step.calls {
			t.Fatalf("step %d: %v, %d calls, want %d", i, o.err, te.calls(), step.calls)
		}
		if same := bytes.Equal(o.bytes, last.bytes); i > 0 && same == (step.calls == 20 && i == 2 || i == 5) {
			t.Errorf("step %d: same answers as before: %v", i, same)
		}
		last = o
	}
}

// More failures than the threshold allows end the stage; what was bought is kept.
func TestThresholdEndsTheStage(t *testing.T) {
	te := newTeacher(t, func(w http.ResponseWriter, q string, _ int) string {
		if strings.HasSuffix(q, "7") { // one in ten
			w.WriteHeader(400)
			return ""
		}
		return "re: " + q
	})
	input, memo := writePrompts(t, 100), &llmtest.Memo{}
	o := runBatch(t, t.Context(), config(te, map[string]any{"threshold": "2%"}), input, memo)
	if o.err == nil || !strings.Contains(o.err.Error(), "threshold of 2%") || te.calls() > 150 || memo.Len() < 80 {
		t.Errorf("%v after %d calls, %d kept", o.err, te.calls(), memo.Len())
	}
	if o := runBatch(t, t.Context(), config(te, map[string]any{"threshold": "15%"}), input, memo); o.err != nil || len(o.errs) != 10 {
		t.Errorf("%v, %d rows with errors", o.err, len(o.errs))
	}
}
