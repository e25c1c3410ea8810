package flow_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
)

// load is what stages of the type busy take together.
type load struct {
	mu           sync.Mutex
	now, highest int
}

type busyConfig struct {
	Cost int    `json:"cost" doc:"What it takes."`
	Tag  string `json:"tag" doc:"Tells stages apart."`
}

func busyToys(g *gate) []*stage.Type {
	return []*stage.Type{
		deviceToy(&g.devices),
		stage.Define(stage.Spec{Type: "busy", Version: 1, Class: stage.Pure, Doc: "Takes something for a while."},
			func(_ context.Context, _ *stage.Env, c busyConfig, _ noIn, out wordsOut) error {
				g.load.mu.Lock()
				g.load.now += c.Cost
				g.load.highest = max(g.load.highest, g.load.now)
				g.load.mu.Unlock()
				for range 50 {
					runtime.Gosched()
				}
				g.load.mu.Lock()
				g.load.now -= c.Cost
				g.load.mu.Unlock()
				return out.Words.Write(word{c.Tag})
			}),
	}
}

func limits(cpus float64, memory, gpus int64) exec.Limits {
	return exec.Limits{CPUs: &cpus, Memory: &memory, GPUs: &gpus}
}

func TestResourcesAreNeverOversubscribed(t *testing.T) {
	for _, kind := range []string{"cpus: %d", "memory: %d", "gpus: %d"} {
		var s strings.Builder
		s.WriteString("stages:\n")
		for i := range 60 {
			cost := i%4 + 1
			fmt.Fprintf(&s, "  s%d: {uses: busy, with: {cost: %d, tag: s%d}, resources: {"+kind+"}}\n", i, cost, i, cost)
		}
		b := newBench(t, s.String())
		l, _, err := b.run(flow.RunOptions{Jobs: 16, Limits: limits(5, 5, 5)})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(strings.Fields(l.stages(event.StageDone))); got != 60 {
			t.Errorf("%s: %d stages ran", kind, got)
		}
		if b.gate.load.highest > 5 {
			t.Errorf("%s: stages took %d of 5", kind, b.gate.load.highest)
		}
	}
}

func TestStageThatWaitsForResourcesHoldsNoSlot(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  x: {uses: await, from: a, with: {tag: x}, resources: {cpus: 1.5}}
  y: {uses: map, from: a, with: {suffix: y}, resources: {cpus: 0.6}}
  z: {uses: await, from: a, with: {tag: z}}
`)
	go func() {
		<-b.gate.changed
		<-b.gate.changed // only if z runs although y is before it
		close(b.gate.open)
	}()
	if _, _, err := b.run(flow.RunOptions{Jobs: 2, Limits: limits(2, 0, 0)}); err != nil {
		t.Fatal(err)
	}
}

func TestStageThatDeclaresMoreThanThereIs(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  b: {uses: map, from: a, with: {suffix: b}, resources: {cpus: 3, memory: 16GB, gpus: 2}}
`)
	l := &log{}
	res, err := b.eng.Run(context.Background(), b.graph(), flow.RunOptions{Limits: limits(2, 8e9, 1), Sink: l.sink})
	if res != nil || err == nil {
		t.Fatalf("the run went on: %v", err)
	}
	for _, want := range []string{"stage b", "3 cpus, and there are 2", "14.9 GiB of memory, and there is 7.5 GiB", "2 gpus, and there are 1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	if got := l.stages(event.StageStarted); got != "" {
		t.Errorf("%q ran before the refusal", got)
	}
	b.mustRun("a b")
	// A cached result needs nothing.
	if _, _, err := b.run(flow.RunOptions{Limits: limits(2, 8e9, 1)}); err != nil {
		t.Error(err)
	}
}

// What a late stage needs of the environment is looked for before an early one runs.
func TestStageThatNeedsWhatIsNotThere(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  b: {uses: map, from: a, with: {suffix: b, needs: THE_KEY}}
`)
	key := ""
	b.eng.Getenv = func(string) string { return key }
	l := &log{}
	res, err := b.eng.Run(t.Context(), b.graph(), flow.RunOptions{Sink: l.sink})
	if res != nil || err == nil || !strings.Contains(err.Error(), "stage b: THE_KEY is not set") {
		t.Errorf("got %v", err)
	}
	if got := l.stages(event.StageStarted); got != "" {
		t.Errorf("%q ran before the refusal", got)
	}
	key = "k"
	b.mustRun("a b")
	key = "" // a cached result needs nothing
	b.mustRun("")
	b.edit("suffix: b, needs: THE_KEY", "suffix: c, needs: THE_KEY")
	if _, err := b.eng.Run(t.Context(), b.graph(), flow.RunOptions{}); err == nil {
		t.Error("a changed stage ran without its key")
	}
}

func TestKeysThatCannotChangeTheResult(t *testing.T) {
	b := newBench(t, chain)
	b.mustRun("a b c d")
	b.edit("c: {uses: draw, from: b}", "c: {uses: draw, from: b, timeout: 1h, retries: 3, resources: {cpus: 1}}")
	b.edit(`suffix: "!", max: 3}`, `suffix: "!", max: 3}, shards: 4`)
	b.mustRun("")
}

func TestStream(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  b: {uses: draw, from: a}
  c: {uses: draw, from: a}
  d: {uses: draw, from: a, stream: other}
`)
	res := b.mustRunAny()
	out := func(n string) string { return b.output(res, n, "words") }
	if out("b") != out("c") {
		t.Error("stages of one type draw differently without a stream")
	}
	if out("b") == out("d") {
		t.Error("a stream changes nothing")
	}
	b.edit("stream: other", "stream: third")
	if s := b.plan()["d"]; s.Reason != (plan.Reason{Code: plan.SeedChanged, Field: "stream", Old: "other", New: "third"}) {
		t.Errorf("reason %+v", s.Reason)
	}
	b.mustRun("d")
	b.edit("uses: read, ", "uses: read, stream: x, ")
	if _, _, diags := b.load(); len(diags) != 1 || diags.HasErrors() || !strings.Contains(diags[0].Error(), "draws nothing") {
		t.Errorf("a stream where nothing is drawn: %v", diags)
	}
}

// TestKilledRunIsRemembered plans while a run is under way, as after one that
// was killed: what has finished is known.
func TestKilledRunIsRemembered(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  x: {uses: await, from: a, with: {tag: x}}
`)
	g := b.graph()
	finished := make(chan error, 1)
	go func() {
		res, err := b.eng.Run(context.Background(), g, flow.RunOptions{})
		if res != nil {
			err = errors.Join(err, res.Close())
		}
		finished <- err
	}()
	<-b.gate.changed
	b.write("words.txt", "four\n")
	for {
		s := b.plan()["a"]
		if s.Reason.Code == plan.FileChanged {
			break
		}
		if s.Reason.Code != plan.NeverRun { // until it is written
			t.Fatalf("reason %v", s.Reason)
		}
		time.Sleep(10 * time.Millisecond) // the test's time limit ends this
	}
	close(b.gate.open)
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
}

func TestLegsSaveToOneFolder(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  b:
    uses: map
    from: a
    matrix: {m: [one, two]}
    with: {suffix: "${{ matrix.m }}"}
    save: out/
`)
	b.mustRunAny()
	if got := b.files("out"); len(got) != 2 {
		t.Errorf("saved %q", got)
	}
	b.edit("save: out/", "save: out.jsonl")
	_, r, diags := b.eng.Load(filepath.Join(b.dir, "recipe.yaml"), recipe.Options{})
	if len(diags) != 1 || !strings.Contains(diags[0].Error(), "the legs of b save to the same file") {
		t.Errorf("diagnostics %v", diags)
	}
	var s strings.Builder
	if err := diags.Render(&s, r.Sources); err != nil || !strings.Contains(s.String(), "${{ matrix.m }}") {
		t.Errorf("help: %s (%v)", s.String(), err)
	}
}
