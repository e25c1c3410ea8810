package flow_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/lock"
)

// locks runs the recipe and writes its lock.
func (b *bench) locks() {
	b.t.Helper()
	res := b.mustRunAny()
	l, err := res.Lock(b.t.Context(), "test")
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := lock.Write(b.path("recipe.yaml"), l); err != nil {
		b.t.Fatal(err)
	}
}

// runLocked gives what a locked run ran and its error.
func (b *bench) runLocked(o flow.RunOptions) (string, error) {
	b.t.Helper()
	l, err := lock.Read(b.path("recipe.yaml"))
	if err != nil {
		b.t.Fatal(err)
	}
	var events log
	o.Locked, o.Sink = l, events.sink
	res, err := b.eng.Run(context.Background(), b.graph(), o)
	if res != nil {
		err = errors.Join(err, res.Close())
	}
	return events.stages(event.StageStarted), err
}

func TestLockedRun(t *testing.T) {
	seed := uint64(9)
	for _, c := range []struct {
		name   string
		change func(*bench)
		seed   *uint64
		want   []string // deviations; none for a run that follows the lock
		ran    string
	}{
		{name: "nothing changed", change: func(*bench) {}},
		{name: "on another machine", change: func(b *bench) { b.eng.StoreDir = b.path("empty") }, ran: "a b c d"},
		{name: "not semantic", change: func(b *bench) { b.edit("max: 3", "max: 3, speed: 7") }},
		{name: "a field", change: func(b *bench) { b.edit(`suffix: "?"`, `suffix: "!"`) }, want: []string{`stage d: suffix "?" -> "!"`}},
		{name: "a field of a stage that waits", change: func(b *bench) {
			b.eng.StoreDir = b.path("empty")
			b.edit(`suffix: "?"`, `suffix: "!"`)
		}, want: []string{`stage d: suffix "?" -> "!"`}},
		{name: "a file", change: func(b *bench) { b.write("words.txt", "four\n") }, want: []string{"stage a: file content changed ("}},
		{name: "a new stage", change: func(b *bench) { b.edit("  d: ", "  e: {uses: draw, from: a}\n  d: ") }, want: []string{"stage e: is not in the lock"}},
		{name: "a renamed stage", change: func(b *bench) { b.edit("  d: ", "  e: ") },
			want: []string{"stage e: is not in the lock", "stage d: is in the lock, and no longer in the recipe"}},
		{name: "a skipped stage", change: func(b *bench) { b.edit("d: {", `d: {when: "false", `) }, want: []string{"stage d: is skipped (when: false is false)"}},
		{name: "the seed", change: func(*bench) {}, seed: &seed, want: []string{"seed 7 -> 9"}},
		{name: "another type", change: func(b *bench) { b.edit("uses: draw", "uses: map") }, want: []string{"stage c: stage type draw -> map"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, chain)
			b.locks()
			c.change(b)
			ran, err := b.runLocked(flow.RunOptions{Seed: c.seed})
			if ran != c.ran {
				t.Errorf("ran %q, want %q", ran, c.ran)
			}
			if c.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var dev *lock.DeviationError
			if !errors.As(err, &dev) || len(dev.Deviations) != len(c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			for i, w := range c.want {
				if got := dev.Deviations[i].String(); !strings.HasPrefix(got, w) {
					t.Errorf("deviation %q, want %q", got, w)
				}
			}
		})
	}
}

// TestLockedResultThatDiffers covers what shows only at the stage: the same key
// gives other bytes.
func TestLockedResultThatDiffers(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: busy, with: {tag: same}}
  b: {uses: map, from: a}
`)
	b.locks()
	l, err := lock.Read(b.path("recipe.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	l.Stages["a"].Outputs["words"] = "sha256:" + "00000000000000000000000000000000000000000000000000000000000000ff"
	if _, err := lock.Write(b.path("recipe.yaml"), l); err != nil {
		t.Fatal(err)
	}
	want := "stage a: output words is "
	for _, store := range []string{"empty", "empty"} { // first it runs, then it is cached
		b.eng.StoreDir = b.path(store)
		ran, err := b.runLocked(flow.RunOptions{})
		var dev *lock.DeviationError
		if !errors.As(err, &dev) || !strings.HasPrefix(dev.Deviations[0].String(), want) || strings.Contains(ran, "b") {
			t.Errorf("ran %q, error %v", ran, err)
		}
	}
}

func TestIncompleteOrFailedRunIsNotLocked(t *testing.T) {
	b := newBench(t, `
stages:
  a: {uses: read, with: {file: words.txt}}
  p: {uses: partial, from: a}
`)
	if _, err := b.mustRunAny().Lock(t.Context(), "test"); err == nil || !strings.Contains(err.Error(), "stage p is incomplete") {
		t.Errorf("error %v", err)
	}
	b.edit("uses: partial, from: a", "uses: map, from: a, with: {fail: true}")
	_, res, _ := b.run(flow.RunOptions{})
	if _, err := res.Lock(b.t.Context(), "test"); err == nil || !strings.Contains(err.Error(), "stage p is failed") {
		t.Errorf("error %v", err)
	}
}

func TestLockFile(t *testing.T) {
	b := newBench(t, chain)
	if _, err := lock.Read(b.path("recipe.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no lock: %v", err)
	}
	b.locks()
	first, err := os.ReadFile(b.path(lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(first, []byte(b.dir)) {
		t.Error("the lock holds a path of this machine")
	}
	if _, err := lock.Read(b.path("other.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another recipe's lock: %v", err)
	}
	l, err := lock.Read(b.path("recipe.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := lock.Write(b.path("recipe.yaml"), l); changed || err != nil {
		t.Errorf("what was read is written otherwise (%v)", err)
	}
	if _, err := lock.Write(b.path("other.yaml"), &lock.Recipe{}); err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Read(b.path("recipe.yaml")); err != nil {
		t.Errorf("writing another recipe's lock lost this one's: %v", err)
	}
}
