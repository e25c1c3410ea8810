package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRot damages one file that a run left, of the store, the memo, the lock, a bundle or
// a training that was killed: bytes change, with or without the file's times, and files
// are cut, emptied, swapped or gone. Then the run is repeated, and the bundle replayed. A
// result is right or there is an error; after an error one more run is right.
func TestRot(t *testing.T) {
	if testing.Short() {
		t.Skip("repeats whole runs; not with -short")
	}
	count, seed := faultCount(t, 40)
	v := newVictim(t)
	for name, value := range map[string]string{
		"DISTILLFLOW_MEMO": v.path("memo"), "OPENAI_API_KEY": "none",
		"HF_HUB_CACHE": "", "HF_HUB_OFFLINE": "", // which replay sets
	} {
		t.Setenv(name, value)
	}
	states := []snapshot{ended(t, v), inTraining(t, v)}
	states[0].restore(t, v)
	want := v.mustRun(t)
	rows := v.cat(t)

	for i := range count {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		state := states[r.IntN(len(states))]
		where, file := state.choose(r)
		t.Run(fmt.Sprintf("%d %s", i, file), func(t *testing.T) {
			state.restore(t, v)
			paid := len(v.teacher.asked)
			t.Log(state.harm(t, v, file, r))
			switch where {
			case "bundle":
				v.replay(t, file)
			case "distillflow.lock":
				if status, out := v.app("run", "--json", "--locked", "--set", "url="+v.teacher.srv.URL, v.path("r.yaml")); status == exitOK {
					v.last = []byte(out)
					wantSame(t, want, v.digests(t))
				} else {
					explained(t, status, out)
				}
			default:
				if got := v.cat(t); got != nil {
					wantSame(t, rows, got)
				}
				var force []string
				for _, s := range []string{"preds", "graded", "scores", "rates"} {
					if r.IntN(2) == 0 {
						force = append(force, "--force", s)
					}
				}
				wantSame(t, want, v.mustRun(t, force...))
				wantSame(t, rows, v.cat(t))
				for _, look := range []string{"runs", "show", "log", "cache"} { // no panic
					args := []string{look, v.path("r.yaml")}
					if look == "cache" {
						args = []string{look, "verify", "--store", v.path(".distillflow")}
					}
					v.app(args...)
				}
			}
			if where != "memo" && len(v.teacher.asked) > paid {
				t.Errorf("%d answers were bought again", len(v.teacher.asked)-paid)
			}
		})
	}
}

func wantSame(t *testing.T, want, got map[string]string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-sound +damaged)\n%s", d)
	}
}

// ended is what a run and two bundles of it left.
func ended(t *testing.T, v *victim) snapshot {
	t.Helper()
	v.run(t, childPlan{}, "--lock").want(t, exitOK)
	if err := os.Mkdir(v.path("bundle"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"final", "all"} {
		if status, out := v.app("bundle", "create", "last", v.path("bundle/"+name+".tar.zst"), v.path("r.yaml"), "--artifacts", name); status != exitOK {
			t.Fatalf("status %d\n%s", status, out)
		}
	}
	return v.snapshot(t)
}

// inTraining is what a run left that was killed after its second checkpoint.
func inTraining(t *testing.T, v *victim) snapshot {
	t.Helper()
	if err := os.RemoveAll(v.dir); err != nil {
		t.Fatal(err)
	}
	v.fill(t)
	if p := v.run(t, childPlan{Of: "train-checkpointed", At: 2, Do: "kill"}); p.signal != syscall.SIGKILL {
		t.Fatal("not killed")
	}
	return v.snapshot(t)
}

// app runs a command in this process.
func (v *victim) app(args ...string) (status int, out string) {
	var stdout, stderr bytes.Buffer
	a := app{in: strings.NewReader(""), out: &stdout, err: &stderr, getenv: os.Getenv}
	if status = a.run(context.Background(), args); status != exitOK {
		return status, stderr.String()
	}
	return status, stdout.String()
}

func explained(t *testing.T, status int, out string) {
	t.Helper()
	if strings.TrimSpace(out) == "" || strings.Contains(out, "internal error") || strings.Contains(out, "goroutine ") {
		t.Errorf("status %d: %s", status, out)
	}
	t.Logf("status %d: %s", status, out)
}

// mustRun runs the recipe, if need be twice, and gives its digests.
func (v *victim) mustRun(t *testing.T, flags ...string) map[string]string {
	t.Helper()
	args := append([]string{"run", "--json", "-j", "2", "--set", "url=" + v.teacher.srv.URL, v.path("r.yaml")}, flags...)
	status, out := v.app(args...)
	if status != exitOK {
		explained(t, status, out)
		if status, out = v.app(args...); status != exitOK {
			t.Fatalf("once more: status %d: %s", status, out)
		}
	}
	v.last = []byte(out)
	return v.digests(t)
}

// cat prints outputs of the last run, nil if one of them cannot be.
func (v *victim) cat(t *testing.T) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, name := range []string{"replies", "graded.correct", "students.router_log", "scores.scores"} {
		status, out := v.app("cat", v.path("r.yaml"), name)
		if status != exitOK {
			explained(t, status, out)
			return nil
		}
		m[name] = out
	}
	return m
}

// replay replays a bundle: all is equal or there is an error.
func (v *victim) replay(t *testing.T, file string) {
	t.Helper()
	status, out := v.app("bundle", "replay", v.path(file), "--dir", filepath.Join(t.TempDir(), "again"))
	if status != exitOK {
		explained(t, status, out)
		return
	}
	for line := range strings.Lines(out) {
		if line != "\n" && !strings.Contains(line, "stages:") && !strings.HasPrefix(line, "equal") && !strings.HasPrefix(line, "packed") {
			t.Errorf("status 0: %s", line)
		}
	}
}

// snapshot is a folder with all its files, links between them included.
type snapshot struct {
	dirs  []string
	files map[string]savedFile // by path below the folder
}

type savedFile struct {
	text []byte
	mode fs.FileMode
	at   time.Time
	same string // another path of the same file, "" for none or for the first
}

func (v *victim) snapshot(t *testing.T) snapshot {
	t.Helper()
	s := snapshot{files: map[string]savedFile{}}
	first := map[uint64]string{}
	err := filepath.WalkDir(v.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(v.dir, path)
		if d.IsDir() {
			s.dirs = append(s.dirs, rel)
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		f := savedFile{mode: fi.Mode().Perm(), at: fi.ModTime()}
		inode := fi.Sys().(*syscall.Stat_t).Ino
		if f.same = first[inode]; f.same == "" {
			first[inode] = rel
		}
		f.text, err = os.ReadFile(path)
		s.files[rel] = f
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s snapshot) restore(t *testing.T, v *victim) {
	t.Helper()
	err := os.RemoveAll(v.dir)
	for _, d := range s.dirs {
		if err == nil {
			err = os.MkdirAll(v.path(d), 0o777)
		}
	}
	for _, links := range []bool{false, true} {
		for rel, f := range s.files {
			if err == nil && links == (f.same != "") {
				if err = f.restore(v.path(rel)); links {
					err = os.Link(v.path(f.same), v.path(rel))
				}
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (f savedFile) restore(path string) error {
	if f.same != "" {
		return nil
	}
	if err := os.WriteFile(path, f.text, f.mode); err != nil {
		return err
	}
	return os.Chtimes(path, f.at, f.at)
}

// choose takes a file, first by the part of a store that it belongs to: there are more
// blobs than all else.
func (s snapshot) choose(r *rand.Rand) (where, file string) {
	parts := map[string][]string{}
	for _, rel := range slices.Sorted(maps.Keys(s.files)) {
		part, rest, _ := strings.Cut(rel, "/")
		switch part {
		case "r.yaml", "train.jsonl", "test.jsonl", "out", "report_files", "report.html": // the user's
			continue
		case ".distillflow":
			part, _, _ = strings.Cut(rest, "/")
		}
		parts[part] = append(parts[part], rel)
	}
	names := slices.Sorted(maps.Keys(parts))
	for _, content := range []string{"blobs", "trees", "work", "memo"} { // most of the bytes
		if parts[content] != nil {
			names = append(names, content, content, content)
		}
	}
	where = names[r.IntN(len(names))]
	return where, parts[where][r.IntN(len(parts[where]))]
}

// harm damages a file and says how.
func (s snapshot) harm(t *testing.T, v *victim, file string, r *rand.Rand) string {
	t.Helper()
	path, f := v.path(file), s.files[file]
	b, how := bytes.Clone(f.text), ""
	switch k := r.IntN(12); {
	case k == 0:
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		return "gone"
	case k == 1 || len(b) == 0:
		other := slices.Sorted(maps.Keys(s.files))[r.IntN(len(s.files))]
		b, how = s.files[other].text, "swapped for "+other
	case k == 2:
		b, how = nil, "emptied"
	case k == 3:
		b = b[:r.IntN(len(b))]
		how = fmt.Sprintf("cut to %d of %d bytes", len(b), len(f.text))
	case k == 4:
		b, how = append(b, b[:min(len(b), 100)]...), "grown"
	case k == 5:
		at := r.IntN(len(b))
		clear(b[at:min(len(b), at+512)])
		how = fmt.Sprintf("zeros from byte %d", at)
	default:
		for range 1 + r.IntN(3) {
			at := r.IntN(len(b))
			b[at] ^= byte(1 + r.IntN(255))
			how += fmt.Sprintf("byte %d changed; ", at)
		}
	}
	// In place: other names of the file see it too.
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	if r.IntN(2) == 0 { // a disk that rots sets no times
		how += ", times kept"
		if err := os.Chtimes(path, f.at, f.at); err != nil {
			t.Fatal(err)
		}
	}
	return how
}
