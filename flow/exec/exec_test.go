package exec_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

type row struct {
	Text string `json:"text"`
}

func (row) RecordType() string { return "row" }

type config struct {
	Act string `json:"act" doc:"What the test does while the stage runs."`
}

type in struct {
	Rows []stage.Rows[row] `port:"rows,optional" doc:"Rows."`
}

type out struct {
	Rows *stage.Writer[row] `port:"rows" doc:"One row: what the act returns."`
}

// act is what a stage does: it returns the text of the only row.
type act func(ctx context.Context, env *stage.Env) (string, error)

// bench is a store and a recipe of stages whose acts the test supplies. There are
// three stage types, which differ in their class: pure, sampled and volatile.
type bench struct {
	testing.TB
	store *store.Store
	reg   *stage.Registry
	graph *graph.Graph
	acts  map[string]act
	opts  exec.Options

	mu     sync.Mutex
	events []event.Event
	runs   int // how many stages have run
}

func newBench(t *testing.T, text string, acts map[string]act, types ...*stage.Type) *bench {
	t.Helper()
	b := &bench{TB: t, acts: acts}
	var err error
	for _, class := range []stage.Class{stage.Pure, stage.Sampled, stage.Volatile} {
		types = append(types, stage.Define(stage.Spec{Type: string(class), Version: 1, Class: class, Doc: "A toy."},
			func(ctx context.Context, env *stage.Env, c config, _ in, o out) error {
				b.mu.Lock()
				b.runs++
				a := b.acts[c.Act]
				b.mu.Unlock()
				text := c.Act
				if a != nil {
					var err error
					if text, err = a(ctx, env); err != nil {
						return err
					}
				}
				return o.Rows.Write(row{text})
			}))
	}
	if b.reg, err = stage.NewRegistry(types...); err != nil {
		t.Fatal(err)
	}
	r, diags := recipe.Parse(filepath.Join(t.TempDir(), "r.yaml"), []byte(text), recipe.Options{})
	g, more := graph.Build(r, b.reg)
	if diags.Add(more...); diags.HasErrors() {
		t.Fatal(diags)
	}
	if b.store, err = store.Open(filepath.Join(t.TempDir(), "store"), store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.store.Close() })
	b.graph = g
	b.opts = exec.Options{RecipeID: "r", Jobs: 4, RetryPause: time.Nanosecond, Sink: func(e event.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	}}
	return b
}

// Run is the [exec.Runner] of this process.
func (b *bench) Run(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error) {
	return b.reg.Run(ctx, t, stage.Services{Progress: h.Progress, Warn: h.Warn})
}

// run runs the recipe and forgets the events of earlier runs.
func (b *bench) run(ctx context.Context) (*exec.Outcome, error) {
	b.events = nil
	return exec.Run(ctx, b.graph, b.store, b, b.opts)
}

// mustRun runs the recipe and wants these states, written "stage:state ...".
func (b *bench) mustRun(want string) *exec.Outcome {
	b.Helper()
	o, err := b.run(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.states(o, want)
	return o
}

func (b *bench) states(o *exec.Outcome, want string) {
	b.Helper()
	var got []string
	for _, name := range slices.Sorted(maps.Keys(o.States)) {
		got = append(got, fmt.Sprintf("%s:%s", name, o.States[name]))
	}
	if diff := cmp.Diff(strings.Fields(want), got); diff != "" {
		b.Errorf("states (-want +got):\n%s", diff)
	}
}

// had lists the stages with an event of a kind, sorted.
func (b *bench) had(k event.Kind) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for _, e := range b.events {
		if e.Kind == k {
			names = append(names, e.Stage)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// message is the message of the only event of a kind.
func (b *bench) message(k event.Kind) string {
	b.Helper()
	found := b.messages(k)
	if len(found) != 1 {
		b.Fatalf("messages %q", found)
	}
	return found[0]
}

// messages gives the messages of the events of a kind.
func (b *bench) messages(k event.Kind) (found []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Kind == k {
			found = append(found, e.Message)
		}
	}
	return found
}

func (b *bench) text(o *exec.Outcome, stageName string) string {
	b.Helper()
	path, err := b.store.Path(o.Outputs[stageName]["rows"].Digest)
	if err != nil {
		b.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	var r row
	if err := json.Unmarshal(raw, &r); err != nil {
		b.Fatal(err)
	}
	return r.Text
}

func fails(context.Context, *stage.Env) (string, error) { return "", errors.New("toy failure") }

func TestSecondRunTakesAllFromTheCache(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: pure, with: {act: a}}
  b: {uses: sampled, from: a, with: {act: b}}
  c: {uses: volatile, from: [a, b], with: {act: c}}
  off: {uses: pure, when: false}
`, nil)
	b.mustRun("a:done b:done c:done off:skipped")
	if got := b.had(event.StageStarted); got != "a b c" {
		t.Errorf("started %q", got)
	}
	o := b.mustRun("a:cached b:cached c:cached off:skipped")
	if got := b.had(event.StageHit); got != "a b c" || b.runs != 3 {
		t.Errorf("taken from the cache: %q; %d runs", got, b.runs)
	}
	if b.text(o, "b") != "b" || len(o.Preimages) != 3 {
		t.Errorf("outcome %+v", o)
	}
	last, err := b.store.LastAll("r")
	if err != nil || len(last) != 3 {
		t.Errorf("remembered %v (%v)", last, err)
	}
	b.opts.Force = map[string]bool{"a": true}
	b.mustRun("a:done b:cached c:cached off:skipped") // the same bytes came out
}

func TestFailureStopsWhatDependsOnItAndNothingElse(t *testing.T) {
	b := newBench(t, `
stages:
  bad: {uses: pure, with: {act: bad}}
  behind: {uses: pure, from: bad}
  further: {uses: pure, from: behind}
  other: {uses: pure, with: {act: other}}
`, map[string]act{"bad": fails})
	o := b.mustRun("bad:failed behind:blocked further:blocked other:done")
	var se *exec.StageError
	if len(o.Errors) != 1 || !errors.As(o.Errors[0], &se) || se.Stage != "bad" || se.Error() != "stage bad: toy failure" {
		t.Errorf("errors %v", o.Errors)
	}
	if got := b.had(event.StageSkipped); got != "behind further" {
		t.Errorf("skipped %q", got)
	}
}

// A helper goroutine of a stage panics while another stage is at work: that one
// ends well, and the error says which stage panicked, and where.
func TestPanicInAHelperGoroutine(t *testing.T) {
	running, panicked := make(chan struct{}), make(chan struct{})
	b := newBench(t, `
stages:
  buggy: {uses: pure, with: {act: buggy}, retries: 3}
  behind: {uses: pure, from: buggy}
  other: {uses: pure, with: {act: other}}
`, map[string]act{
		"buggy": func(context.Context, *stage.Env) (string, error) {
			<-running
			var g parallel.Group
			g.Go(func() error { helperThatPanics(); return nil })
			return "", g.Wait()
		},
		"other": func(context.Context, *stage.Env) (string, error) {
			close(running)
			<-panicked
			return "well", nil
		},
	})
	sink := b.opts.Sink
	b.opts.Sink = func(e event.Event) {
		sink(e)
		if e.Kind == event.StageFailed {
			close(panicked)
		}
	}
	o := b.mustRun("behind:blocked buggy:failed other:done")
	var bug *parallel.PanicError
	if len(o.Errors) != 1 || !errors.As(o.Errors[0], &bug) {
		t.Fatalf("errors %v", o.Errors)
	}
	if msg := o.Errors[0].Error(); !strings.HasPrefix(msg, "stage buggy: internal error: toy panic\n") || !strings.Contains(msg, "helperThatPanics") {
		t.Errorf("error %s", msg)
	}
	if b.had(event.StageWarning) != "" {
		t.Error("a bug was tried again")
	}
}

func helperThatPanics() { panic("toy panic") }

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	b := newBench(t, `
stages:
  a: {uses: pure, with: {act: a}}
  b: {uses: pure, from: a, with: {act: b}}
  c: {uses: pure, from: b, with: {act: c}}
  queued: {uses: pure, with: {act: queued}}
`, map[string]act{"a": func(ctx context.Context, _ *stage.Env) (string, error) {
		cancel(errors.New("the user said so"))
		<-ctx.Done()
		return "", errors.New("a consequence")
	}})
	b.opts.Jobs = 1
	o, err := b.run(ctx)
	if err == nil || !strings.Contains(err.Error(), "the user said so") {
		t.Errorf("error %v", err)
	}
	b.states(o, "a:stopped b:stopped c:stopped queued:stopped")
	if len(o.Errors) > 0 || b.had(event.StageFailed) != "" || b.had(event.StageStopped) != "a" || b.had(event.StageStarted) != "a" {
		t.Errorf("errors %v, events %v", o.Errors, b.events)
	}
	b.acts = nil
	b.mustRun("a:done b:done c:done queued:done")
}

func TestRetries(t *testing.T) {
	tries := 0 // of the stage that runs alone
	flaky := func(context.Context, *stage.Env) (string, error) {
		if tries++; tries < 3 {
			return "", errors.New("toy failure")
		}
		return "at last", nil
	}
	final := func(context.Context, *stage.Env) (string, error) {
		tries++
		return "", fmt.Errorf("asking: %w", permanent{})
	}
	panics := func(context.Context, *stage.Env) (string, error) { tries++; panic("toy panic") }
	for name, c := range map[string]struct {
		act     act
		retries int
		state   string
		tries   int
	}{
		"mended by the last try":  {flaky, 2, "a:done", 3},
		"too few tries":           {flaky, 1, "a:failed", 2},
		"no retries":              {flaky, 0, "a:failed", 1},
		"no try can help":         {final, 5, "a:failed", 1},
		"a bug is not worth more": {panics, 5, "a:failed", 1},
	} {
		t.Run(name, func(t *testing.T) {
			tries = 0
			b := newBench(t, fmt.Sprintf("stages: {a: {uses: pure, with: {act: a}, retries: %d}}", c.retries), map[string]act{"a": c.act})
			o := b.mustRun(c.state)
			if tries != c.tries {
				t.Errorf("%d tries, want %d", tries, c.tries)
			}
			if c.state == "a:done" && b.text(o, "a") != "at last" {
				t.Errorf("output %q", b.text(o, "a"))
			}
			if got := len(strings.Fields(b.had(event.StageWarning))); got != c.tries-1 {
				t.Errorf("%d warnings for %d tries", got, c.tries)
			}
		})
	}
}

// What earlier tries paid counts, whatever became of them; what says how a try went does not.
func TestTriesAddUp(t *testing.T) {
	tries := 0
	b := newBench(t, "stages: {a: {uses: pure, with: {act: a}, retries: 2}}", map[string]act{"a": func(_ context.Context, env *stage.Env) (string, error) {
		tries++
		env.AddStat("calls", 10)
		env.AddStat("usd", 0.25)
		env.AddStat("calls_per_second", 5)
		if tries < 3 {
			return "", errors.New("toy failure")
		}
		return "at last", nil
	}})
	b.mustRun("a:done")
	want := map[string]float64{"calls": 30, "usd": 0.75, "calls_per_second": 5}
	for _, e := range b.events {
		if e.Kind == event.StageDone && !maps.Equal(e.Values, want) {
			t.Errorf("figures %v, want %v", e.Values, want)
		}
	}
	b = newBench(t, "stages: {a: {uses: pure, with: {act: a}, retries: 1}}", map[string]act{"a": func(_ context.Context, env *stage.Env) (string, error) {
		env.AddStat("calls", 1)
		return "", errors.New("toy failure")
	}})
	b.mustRun("a:failed")
	for _, e := range b.events {
		if e.Kind == event.StageFailed && e.Values["calls"] != 2 {
			t.Errorf("figures %v", e.Values)
		}
	}
}

// The pause between tries doubles up to a minute.
func TestPausesBetweenTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		b := newBench(t, "stages: {a: {uses: pure, with: {act: a}, retries: 4}}", map[string]act{"a": func(context.Context, *stage.Env) (string, error) {
			at = append(at, time.Since(start))
			return "", errors.New("toy failure")
		}})
		b.opts.RetryPause = 20 * time.Second
		b.mustRun("a:failed")
		if want := []time.Duration{0, 20 * time.Second, time.Minute, 2 * time.Minute, 3 * time.Minute}; !slices.Equal(at, want) {
			t.Errorf("tries at %v, want %v", at, want)
		}
	})
}

type permanent struct{}

func (permanent) Error() string   { return "toy failure for good" }
func (permanent) Permanent() bool { return true }

// A timeout is the error, whatever the stage says when it is stopped, and another
// try gets the whole time again.
func TestTimeout(t *testing.T) {
	waits := func(ctx context.Context, _ *stage.Env) (string, error) {
		<-ctx.Done()
		return "", errors.New("a consequence")
	}
	b := newBench(t, `
stages:
  slow: {uses: pure, with: {act: slow}, timeout: 1ns, retries: 1}
  fast: {uses: pure, with: {act: fast}, timeout: 1h}
`, map[string]act{"slow": waits})
	o := b.mustRun("fast:done slow:failed")
	var late *exec.TimeoutError
	if len(o.Errors) != 1 || !errors.As(o.Errors[0], &late) || late.Timeout != 1 {
		t.Errorf("errors %v", o.Errors)
	}
	if got := b.message(event.StageWarning); !strings.Contains(got, "try 1 of 2 failed (stopped after its timeout of 1ns)") {
		t.Errorf("warning %q", got)
	}
}

// Three stages share one CPU: one runs at a time, and each gets its turn.
func TestResourcesAreGivenBack(t *testing.T) {
	var now, most int // the stages exclude each other, which the race detector checks too
	alone := func(context.Context, *stage.Env) (string, error) {
		now++
		most = max(most, now)
		runtime.Gosched()
		now--
		return "", nil
	}
	b := newBench(t, `
stages:
  a: {uses: pure, with: {act: a}, resources: {cpus: 1}}
  b: {uses: pure, with: {act: b}, resources: {cpus: 0.6}}
  c: {uses: pure, with: {act: c}, resources: {cpus: 0.6}}
`, map[string]act{"a": alone, "b": alone, "c": alone})
	cpus := 1.0
	b.opts.Limits.CPUs = &cpus
	b.mustRun("a:done b:done c:done")
	if most != 1 {
		t.Errorf("%d ran at a time", most)
	}
}

// Another result for the same inputs does not replace the first.
func TestConflict(t *testing.T) {
	n := 0
	b := newBench(t, "stages: {v: {uses: volatile, with: {act: v}}}", map[string]act{
		"v": func(context.Context, *stage.Env) (string, error) { n++; return fmt.Sprint("result ", n), nil },
	})
	b.mustRun("v:done")
	b.opts.Force = map[string]bool{"v": true}
	o := b.mustRun("v:done")
	if got := b.message(event.StageWarning); !strings.Contains(got, "gave another result than before") || n != 2 {
		t.Errorf("warning %q after %d runs", got, n)
	}
	if got := b.text(o, "v"); got != "result 1" {
		t.Errorf("output %q", got)
	}
}

// A result that was asked for anew replaces a complete one, unless it is incomplete.
func TestReplace(t *testing.T) {
	n := 0
	b := newBench(t, `
stages:
  v: {uses: sampled, with: {act: v}}
  behind: {uses: pure, from: v, with: {act: behind}}
`, map[string]act{"v": func(_ context.Context, env *stage.Env) (string, error) {
		if n++; n == 2 {
			env.Incomplete("one answer is missing")
		}
		return fmt.Sprint("result ", n), nil
	}})
	b.mustRun("behind:done v:done")
	b.opts.Force, b.opts.Replace = map[string]bool{"v": true}, map[string]bool{"v": true}
	o := b.mustRun("behind:cached v:done")
	if got := b.text(o, "v"); got != "result 1" || o.Incomplete["v"] || !strings.Contains(b.message(event.StageWarning), "the earlier complete result stays in force") {
		t.Errorf("output %q, incomplete %v, warning %q", got, o.Incomplete, b.message(event.StageWarning))
	}
	o = b.mustRun("behind:done v:done")
	if got := b.text(o, "v"); got != "result 3" {
		t.Errorf("output %q", got)
	}
	b.opts.Force, b.opts.Replace = nil, nil
	o = b.mustRun("behind:cached v:cached")
	if got := b.text(o, "v"); got != "result 3" || n != 3 {
		t.Errorf("output %q after %d runs", got, n)
	}
}

func TestIncompleteResultIsUsedAndAskedForAgain(t *testing.T) {
	missing := true
	b := newBench(t, `
stages:
  some: {uses: sampled, with: {act: some}}
  behind: {uses: pure, from: some, with: {act: behind}}
`, map[string]act{"some": func(_ context.Context, env *stage.Env) (string, error) {
		if missing {
			env.Incomplete("one answer is missing")
		}
		return "x", nil
	}})
	o := b.mustRun("behind:done some:done")
	if !o.Incomplete["some"] || o.Incomplete["behind"] || !strings.Contains(b.message(event.StageWarning), "one answer is missing") {
		t.Errorf("incomplete %v", o.Incomplete)
	}
	missing = false
	if o := b.mustRun("behind:cached some:done"); len(o.Incomplete) > 0 {
		t.Errorf("incomplete %v", o.Incomplete)
	}
	b.mustRun("behind:cached some:cached")
}

func TestSave(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: pure, with: {act: a}, save: a.jsonl}
  b: {uses: pure, with: {act: b}, save: b.jsonl}
`, nil)
	b.opts.Save = func(n *graph.Node, outputs map[string]store.Output) (map[string]string, error) {
		if n.Name == "b" {
			return nil, errors.New("the disk is full")
		}
		if outputs["rows"].Rows != 1 {
			t.Errorf("outputs %v", outputs)
		}
		return map[string]string{"rows": n.Stage.Save}, nil
	}
	for _, want := range []string{"a:done b:failed", "a:cached b:failed"} { // what is cached is saved too
		o := b.mustRun(want)
		if len(o.Errors) != 1 || o.Errors[0].Error() != "stage b: save: the disk is full" {
			t.Errorf("errors %v", o.Errors)
		}
		if got := b.had(event.StageSaved); got != "a" {
			t.Errorf("saved %q", got)
		}
	}
}

func TestOnlyDefersTheRest(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: pure, with: {act: a}}
  b: {uses: sampled, from: a, with: {act: b}}
  c: {uses: pure, from: b}
`, nil)
	b.opts.Only = func(n *graph.Node) bool { return n.Name != "b" }
	b.mustRun("a:done b:deferred c:deferred")
	if b.runs != 1 || b.had(event.StageFailed) != "" {
		t.Errorf("%d runs, events %v", b.runs, b.events)
	}
}

// A refusal counts before a stage runs and before a cached result is used.
func TestCheckRefuses(t *testing.T) {
	b := newBench(t, "stages: {a: {uses: pure, with: {act: a}}}", nil)
	refuse := func(_ context.Context, _ *graph.Node, preimage json.RawMessage, outputs map[string]store.Output) error {
		if len(preimage) == 0 {
			t.Error("no preimage")
		}
		return errors.New("not as locked")
	}
	b.opts.Check = refuse
	b.mustRun("a:failed")
	if b.runs != 0 {
		t.Error("it ran all the same")
	}
	b.opts.Check = nil
	b.mustRun("a:done")
	b.opts.Check = refuse
	b.mustRun("a:failed")
	if b.had(event.StageHit) != "" {
		t.Error("the refused result was taken from the cache")
	}
}

// Somebody else makes the same result: the run says so, waits, and takes it.
func TestWaitingForAnotherHolder(t *testing.T) {
	b := newBench(t, "stages: {a: {uses: pure, with: {act: a}}}", nil)
	other, err := store.Open(b.store.Dir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	p, err := plan.New(t.Context(), b.graph, b.store, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := other.LockKey(t.Context(), p.Steps[0].Key, nil)
	if err != nil {
		t.Fatal(err)
	}
	sink := b.opts.Sink
	b.opts.Sink = func(e event.Event) {
		sink(e)
		if e.Kind == event.StageWaiting {
			unlock()
		}
	}
	b.mustRun("a:done")
	if got := b.message(event.StageWaiting); !strings.HasPrefix(got, "another stage of this process has been making the same result since 2") {
		t.Errorf("message %q", got)
	}
}
