package flow_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/store"
)

// freeze takes the right to write below a folder away until the test ends.
func freeze(t *testing.T, dir string) {
	t.Helper()
	modes := map[string]fs.FileMode{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		modes[p] = fi.Mode().Perm()
		return os.Chmod(p, fi.Mode().Perm()&^0o222)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for p, m := range modes {
			if err := os.Chmod(p, m); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestReadOnlyStore(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("the superuser may write everywhere")
	}
	b := newBench(t, chain)
	if err := b.mustRun("a b c d").Close(); err != nil {
		t.Fatal(err)
	}
	freeze(t, b.path(".distillflow"))
	for name, s := range b.plan() {
		if s.Status != "hit" {
			t.Errorf("plan: %s is %s (%s)", name, s.Status, s.Reason)
		}
	}
	// What is cached can be used, with a word about the history.
	l, res, err := b.run(flow.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := l.stages(event.StageHit); got != "a b c d" || res.ID != flow.Unrecorded {
		t.Errorf("hits %q in run %s", got, res.ID)
	}
	if got := b.output(res, "a", "words"); !strings.Contains(got, "three") {
		t.Errorf("output %q", got)
	}
	warnings := 0
	for _, e := range l.events {
		if e.Kind == event.StageWarning && strings.Contains(e.Message, "not recorded in the history") {
			warnings++
		}
	}
	if warnings != 1 {
		t.Errorf("%d warnings about the history", warnings)
	}
	// What has to run says what is wrong and what to do.
	_, res, err = b.run(flow.RunOptions{Force: map[string]bool{"b": true}})
	if !errors.Is(err, store.ErrReadOnly) || !strings.Contains(err.Error(), "writable --store") {
		t.Errorf("error %v", err)
	}
	if got := res.Outcome.States["b"]; got != "failed" {
		t.Errorf("b is %s", got)
	}
}
