package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// warnings collects what a store reports.
type warnings struct {
	mu  sync.Mutex
	all []Warning
}

func (w *warnings) add(x Warning) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, x)
}

func (w *warnings) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}

func openStore(t testing.TB, dir string, opts Options) (*Store, *warnings) {
	t.Helper()
	w := &warnings{}
	opts.Warn = w.add
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, w
}

func newStore(t testing.TB) (*Store, *warnings) {
	return openStore(t, filepath.Join(t.TempDir(), ".distillflow"), Options{})
}

// publish stores text as the output "out" of an action.
func publish(t testing.TB, s *Store, key, text string) *Action {
	t.Helper()
	d, n, err := s.PutBytes([]byte(text), Relaxed)
	if err != nil {
		t.Fatal(err)
	}
	a := &Action{
		Key: key, Stage: "st", Type: "scan", Version: 1,
		Outputs:  map[string]Output{"out": {Kind: KindRows, Digest: d, Rows: 1, Bytes: n}},
		Preimage: fmt.Appendf(nil, `{"config": {"where": "a < b && c"}, "key": %q}`, key),
	}
	if _, err := s.PutAction(a, Relaxed); err != nil {
		t.Fatal(err)
	}
	return a
}

func testKey(i int) string { return fmt.Sprintf("%064x", i*7919+1) }

// overwrite replaces a file's content in place, as a careless program would.
func overwrite(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOpenIsLazy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", ".distillflow")
	s, _ := openStore(t, dir, Options{})
	if _, ok, err := s.GetAction(testKey(1)); ok || err != nil {
		t.Fatalf("empty store: hit %v, error %v", ok, err)
	}
	if m, err := s.LastAll("r"); err != nil || len(m) != 0 {
		t.Fatalf("empty store: pointers %v, error %v", m, err)
	}
	if runs, err := s.Runs(); err != nil || len(runs) != 0 {
		t.Fatalf("empty store: runs %v, error %v", runs, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("reading created the store: %v", err)
	}
	publish(t, s, testKey(1), "x")
	if b, err := os.ReadFile(filepath.Join(dir, ".gitignore")); err != nil || string(b) != "*\n" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	newer := t.TempDir()
	if err := os.WriteFile(filepath.Join(newer, "version"), appendLine(nil, []byte("distillflow-store"), intField(99)), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"no name": "", "a file": file, "a newer layout": newer} {
		if s, err := Open(dir, Options{}); err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

func TestReadOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	w, _ := openStore(t, dir, Options{})
	a := publish(t, w, testKey(1), "text")
	r, _ := openStore(t, dir, Options{ReadOnly: true})
	if got, ok, err := r.GetAction(testKey(1)); err != nil || !ok || !got.SameOutputs(a) {
		t.Fatalf("reading: %v %v %v", got, ok, err)
	}
	staged := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(staged, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"PutBytes":  func() error { _, _, err := r.PutBytes([]byte("y"), Durable); return err },
		"PutFile":   func() error { _, _, err := r.PutFile(staged, Durable); return err },
		"PutTree":   func() error { _, _, err := r.PutTree(filepath.Dir(staged), Durable); return err },
		"PutAction": func() error { _, err := r.PutAction(a, Durable); return err },
		"NewWriter": func() error { _, err := r.NewWriter(); return err },
		"TempDir":   func() error { _, err := r.TempDir(); return err },
		"WorkDir":   func() error { _, err := r.WorkDir(testKey(1)); return err },
		"SetLast":   func() error { return r.SetLast("r", "s", Pointer{Key: testKey(1)}) },
		"NewRun":    func() error { _, err := r.NewRun(RunInfo{}); return err },
		"LockKey":   func() error { _, err := r.LockKey(context.Background(), testKey(1), nil); return err },
		"GC":        func() error { _, err := r.GC(context.Background(), GCOptions{}); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v, want ErrReadOnly", name, err)
		}
	}
	if _, err := os.Stat(staged); err != nil {
		t.Errorf("a refused publish consumed its file: %v", err)
	}
}

func TestUnwritableFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("the superuser may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	s, _ := openStore(t, filepath.Join(dir, "s"), Options{})
	if _, _, err := s.PutBytes([]byte("x"), Durable); !errors.Is(err, ErrReadOnly) {
		t.Fatalf("got %v, want ErrReadOnly", err)
	}
}

func TestTempIsSweptWhenAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	a, _ := openStore(t, dir, Options{})
	stale, err := a.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	// A second user must not sweep under the first.
	b, _ := openStore(t, dir, Options{})
	if _, err := os.Stat(stale); err != nil {
		t.Fatalf("swept while in use: %v", err)
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	openStore(t, dir, Options{})
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a leftover was not swept: %v", err)
	}
}

func TestWorkDirSurvives(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	s, _ := openStore(t, dir, Options{})
	d, err := s.WorkDir(testKey(3))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d, "step"), []byte("7"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s, _ = openStore(t, dir, Options{})
	again, err := s.WorkDir(testKey(3))
	if err != nil || again != d {
		t.Fatalf("%s, %v", again, err)
	}
	if b, err := os.ReadFile(filepath.Join(again, "step")); err != nil || string(b) != "7" {
		t.Fatalf("%q, %v", b, err)
	}
	if err := s.RemoveWork(testKey(3)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("still there")
	}
}

func TestBadKeys(t *testing.T) {
	s, _ := newStore(t)
	for _, key := range []string{"", "abc", "../../etc/passwd", "ABCD", "ab/cd", "sha256:abcd", "aé12"} {
		if _, _, err := s.GetAction(key); err == nil {
			t.Errorf("GetAction(%q) accepted", key)
		}
		if _, err := s.WorkDir(key); err == nil {
			t.Errorf("WorkDir(%q) accepted", key)
		}
	}
}

// A damaged version file is repaired by the next write and locks nobody out.
func TestDamagedVersionFile(t *testing.T) {
	s, _ := newStore(t)
	publish(t, s, testKey(1), "x")
	path := filepath.Join(s.Dir(), "version")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		b := append([]byte(nil), whole...)
		b[at] ^= 8
		overwrite(t, path, b)
		s, warned := openStore(t, s.Dir(), Options{})
		if _, ok, err := s.GetAction(testKey(1)); !ok || err != nil || warned.count() == 0 {
			t.Fatalf("byte %d: %v %v %v", at, ok, err, warned.all)
		}
		publish(t, s, testKey(2), "y")
		if got, err := os.ReadFile(path); err != nil || string(got) != string(whole) {
			t.Fatalf("byte %d: not repaired: %q %v", at, got, err)
		}
		s.Close()
	}
}
