package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/lock"
)

// TestUpgrade opens what earlier versions of this program wrote: each folder of
// testdata/upgrade holds a recipe with its store, lock, memo and bundle, and make.sh there
// made it. No server answers: a paid answer that was not found again would be a failure.
// A stage whose version was raised since may run again, and nothing else.
func TestUpgrade(t *testing.T) {
	versions, err := filepath.Glob("testdata/upgrade/*/distillflow.lock")
	if err != nil || len(versions) == 0 {
		t.Fatalf("versions %v, %v", versions, err)
	}
	for _, v := range versions {
		old := filepath.Dir(v)
		t.Run(filepath.Base(old), func(t *testing.T) {
			u := newUpgrade(t, old)
			t.Run("store", u.store)
			t.Run("memo", u.memo)
			t.Run("lock", u.lock)
			t.Run("bundle", u.bundle)
			t.Run("newer", u.newer)
		})
	}
}

// upgrade is a copy of an earlier version's folder.
type upgrade struct {
	old    string
	raised map[string]bool // stages that have another version now, and what reads from them
	stages int
}

func newUpgrade(t *testing.T, old string) *upgrade {
	r, err := lock.Read(filepath.Join(old, "recipe.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	reg, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	u := &upgrade{old: old, raised: map[string]bool{}, stages: len(r.Stages)}
	after := false
	for _, name := range []string{"problems", "prompts", "replies", "preds", "graded", "table"} { // each reads from the one before
		s := r.Stages[name]
		typ, ok := reg.Lookup(s.Type)
		if !ok {
			t.Fatalf("there is no %s any more: say in the changelog what takes its place, and make this test run without it", s.Type)
		}
		if after = after || typ.Version != s.Version; after {
			t.Logf("%s: %s had version %d and has %d", name, s.Type, s.Version, typ.Version)
			u.raised[name] = true
		}
	}
	return u
}

// here copies the folder, without those parts that are named, and gives the environment
// for it.
func (u *upgrade) here(t *testing.T, without ...string) (dir string, env map[string]string) {
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(u.old)); err != nil {
		t.Fatal(err)
	}
	for _, name := range without {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, map[string]string{
		"OPENAI_API_KEY": "none", "DISTILLFLOW_MEMO": filepath.Join(dir, "memo"), "DISTILLFLOW_STORE": filepath.Join(dir, "store"),
	}
}

// run runs the recipe; it wants the status, and gives the stages that ran.
func (u *upgrade) run(t *testing.T, dir string, env map[string]string, want int, flags ...string) (ran []string, out string) {
	t.Helper()
	status, out := runApp(t, env, append([]string{"run", "--json", filepath.Join(dir, "recipe.yaml")}, flags...)...)
	if status != want {
		t.Fatalf("status %d, want %d\n%s", status, want, out)
	}
	for line := range strings.Lines(out) {
		var e event.Event
		if json.Unmarshal([]byte(line), &e) == nil && e.Kind == event.StageStarted {
			ran = append(ran, e.Stage)
		}
		if e.Kind == event.StageWarning {
			t.Errorf("warning: %s", e.Message)
		}
	}
	return ran, out
}

// The store: nothing is left to do, its runs are shown, and it is sound.
func (u *upgrade) store(t *testing.T) {
	dir, env := u.here(t)
	ran, out := u.run(t, dir, env, exitOK)
	for _, name := range ran {
		if !u.raised[name] {
			t.Errorf("%s ran again\n%s", name, out)
		}
	}
	for _, args := range [][]string{{"runs"}, {"show", "last"}, {"cat", "last", "replies"}, {"cache", "verify"}, {"cache", "stats"}, {"memo", "verify"}} {
		if status, out := runApp(t, env, args...); status != exitOK || strings.Contains(out, "warning") {
			t.Errorf("%v: status %d\n%s", args, status, out)
		}
	}
	if _, out := runApp(t, env, "runs"); strings.Count(out, "done") < 2 {
		t.Errorf("runs does not list the old run and the new one:\n%s", out)
	}
}

// The memo: without a store all stages run, and no answer is bought again.
func (u *upgrade) memo(t *testing.T) {
	dir, env := u.here(t, "store")
	if ran, out := u.run(t, dir, env, exitOK); len(ran) != u.stages {
		t.Errorf("ran %v\n%s", ran, out)
	}
	// And without the memo they are missed: the test can fail.
	dir, env = u.here(t, "store", "memo")
	if _, out := runApp(t, env, "run", "--plain", filepath.Join(dir, "recipe.yaml")); !strings.Contains(out, "4 requests failed") {
		t.Errorf("nobody was asked:\n%s", out)
	}
}

// The lock: the run follows it, or it is said which stage deviates.
func (u *upgrade) lock(t *testing.T) {
	for _, without := range [][]string{nil, {"store"}} {
		dir, env := u.here(t, without...)
		if len(u.raised) == 0 {
			u.run(t, dir, env, exitOK, "--locked")
		} else if _, out := u.run(t, dir, env, exitDeviates, "--locked"); !strings.Contains(out, "implementation v") {
			t.Errorf("it is not said what deviates:\n%s", out)
		}
	}
}

// The bundle: every stage gives the same bytes, from answers in the bundle alone.
func (u *upgrade) bundle(t *testing.T) {
	dir, env := u.here(t, "store", "memo")
	keepHubVariables(t)
	status, out := runApp(t, env, "bundle", "replay", filepath.Join(dir, "bundle.tar.zst"), "--dir", filepath.Join(dir, "replay"))
	switch {
	case len(u.raised) == 0 && (status != exitOK || !strings.Contains(out, "6 equal")):
		t.Errorf("status %d\n%s", status, out)
	case status != exitOK && status != exitDeviates:
		t.Errorf("status %d\n%s", status, out)
	}
}

// What a newer program wrote is refused, with the way out, and stays as it is. The tests of
// flow/store do so with a store.
func (u *upgrade) newer(t *testing.T) {
	list, err := readEntries(filepath.Join(u.old, "bundle.tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	list[0].body = bytes.Replace(list[0].body, []byte(`"format": 1,`), []byte(`"format": 9,`), 1)
	file := filepath.Join(t.TempDir(), "newer.tar.zst")
	if err := writeEntries(file, list); err != nil {
		t.Fatal(err)
	}
	keepHubVariables(t)
	status, out := runApp(t, nil, "bundle", "replay", file, "--dir", filepath.Join(t.TempDir(), "replay"))
	if status != exitUsage || !strings.Contains(out, "it has format 9, this program knows 1: use the program that made it") {
		t.Errorf("bundle: status %d\n%s", status, out)
	}
	for _, c := range []struct {
		file, from, to string
		args           []string
		want           string
	}{
		{"distillflow.lock", `"format": 1,`, `"format": 9,`, []string{"run", "recipe.yaml", "--locked"}, "use the program that wrote it, or remove it and lock again"},
		{"memo/seg-*.dfm", "DFMEMO1\n", "DFMEMO9\nother bytes ", []string{"run", "recipe.yaml", "--force", "replies"}, "use a newer distillflow, or another memo"},
	} {
		dir, env := u.here(t)
		files, err := filepath.Glob(filepath.Join(dir, c.file))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		b, err := os.ReadFile(files[0])
		if err != nil || !bytes.Contains(b, []byte(c.from)) {
			t.Fatalf("%s holds no %q (%v)", c.file, c.from, err)
		}
		b = bytes.Replace(b, []byte(c.from), []byte(c.to), 1)
		if strings.HasPrefix(c.file, "memo") {
			b = b[:len(c.to)] // with records that can be read it is damage
		}
		if err := os.WriteFile(files[0], b, 0o644); err != nil {
			t.Fatal(err)
		}
		args := slices.Clone(c.args)
		args[1] = filepath.Join(dir, args[1])
		status, out := runApp(t, env, args...)
		if status == exitOK || !strings.Contains(out, c.want) {
			t.Errorf("%s: status %d, want %q in\n%s", c.file, status, c.want, out)
		}
		if after, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(after, b) {
			t.Errorf("%s was changed (%v)", c.file, err)
		}
	}
}

// keepHubVariables undoes at the test's end what bundles set for their process.
func keepHubVariables(t *testing.T) {
	for _, name := range []string{"HF_HUB_CACHE", "HF_HUB_OFFLINE"} {
		t.Setenv(name, os.Getenv(name))
	}
}
