package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRuns(t *testing.T) {
	s, warned := newStore(t)
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.now = func() time.Time { clock = clock.Add(time.Second); return clock }
	var ids []string
	for i := range 3 {
		r, err := s.NewRun(RunInfo{Recipe: "recipes/gsm8k.yaml", RecipeID: "r", Data: json.RawMessage(`{"args":["-j","2"]}`)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID())
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for k := range 50 {
					if err := r.Event(map[string]any{"g": g, "k": k, "text": "a < b"}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if err := r.Update(func(info *RunInfo) { info.Actions = map[string]string{"scan": testKey(i)}; info.ID = "x" }); err != nil {
			t.Fatal(err)
		}
		if i == 2 { // this one is killed
			if err := r.Flush(); err != nil {
				t.Fatal(err)
			}
		} else if err := errors.Join(r.Finish("done", nil), r.Finish("twice", nil)); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(r.Dir(), "events.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		for _, l := range lines {
			if !json.Valid([]byte(l)) || !strings.Contains(l, "a < b") {
				t.Fatalf("bad line %q", l)
			}
		}
		if len(lines) != 200 {
			t.Errorf("%d lines", len(lines))
		}
	}
	if err := s.path("runs", ids[0]); !strings.Contains(err, "20260102-0304") {
		t.Error("the id does not tell the time:", err)
	}
	runs, err := s.Runs()
	if err != nil || len(runs) != 3 {
		t.Fatal(runs, err)
	}
	for i, r := range runs {
		want := []string{"done", "done", "running"}[i]
		// The third one is not finished, and its lock is held.
		if r.ID != ids[i] || r.Status != want || r.Finished.IsZero() != (want == "running") || r.Actions["scan"] != testKey(i) {
			t.Errorf("%+v", r)
		}
	}
	overwrite(t, s.path("runs", ids[1], "run.json"), []byte("{"))
	if runs, err := s.Runs(); err != nil || len(runs) != 2 || warned.count() != 1 {
		t.Error(fmt.Sprint(runs), err, warned.all)
	}
	if _, err := s.Run("../etc"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestKilledRunIsNotRunning(t *testing.T) {
	s, warned := newStore(t)
	r, err := s.NewRun(RunInfo{Recipe: "r.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	status := func(o *Store) string {
		t.Helper()
		info, err := o.Run(r.ID())
		if err != nil {
			t.Fatal(err)
		}
		return info.Status
	}
	reader, _ := openStore(t, s.Dir(), Options{ReadOnly: true})
	if got := status(reader); got != RunRunning {
		t.Errorf("a run that goes on is %s", got)
	}
	// What the system does when a process ends: the lock goes, nothing is written.
	if err := r.lock.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // looking changes nothing
		if got := status(reader); got != RunKilled {
			t.Errorf("a killed run is %s", got)
		}
	}
	if runs, err := s.Runs(); err != nil || len(runs) != 1 || runs[0].Status != RunKilled {
		t.Error(runs, err)
	}
	// From a version that took no lock, or with the lock cleaned away.
	if err := os.Remove(filepath.Join(r.Dir(), "lock")); err != nil {
		t.Fatal(err)
	}
	if got := status(reader); got != RunKilled {
		t.Errorf("a killed run is %s", got)
	}
	if err := r.Finish("done", nil); err != nil {
		t.Fatal(err)
	}
	if got := status(s); got != "done" {
		t.Errorf("a finished run is %s", got)
	}
	if _, err := os.Stat(filepath.Join(r.Dir(), "lock")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the lock's file is left behind", err)
	}
	if warned.count() != 0 {
		t.Error(warned.all)
	}
}

func TestRunDir(t *testing.T) {
	s, _ := newStore(t)
	if got := s.RunDir("20260102-0304"); got != s.path("runs", "20260102-0304") {
		t.Error(got)
	}
	for _, id := range []string{"../../etc", "", "a/b/c/d", "20260102/.."} {
		if _, err := os.Stat(s.RunDir(id)); err == nil || filepath.Dir(s.RunDir(id)) != s.path("runs") {
			t.Errorf("%q gives %s", id, s.RunDir(id))
		}
	}
}

// A run whose record could not be written, as on a full disk, leaves nothing, and one that
// was killed before it had a record is no damaged one.
func TestRunsThatNeverBegan(t *testing.T) {
	s, warned := newStore(t)
	if _, err := s.NewRun(RunInfo{ID: "run-1"}); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(s.Dir(), "tmp")
	if err := os.Rename(tmp, tmp+"-aside"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewRun(RunInfo{ID: "run-2"}); err == nil {
		t.Fatal("no error")
	}
	if err := os.Rename(tmp+"-aside", tmp); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(s.Dir(), "runs", "run-2")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("left behind", err)
	}
	for _, id := range []string{"run-3", "run-4"} {
		if err := os.Mkdir(filepath.Join(s.Dir(), "runs", id), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.Dir(), "runs", "run-4", "events.jsonl"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if runs, err := s.Runs(); err != nil || len(runs) != 1 || warned.count() > 0 {
		t.Errorf("%+v, %v, %v", runs, err, warned.all)
	}
}
