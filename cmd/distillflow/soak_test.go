package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// TestSoak is one process that runs the program's commands for as long as
// DISTILLFLOW_SOAK says, such as 2h, one round of all of soakSteps after the other, with
// faults in between: runs that are cancelled, workers that are killed, stores that rot,
// a provider that breaks. After each round it notes what the process holds, and at the end
// it wants none of it to grow. DISTILLFLOW_SOAK_OUT names a folder for the table, which is
// renewed after each round; docs/soak.md shows one.
func TestSoak(t *testing.T) {
	length := time.Minute
	if v := os.Getenv("DISTILLFLOW_SOAK"); v == "" {
		t.Skip("set DISTILLFLOW_SOAK to a length of time, such as 2h")
	} else if d, err := time.ParseDuration(v); err == nil {
		length = d
	} else {
		t.Fatal(err)
	}
	// Test programs sample allocations for a profile that keeps an entry for every stack it
	// ever saw; the program itself does not.
	runtime.MemProfileRate = 0
	s := newSoak(t)
	start := time.Now()
	for s.round = 1; ; s.round++ {
		s.doRound()
		s.samples = append(s.samples, s.sample(time.Since(start)))
		over := time.Since(start) >= length
		table := s.table()
		if dir := os.Getenv("DISTILLFLOW_SOAK_OUT"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "table.md"), []byte(table), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if over {
			t.Log("\n" + table)
			break
		}
	}
	for _, v := range s.verdicts() {
		if v.grows() {
			t.Errorf("%s grows: %s", v.name, v)
		}
	}
}

// TestSoakBegins runs the step that goes through most stages, so that what the soak needs
// stays true between soaks.
func TestSoakBegins(t *testing.T) {
	s := newSoak(t)
	s.round = 1
	s.train()
}

// soak is the state of the test: one folder with recipes, their store and memo, and a
// teacher.
type soak struct {
	t       *testing.T
	dir     string
	tmp     string // TMPDIR: what is left there is a leak
	rand    *rand.Rand
	round   int
	teacher *flakyTeacher
	samples []soakSample
	exits   map[string]map[int]int // step -> exit status -> times
}

// soakRecipes are small recipes of different kinds; each run differs by its seed or its rows.
var soakRecipes = map[string]string{
	"small.yaml": `
stages:
  problems: {uses: scan, with: {root: train.jsonl, task: gsm8k}}
  prompts: {uses: wrap-cot, from: problems, with: {styles: [cot, code, plain]}}
  replies: {uses: batch-llm, from: prompts}
  preds: {uses: extract, from: replies}
  graded: {uses: verify-math, from: preds, save: out/}
  judged: {uses: judge, from: graded.correct}
  students:
    uses: train-moe
    from: judged.valid
    with:
      students:
        - {name: llama, arch: llama, d_model: 16, layers: 1, tokenizer: word}
        - {name: gemma, arch: gemma, d_model: 16, layers: 1, tokenizer: bpe}
      warmup_steps: 4
      warmup_batch: 4
      max_steps: 6
      batch: 4
      checkpoint_every: 2
      log_every: 2
  tests: {uses: scan, with: {root: test.jsonl, task: gsm8k}}
  scores: {uses: evaluate-students, from: {models: students.models, problems: tests}, save: out/}
  rates: {uses: posrate, from: students.router_log, save: out/}
`,
	"asked.yaml": `
params: {model: openai/m}
stages:
  problems: {uses: scan, with: {root: asked.jsonl, task: gsm8k}}
  prompts: {uses: wrap-cot, from: problems, with: {styles: [cot, plain]}}
  replies:
    uses: batch-llm
    from: prompts
    with: {model: "${{ params.model }}", base_url: TEACHER, max_retries: 1, max_outage: 0, timeout: 0.3, concurrency: 4}
  preds: {uses: extract, from: replies}
  graded: {uses: verify-math, from: preds, save: out/asked/}
`,
	"local.yaml": `
params: {warm: {type: float, default: 1}}
stages:
  problems: {uses: scan, with: {root: few.jsonl, task: gsm8k}}
  prompts: {uses: wrap-cot, from: problems, with: {styles: [plain]}}
  replies:
    uses: batch-llm
    from: prompts
    with: {model: local/model, device: cpu, max_tokens: 4, temperature: "${{ params.warm }}"}
  preds: {uses: extract, from: replies}
  answers: {uses: generate, from: problems, with: {model: model, device: cpu, max_new: 4}}
  pool: {uses: import, with: {root: pool.jsonl}}
  student: {uses: train-sft, from: pool, with: {d_model: 16, layers: 1, heads: 1, epochs: 2, batch: 4, dev_fraction: 0, log_every: 2}}
  scored: {uses: score, from: {problems: pool, models: student.models}}
  tuned: {uses: train-sft, from: pool, with: {name: tuned, model: model, device: cpu, lora: {r: 2}, epochs: 1, batch: 4, dev_fraction: 0}}
  tests: {uses: import, with: {root: tests.jsonl}}
  scores: {uses: evaluate-students, from: {models: student.models, problems: tests}, with: {max_new: 4}, save: out/local/}
`,
	"broken.yaml": `
stages:
  problems: {uses: scan, with: {root: gone.jsonl, task: gsm8k}}
  prompts: {uses: wrap-cot, from: nobody}
`,
	"damaged.yaml": `
stages:
  rows: {uses: import, with: {root: damaged.jsonl}}
  kept: {uses: filter, from: rows, with: {where: "true"}}
`,
}

func newSoak(t *testing.T) *soak {
	s := &soak{t: t, dir: t.TempDir(), rand: rand.New(rand.NewPCG(18, 1)), exits: map[string]map[int]int{}}
	s.tmp = filepath.Join(s.dir, "tmp")
	s.teacher = newFlakyTeacher(t)
	if err := os.Mkdir(s.tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range soakRecipes {
		s.write(name, strings.ReplaceAll(strings.TrimSpace(text)+"\n", "TEACHER", s.teacher.srv.URL))
	}
	for _, f := range []string{"train.jsonl", "test.jsonl"} {
		s.copy(filepath.Join("testdata", "faults", f), f)
	}
	if err := os.CopyFS(filepath.Join(s.dir, "model"), os.DirFS("../../stages/train/testdata/train-sft/basic/model")); err != nil {
		t.Fatal(err)
	}
	var pool, tests, few strings.Builder
	for i := range 8 {
		fmt.Fprintf(&pool, `{"id": "p%d", "task": "gsm8k", "question": "%d + 2?", "gold_answer": "%d", "paths": [{"style": "plain", "response": "The answer is %d.", "finish_reason": "stop"}]}`+"\n", i, i, i+2, i+2)
		fmt.Fprintf(&tests, `{"id": "t%d", "task": "gsm8k", "question": "%d + 3?", "gold_answer": "%d"}`+"\n", i, i, i+3)
		if i < 2 {
			fmt.Fprintf(&few, `{"id": "f%d", "question": "What is %d + 4?", "answer": "%d"}`+"\n", i, i, i+4)
		}
	}
	s.write("pool.jsonl", pool.String())
	s.write("tests.jsonl", tests.String())
	s.write("few.jsonl", few.String())
	s.write("damaged.jsonl", "{\"id\": \"a\"\n")
	for name, value := range map[string]string{
		"DISTILLFLOW_MEMO": filepath.Join(s.dir, "memo"), "OPENAI_API_KEY": "planted-key", "TMPDIR": s.tmp,
		"DISTILLFLOW_STORE":           "",
		asProgram:                     "1", // for workers: they are this binary
		"OTEL_EXPORTER_OTLP_ENDPOINT": s.teacher.srv.URL + "/otel",
	} {
		t.Setenv(name, value)
	}
	t.Chdir(s.dir)
	return s
}

func (s *soak) write(name, text string) {
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *soak) copy(from, to string) {
	b, err := os.ReadFile(from)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(to, string(b))
}

// do runs one command line in this process; its status must be one of those that are
// wanted, and nothing may have panicked.
func (s *soak) do(ctx context.Context, want []int, args ...string) string {
	var b syncBuffer
	status := s.start(ctx, &b, args...)
	out := b.String()
	if !slices.Contains(want, status) || strings.Contains(out, "internal error") {
		s.t.Errorf("round %d: distillflow %s: status %d, want one of %v\n%s", s.round, strings.Join(args, " "), status, want, out)
	}
	return out
}

func (s *soak) start(ctx context.Context, w io.Writer, args ...string) int {
	a := app{in: strings.NewReader(""), out: w, err: w, getenv: os.Getenv}
	status := a.run(ctx, args)
	s.teacher.mu.Lock() // steps run two commands at a time
	defer s.teacher.mu.Unlock()
	if s.exits[args[0]] == nil {
		s.exits[args[0]] = map[int]int{}
	}
	s.exits[args[0]][status]++
	return status
}

// syncBuffer is what two goroutines may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// doRound does all steps once, in another order each time; the store is collected last,
// so that rounds can be compared.
func (s *soak) doRound() {
	steps := slices.Clone(soakSteps)
	s.rand.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, step := range steps {
		step(s)
	}
	// Without --older-than the checkpoints of runs that were interrupted would stay.
	s.do(s.t.Context(), []int{exitOK}, "cache", "gc", "--keep-last", "2", "--older-than", "1s")
}

var soakSteps = []func(*soak){
	(*soak).train, (*soak).ask, (*soak).local, (*soak).cancel, (*soak).killWorkers, (*soak).rot,
	(*soak).two, (*soak).browse, (*soak).look, (*soak).pack, (*soak).lock, (*soak).steer, (*soak).wrong,
}

func (s *soak) seed() string { return strconv.Itoa(1000*s.round + s.rand.IntN(1000)) }

// train runs the whole path, and again from the cache.
func (s *soak) train() {
	seed := s.seed()
	for range 2 {
		s.do(s.t.Context(), []int{exitOK}, "run", "--plain", "--seed", seed, "--metrics-addr", "127.0.0.1:0", "small.yaml")
	}
}

// ask asks a teacher that breaks in all its ways; then one that is well for what is missing.
func (s *soak) ask() {
	var rows strings.Builder
	for i := range 4 {
		fmt.Fprintf(&rows, `{"id": "a%d", "question": "Round %d: what is %d + 1?", "answer": "%d"}`+"\n", i, s.round, i, i+1)
	}
	s.write("asked.jsonl", rows.String())
	run := []string{"run", "--plain", "asked.yaml"} // as long as its capacity
	s.teacher.set(0.6, 0)
	s.do(s.t.Context(), []int{exitOK, exitFailed}, run...)
	s.teacher.set(0, 0)
	s.do(s.t.Context(), []int{exitOK}, run...)
	s.do(s.t.Context(), []int{exitOK, exitUsage}, append(run, "--only-errors")...) // the usage if nothing was refused
	before := s.teacher.count()
	s.do(s.t.Context(), []int{exitOK}, append(run, "--force", "replies")...)
	if n := s.teacher.count() - before; n != 0 {
		s.t.Errorf("round %d: %d answers that were paid for were bought again", s.round, n)
	}
}

// local trains and asks models in this process.
func (s *soak) local() {
	s.do(s.t.Context(), []int{exitOK}, "run", "--plain", "--seed", s.seed(), "--set", fmt.Sprint("warm=", 1+float64(s.round)/1000), "local.yaml")
}

// cancel interrupts runs of all kinds.
func (s *soak) cancel() {
	s.teacher.set(0, 200*time.Millisecond)
	for _, args := range [][]string{
		{"run", "--plain", "--seed", s.seed(), "small.yaml"},
		{"run", "--plain", "--seed", s.seed(), "--isolate", "small.yaml"},
		{"run", "--plain", "--seed", s.seed(), "--set", "warm=" + fmt.Sprint(2+float64(s.round)/1000), "local.yaml"},
		{"run", "--plain", "--set", "model=openai/other", "asked.yaml"},
	} {
		ctx, cancel := context.WithCancel(s.t.Context())
		timer := time.AfterFunc(time.Duration(s.rand.IntN(1500))*time.Millisecond, cancel)
		s.do(ctx, []int{exitOK, exitInterrupted}, args...)
		timer.Stop()
		cancel()
	}
}

// killWorkers lets the processes of stages die at a point of their work.
func (s *soak) killWorkers() {
	run := []string{"run", "--plain", "--isolate", "--seed", s.seed(), "small.yaml"}
	plan, err := json.Marshal(childPlan{Worker: true, At: 1 + s.rand.IntN(4), Do: "kill"})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.Setenv(faultPlan, string(plan)); err != nil {
		s.t.Fatal(err)
	}
	s.do(s.t.Context(), []int{exitOK, exitFailed}, run...)
	if err := os.Unsetenv(faultPlan); err != nil {
		s.t.Fatal(err)
	}
	s.do(s.t.Context(), []int{exitOK}, run...)
}

// rot damages files of the store. What is damaged is made anew.
func (s *soak) rot() {
	seed := s.seed()
	run := []string{"run", "--plain", "--seed", seed, "small.yaml"}
	s.do(s.t.Context(), []int{exitOK}, run...)
	for _, part := range []string{"blobs", "actions"} {
		var files []string
		err := filepath.WalkDir(filepath.Join(s.dir, ".distillflow", part), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files = append(files, path)
			}
			return err
		})
		if err != nil || len(files) == 0 {
			s.t.Fatalf("%d files of %s: %v", len(files), part, err)
		}
		file := files[s.rand.IntN(len(files))]
		b, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(b) > 0 {
			b[s.rand.IntN(len(b))] ^= 1 << s.rand.IntN(8)
		}
		// Blobs are read-only, and other stores may share the inode.
		if err := errors.Join(os.Remove(file), os.WriteFile(file, b, 0o444)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.do(s.t.Context(), []int{exitOK, exitFailed}, "cache", "verify")
	s.do(s.t.Context(), []int{exitOK}, run...)
	s.do(s.t.Context(), []int{exitOK}, "memo", "verify")
}

// two runs at once on one store, with a collection in between.
func (s *soak) two() {
	seed := s.seed()
	var g parallel.Group
	for range 2 {
		g.Go(func() error {
			s.do(s.t.Context(), []int{exitOK}, "run", "--plain", "--seed", seed, "small.yaml")
			return nil
		})
	}
	g.Go(func() error {
		s.do(s.t.Context(), []int{exitOK, exitFailed}, "cache", "gc", "--keep-last", "2") // refused while runs use the store
		return nil
	})
	if err := g.Wait(); err != nil {
		s.t.Error(err)
	}
}

// look shows what runs left, in every form.
func (s *soak) look() {
	s.do(s.t.Context(), []int{exitOK}, "run", "--plain", "--report", "report.html", "small.yaml")
	for _, args := range [][]string{
		{"runs", "small.yaml"}, {"runs", "--format", "json"}, {"show", "small.yaml"}, {"outputs", "small.yaml"},
		{"log", "small.yaml", "students"}, {"cat", "small.yaml", "replies"}, {"plan", "--format", "svg", "small.yaml"},
		{"plan", "--format", "mermaid", "local.yaml"}, {"validate", "small.yaml"}, {"cache", "stats"},
		{"stages"}, {"memo", "export", "answers.dfa", "asked.yaml"}, {"ui", "small.yaml", "--export", "pages"},
	} {
		want := []int{exitOK}
		if args[0] == "memo" {
			want = []int{exitOK, exitUsage, exitFailed} // no run of asked.yaml is done, or a result of it rotted
		}
		s.do(s.t.Context(), want, args...)
	}
	if err := errors.Join(os.RemoveAll("pages"), os.RemoveAll("answers.dfa")); err != nil {
		s.t.Fatal(err)
	}
}

// pack makes a bundle and repeats it in another folder.
func (s *soak) pack() {
	s.do(s.t.Context(), []int{exitOK}, "run", "--plain", "small.yaml")
	s.do(s.t.Context(), []int{exitOK}, "bundle", "create", "last", "b.tar.zst", "small.yaml")
	s.do(s.t.Context(), []int{exitOK}, "bundle", "replay", "b.tar.zst", "--dir", "replay")
	if err := errors.Join(os.RemoveAll("replay"), os.Remove("b.tar.zst")); err != nil {
		s.t.Fatal(err)
	}
}

// lock writes a lock and follows it; a run that deviates is refused.
func (s *soak) lock() {
	seed := s.seed()
	s.do(s.t.Context(), []int{exitOK}, "run", "--plain", "--lock", "--seed", seed, "small.yaml")
	s.do(s.t.Context(), []int{exitOK}, "run", "--plain", "--locked", "--seed", seed, "small.yaml")
	s.do(s.t.Context(), []int{exitDeviates}, "run", "--plain", "--locked", "--seed", "1", "small.yaml")
}

// steer pauses, resumes and stops a run from outside.
func (s *soak) steer() {
	s.teacher.set(0, 5*time.Second)
	before := s.teacher.count()
	wait := parallel.Start(func() error {
		s.do(s.t.Context(), []int{exitOK, exitInterrupted}, "run", "--plain", "--set", fmt.Sprint("model=openai/steered-", s.round), "asked.yaml")
		return nil
	})
	for end := time.Now().Add(10 * time.Second); s.teacher.count() == before && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	for _, command := range []string{"pause", "resume", "stop"} {
		s.do(s.t.Context(), []int{exitOK, exitFailed, exitUsage}, "ctl", "last", command) // the run may be over
	}
	if err := wait(); err != nil {
		s.t.Error(err)
	}
}

// wrong gives recipes and commands that cannot work.
func (s *soak) wrong() {
	s.do(s.t.Context(), []int{exitUsage}, "run", "broken.yaml")
	s.do(s.t.Context(), []int{exitFailed}, "run", "--plain", "damaged.yaml")
	s.do(s.t.Context(), []int{exitUsage}, "run", "nothing.yaml")
	s.do(s.t.Context(), []int{exitUsage}, "run", "--plain", "--force", "nobody", "small.yaml")
	s.do(s.t.Context(), []int{exitUsage}, "nonsense")
}

// browse opens pages while a run goes on; live ones are left half way.
func (s *soak) browse() {
	s.do(s.t.Context(), []int{exitOK}, "run", "--plain", "small.yaml")
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	first := &firstLine{line: make(chan string, 1)}
	wait := parallel.Start(func() error {
		if status := s.start(ctx, first, "ui", "small.yaml"); status != exitOK && status != exitInterrupted {
			s.t.Errorf("ui: status %d", status)
		}
		return nil
	})
	var url string
	select {
	case url = <-first.line:
	case <-time.After(30 * time.Second):
		s.t.Fatal("ui gave no address")
	}
	seed := s.seed()
	running := parallel.Start(func() error {
		s.do(s.t.Context(), []int{exitOK}, "run", "--plain", "--seed", seed, "small.yaml")
		return nil
	})
	b := newBrowser(url)
	for _, page := range []string{"", "runs/last", "runs/last/records/replies/replies", "runs/last/count/replies/replies", "runs/last/routing/students/router_log", "runs/last/summary", "compare", "runs/nothing", "static/ui.js"} {
		if status := b.get(s.t.Context(), page, time.Minute); status != http.StatusOK && status < 400 || status >= 500 {
			s.t.Errorf("round %d: page %q: status %d", s.round, page, status)
		}
	}
	for _, page := range []string{"live", "runs/last/live"} {
		b.get(s.t.Context(), page, 300*time.Millisecond)
	}
	if err := running(); err != nil {
		s.t.Error(err)
	}
	cancel()
	if err := wait(); err != nil {
		s.t.Error(err)
	}
	b.client.CloseIdleConnections() // ours, not the program's
}

// firstLine hands on the first line that is written.
type firstLine struct {
	mu   sync.Mutex
	text string
	line chan string
}

func (f *firstLine) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text += string(p)
	if line, _, ok := strings.Cut(f.text, "\n"); ok {
		select {
		case f.line <- line:
		default:
		}
	}
	return len(p), nil
}

// browser reads pages of ui.
type browser struct {
	base   string
	client *http.Client
}

func newBrowser(url string) *browser {
	base, _, _ := strings.Cut(url, "?")
	b := &browser{base: base, client: &http.Client{Transport: &http.Transport{}, Jar: newJar()}}
	b.get(context.Background(), strings.TrimPrefix(url, base), time.Minute) // takes the cookie
	return b
}

// get reads a page to its end, or for some time; 0 is a page that gave no status.
func (b *browser) get(ctx context.Context, page string, atMost time.Duration) int {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+page, nil)
	if err != nil {
		return 0
	}
	res, err := b.client.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// flakyTeacher is an OpenAI-compatible server with every kind of trouble.
type flakyTeacher struct {
	srv   *httptest.Server
	mu    sync.Mutex
	rand  *rand.Rand
	share float64       // of requests that fail
	delay time.Duration // of every answer
	calls int           // that were answered
}

func newFlakyTeacher(t *testing.T) *flakyTeacher {
	f := &flakyTeacher{rand: rand.New(rand.NewPCG(18, 2))}
	f.srv = httptest.NewServer(http.HandlerFunc(f.answer))
	t.Cleanup(f.srv.Close)
	return f
}

func (f *flakyTeacher) set(share float64, delay time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.share, f.delay = share, delay
}

func (f *flakyTeacher) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *flakyTeacher) answer(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if strings.HasPrefix(r.URL.Path, "/otel") {
		http.Error(w, "no traces here", http.StatusServiceUnavailable)
		return
	}
	f.mu.Lock()
	trouble := -1
	if f.rand.Float64() < f.share {
		trouble = f.rand.IntN(8)
	}
	delay := f.delay
	if trouble < 0 {
		f.calls++
	}
	f.mu.Unlock()
	const good = `{"choices":[{"message":{"content":"Thought. The answer is \\boxed{5}."},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`
	switch trouble {
	case 0:
		http.Error(w, "not now", http.StatusTooManyRequests)
	case 1:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case 2:
		http.Error(w, `{"error":{"message":"never"}}`, http.StatusBadRequest)
	case 3:
		fmt.Fprint(w, "<html>a proxy")
	case 4: // promises more than it sends
		w.Header().Set("Content-Length", "100000")
		fmt.Fprint(w, good)
	case 5: // cuts the connection
		panic(http.ErrAbortHandler)
	case 6: // hangs
		sleep(r.Context(), 2*time.Second)
	case 7: // half an answer, then nothing
		fmt.Fprint(w, good[:40])
		_ = http.NewResponseController(w).Flush()
		sleep(r.Context(), 2*time.Second)
		panic(http.ErrAbortHandler)
	default:
		sleep(r.Context(), delay)
		fmt.Fprint(w, good)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
