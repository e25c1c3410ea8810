package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// endedRun is a run with events and a further file, that is done.
func endedRun(t *testing.T, s *Store, id string, actions map[string]string) *Run {
	t.Helper()
	r, err := s.NewRun(RunInfo{ID: id, Recipe: "r.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	err = r.Keep("recipe.json", []byte(`{"name":"x"}`))
	for stage, key := range actions {
		err = errors.Join(err, r.Event(map[string]string{"kind": "stage_done", "stage": stage, "key": key}))
	}
	if err := errors.Join(err, r.Finish("done", func(i *RunInfo) { i.Actions = actions })); err != nil {
		t.Fatal(err)
	}
	return r
}

// Whatever byte of a record changes, and wherever it is cut, it is not taken for the record.
func TestDamagedRunRecords(t *testing.T) {
	s, _ := newStore(t)
	r := endedRun(t, s, "run-1", map[string]string{"a": testKey(1), "b": testKey(2)})
	want, err := s.Run("run-1")
	if err != nil || s.CheckRun(want) != nil || len(want.Files) != 2 {
		t.Fatalf("%+v, %v, %v", want, err, s.CheckRun(want))
	}
	look := func() error {
		info, err := s.Run("run-1")
		if err == nil {
			err = s.CheckRun(info)
		}
		if err == nil && !reflect.DeepEqual(info, want) {
			return fmt.Errorf("taken for right: %+v", info)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("unexplained: %w", err)
		}
		return nil
	}
	for _, name := range []string{recordFile, eventsFile, "recipe.json"} {
		path := filepath.Join(r.Dir(), name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		try := func(how string, b []byte) {
			t.Helper()
			overwrite(t, path, b)
			if err := look(); err != nil {
				t.Errorf("%s %s: %v", name, how, err)
			}
		}
		for i := range whole {
			b := bytes.Clone(whole)
			b[i] ^= []byte{1, 0x20, 0xff}[i%3]
			try(fmt.Sprintf("byte %d", i), b)
			if i%3 == 0 {
				try(fmt.Sprintf("cut at %d", i), whole[:i])
			}
		}
		try("grown", append(bytes.Clone(whole), whole...))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := look(); err != nil {
			t.Errorf("%s gone: %v", name, err)
		}
		if err := os.WriteFile(path, whole, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := look(); err != nil {
		t.Error(err)
	}
	// What an older program wrote has no digests.
	old := filepath.Join(s.Dir(), "runs", "run-0")
	record := []byte("{\n  \"id\": \"run-0\",\n  \"started\": \"2026-01-02T03:04:05Z\",\n  \"status\": \"done\"\n}\n")
	if err := errors.Join(os.Mkdir(old, 0o755), os.WriteFile(filepath.Join(old, recordFile), record, 0o644)); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Run("run-0"); err != nil || info.Status != "done" || s.CheckRun(info) != nil {
		t.Errorf("%+v, %v", info, err)
	}
}

// A record that is damaged, and one of a run that was killed before it could list what it had
// made, keep their results all the same.
func TestGCKeepsWhatADamagedRunNames(t *testing.T) {
	s, warned := newStore(t)
	for i := range 7 {
		publish(t, s, testKey(i), fmt.Sprint("result ", i))
	}
	path := func(id, name string) string { return s.path("runs", id, name) }
	endedRun(t, s, "run-1", map[string]string{"a": testKey(1)})
	overwrite(t, path("run-1", recordFile), []byte(strings.Replace(read(t, path("run-1", recordFile)), "done", "dune", 1)))
	endedRun(t, s, "run-2", map[string]string{"a": testKey(2)})
	if err := os.Remove(path("run-2", recordFile)); err != nil {
		t.Fatal(err)
	}
	endedRun(t, s, "run-3", map[string]string{"a": testKey(3)}) // the key has rotted in one of the two files
	overwrite(t, path("run-3", recordFile), []byte(strings.Replace(read(t, path("run-3", recordFile)), testKey(3), "x"+testKey(3)[1:], 1)))
	endedRun(t, s, "run-4", map[string]string{"a": testKey(4)})
	overwrite(t, path("run-4", eventsFile), []byte(strings.Repeat("x", 100_000)))
	r, err := s.NewRun(RunInfo{ID: "run-5"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Event(map[string]string{"key": testKey(5)}), r.Flush(), r.lock.Close()); err != nil { // killed
		t.Fatal(err)
	}
	rep, err := s.GC(t.Context(), GCOptions{})
	if err != nil || rep.Actions != 2 {
		t.Errorf("%+v, %v", rep, err)
	}
	for i := range 7 {
		want := i > 0 && i < 6
		if _, ok, err := s.GetAction(testKey(i)); ok != want || err != nil {
			t.Errorf("result %d: %v, %v", i, ok, err)
		}
	}
	if warned.count() != 3 || !strings.Contains(warned.all[0].String(), "until you delete this folder") {
		t.Error(warned.all)
	}
}

// gc says so where the last results of a recipe's stages cannot be known any more.
func TestGCTellsOfDamagedPointers(t *testing.T) {
	s, warned := newStore(t)
	publish(t, s, testKey(1), "x")
	if err := s.SetLast("/r.yaml", "a", Pointer{Key: testKey(1)}); err != nil {
		t.Fatal(err)
	}
	overwrite(t, s.lastPath("/r.yaml"), []byte(strings.Replace(read(t, s.lastPath("/r.yaml")), testKey(1), "x"+testKey(1)[1:], 1)))
	if _, err := s.GC(t.Context(), GCOptions{DryRun: true}); err != nil || warned.count() != 1 || !strings.Contains(warned.all[0].String(), "/r.yaml") {
		t.Error(err, warned.all)
	}
}
