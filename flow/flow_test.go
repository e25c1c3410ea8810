package flow_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/plan"
)

const chain = `
seed: 7
stages:
  a: {uses: read, with: {file: words.txt}}
  b: {uses: map, from: a, with: {suffix: "!", max: 3}}
  c: {uses: draw, from: b}
  d: {uses: map, from: a, with: {suffix: "?"}}
`

func TestSecondRunRunsNothing(t *testing.T) {
	b := newBench(t, chain)
	first := b.mustRun("a b c d")
	want := b.output(first, "c", "words")
	second := b.mustRun("")
	if got := b.output(second, "c", "words"); got != want {
		t.Errorf("cached output %q, want %q", got, want)
	}
}

func TestOnlyDependentsRerun(t *testing.T) {
	for _, c := range []struct {
		name, old, new, want string
	}{
		{"a semantic field", `suffix: "!"`, `suffix: "#"`, "b c"},
		{"a field that is not semantic", `max: 3`, `max: 3, speed: 9`, ""},
		{"a default written out", `suffix: "?"`, `suffix: "?", max: 0`, ""},
		{"the seed", "seed: 7", "seed: 8", "c"},
		{"a renamed stage", "  d: ", "  renamed: ", ""},
		{"an added stage", "  d: ", "  e: {uses: draw, from: a}\n  d: ", "e"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, chain)
			b.mustRun("a b c d")
			b.edit(c.old, c.new)
			b.mustRun(c.want)
		})
	}
}

func TestPlanNamesWhatChanged(t *testing.T) {
	b := newBench(t, chain)
	p := b.plan()
	if s := p["a"]; s.Status != plan.Run || s.Reason.Code != plan.NeverRun {
		t.Errorf("a fresh stage: %v %v", s.Status, s.Reason)
	}
	if s := p["c"]; s.Status != plan.Wait || s.Reason.Field != "b" || s.Key != "" {
		t.Errorf("a waiting stage: %v %v %q", s.Status, s.Reason, s.Key)
	}
	b.mustRun("a b c d")
	for name, s := range b.plan() {
		if s.Status != plan.Hit || s.Reason.Code != plan.Cached {
			t.Errorf("%s after a run: %v %v", name, s.Status, s.Reason)
		}
	}
	b.edit("max: 3", "max: 2")
	if s := b.plan()["b"]; s.Reason != (plan.Reason{Code: plan.ConfigChanged, Field: "max", Old: "3", New: "2"}) {
		t.Errorf("changed field: %+v", s.Reason)
	}
	b.edit(`, max: 2`, ``)
	if s := b.plan()["b"]; s.Reason != (plan.Reason{Code: plan.ConfigChanged, Field: "max", Old: "3", New: "0"}) {
		t.Errorf("field back at its default: %+v", s.Reason)
	}
	b.edit("seed: 7", "seed: 8")
	b.edit(`with: {suffix: "!"}`, `with: {suffix: "!", max: 3}`)
	if s := b.plan()["c"]; s.Reason != (plan.Reason{Code: plan.SeedChanged, Field: "seed", Old: "7", New: "8"}) {
		t.Errorf("changed seed: %+v", s.Reason)
	}
	b.write("words.txt", "one\n")
	if s := b.plan()["a"]; s.Reason.Code != plan.FileChanged {
		t.Errorf("changed file: %+v", s.Reason)
	}
}

func (b *bench) plan() map[string]plan.Step {
	b.t.Helper()
	p, err := b.eng.Plan(context.Background(), b.graph(), flow.RunOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	m := map[string]plan.Step{}
	for _, s := range p.Steps {
		m[s.Node.Name] = s
	}
	return m
}

func TestTouchedFileRerunsNothing(t *testing.T) {
	b := newBench(t, chain)
	b.mustRun("a b c d")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(b.path("words.txt"), later, later); err != nil {
		t.Fatal(err)
	}
	b.mustRun("")
	// The same content elsewhere is the same input.
	b.write("copy.txt", "one\ntwo\nthree\n")
	b.edit("words.txt", "copy.txt")
	b.mustRun("")
}

func TestEarlyCutoff(t *testing.T) {
	b := newBench(t, chain)
	b.write("words.txt", "alpha\nbeta\n")
	b.mustRun("a b c d")
	// b cuts words to three letters, so this change ends at b.
	b.write("words.txt", "alphabet\nbetamax\n")
	b.mustRun("a b d")
}

func TestFailureStopsOnlyDependents(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  bad: {uses: map, from: a, with: {fail: true}}
  after: {uses: map, from: bad}
  last: {uses: map, from: after}
  worse: {uses: map, from: a, with: {panic: true}}
  good: {uses: map, from: a, with: {suffix: "!"}}
  fine: {uses: map, from: good}
`)
	l, res, err := b.run(flow.RunOptions{Jobs: 4})
	if err == nil || !strings.Contains(err.Error(), "toy failure") || !strings.Contains(err.Error(), "toy panic") {
		t.Fatalf("error %v", err)
	}
	var se *exec.StageError
	if !errors.As(err, &se) {
		t.Errorf("no StageError in %v", err)
	}
	if got := l.stages(event.StageDone); got != "a fine good" {
		t.Errorf("done: %q", got)
	}
	if got := l.stages(event.StageSkipped); got != "after last" {
		t.Errorf("skipped: %q", got)
	}
	if res.Outcome.States["last"] != exec.Blocked || res.Outcome.States["bad"] != exec.Failed {
		t.Errorf("states: %v", res.Outcome.States)
	}
	b.edit("fail: true", "suffix: ok")
	b.edit("panic: true", "suffix: ok")
	// worse now equals bad and takes its result,
	l, _, err = b.run(flow.RunOptions{Jobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	// and last is after all over again: the same stage on the same bytes.
	if got := l.stages(event.StageStarted); got != "after bad" {
		t.Errorf("ran %q after the repair", got)
	}
}

func TestIndependentStagesRunTogether(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  x: {uses: await, from: a, with: {tag: x}}
  y: {uses: await, from: a, with: {tag: y}}
`)
	go func() {
		<-b.gate.changed
		<-b.gate.changed // only if both run at once
		close(b.gate.open)
	}()
	if _, _, err := b.run(flow.RunOptions{Jobs: 2}); err != nil {
		t.Fatal(err)
	}
}

func TestInterruptStopsCleanlyAndTheNextRunContinues(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  x: {uses: await, from: a, with: {tag: x}}
  z: {uses: map, from: x}
`)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-b.gate.changed
		cancel()
	}()
	_, res, err := b.runCtx(ctx, flow.RunOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if s := res.Outcome.States; s["a"] != exec.Done || s["x"] != exec.Stopped || s["z"] != exec.Stopped {
		t.Errorf("states: %v", s)
	}
	close(b.gate.open)
	b.mustRun("x z")
}

func TestSkipping(t *testing.T) {
	b := newBench(t, `
params:
  on: false
stages:
  a: {uses: read, with: {file: words.txt}}
  b: {uses: map, from: a, when: "${{ params.on }}", with: {suffix: "!"}}
  c: {uses: map, from: b}
  d: {uses: join, from: [a, b]}
`)
	l, res, err := b.run(flow.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := l.stages(event.StageStarted); got != "a d" {
		t.Errorf("ran %q", got)
	}
	if got := b.output(res, "d", "words"); strings.Contains(got, "!") || !strings.Contains(got, "three") {
		t.Errorf("the join holds %q", got)
	}
	if p := b.plan(); p["b"].Reason.Code != plan.WhenFalse || p["c"].Reason.Code != plan.UpstreamSkip {
		t.Errorf("reasons: %v, %v", p["b"].Reason, p["c"].Reason)
	}
}

func TestSave(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}, save: out/}
  b: {uses: map, from: a, with: {suffix: "!"}, save: b.jsonl}
`)
	b.write("keep.txt", "mine")
	for range 2 { // on hits, too
		b.mustRunAny()
		for file, want := range map[string]string{"out/a.words.jsonl": "three", "b.jsonl": "three!"} {
			raw, err := os.ReadFile(b.path(file))
			if err != nil || !strings.Contains(string(raw), want) {
				t.Errorf("%s: %q, %v", file, raw, err)
			}
		}
		if err := os.RemoveAll(b.path("out")); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(b.path("b.jsonl")); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bench) mustRunAny() *flow.Result {
	b.t.Helper()
	_, res, err := b.run(flow.RunOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

func TestForce(t *testing.T) {
	b := newBench(t, chain)
	b.mustRun("a b c d")
	l, _, err := b.run(flow.RunOptions{Force: map[string]bool{"b": true}})
	if err != nil {
		t.Fatal(err)
	}
	if got := l.stages(event.StageStarted); got != "b" {
		t.Errorf("ran %q", got)
	}
}

func TestLostBlobHeals(t *testing.T) {
	b := newBench(t, chain)
	res := b.mustRun("a b c d")
	path := res.Output("b", "words")
	want := b.output(res, "b", "words")
	if err := res.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if s := b.plan()["b"]; s.Reason.Code != plan.ResultMissing {
		t.Errorf("reason: %+v", s.Reason)
	}
	res = b.mustRun("b")
	if got := b.output(res, "b", "words"); got != want {
		t.Errorf("healed output %q, want %q", got, want)
	}
}

func TestStoreBesideTheRecipe(t *testing.T) {
	b := newBench(t, chain)
	b.mustRun("a b c d")
	if _, err := os.Stat(filepath.Join(b.dir, ".distillflow")); err != nil {
		t.Error(err)
	}
}

func TestTwoRunsShareTheWork(t *testing.T) {
	b := newBench(t, chain)
	var logs [2]*log
	var wg sync.WaitGroup
	for i := range logs {
		wg.Go(func() {
			l := &log{}
			logs[i] = l
			res, err := b.eng.Run(context.Background(), b.graph(), flow.RunOptions{Sink: l.sink})
			if err != nil {
				t.Error(err)
				return
			}
			if err := res.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ran := strings.Fields(logs[0].stages(event.StageStarted) + " " + logs[1].stages(event.StageStarted))
	slices.Sort(ran)
	if got := strings.Join(ran, " "); got != "a b c d" {
		t.Errorf("the two runs ran %q together", got)
	}
}

func TestStagesThatLeaveTheirOutputsIncomplete(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  b: {uses: partial, from: a}
  c: {uses: map, from: b}
`)
	b.mustRun("a b c")
	if s := b.plan()["b"]; s.Status != plan.Run || s.Reason.Code != plan.Incomplete {
		t.Errorf("%v %v", s.Status, s.Reason)
	}
	b.mustRun("b") // again, and with the same bytes, so c is a hit
}
