package parcel

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/remote"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// strange is a bucket in a folder with one object of a task, and a store.
type strange struct {
	parcel Parcel
	dir    string // of the task's objects
	store  *store.Store
}

func newStrange(f *testing.F) strange {
	f.Helper()
	dir := f.TempDir()
	b, err := remote.Open(f.Context(), "file://"+filepath.ToSlash(dir), true)
	if err != nil {
		f.Fatal(err)
	}
	st, err := store.Open(filepath.Join(dir, "store"), store.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _, _ = b.Close(), st.Close() })
	s := strange{Parcel{b, "toy-1"}, filepath.Join(dir, "v1", "jobs", "toy-1"), st}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		f.Fatal(err)
	}
	return s
}

func (s strange) put(t *testing.T, object string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, object), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What a stranger leaves as a task's result is a result with all its outputs in their
// places, or an error.
func FuzzResult(f *testing.F) {
	s := newStrange(f)
	rows, _, err := s.store.PutBytes([]byte("{}\n"), store.Relaxed)
	if err != nil {
		f.Fatal(err)
	}
	list, _, err := s.store.PutBytes([]byte(`{"format":"distillflow-tree/1","entries":[{"path":"a/b","size":3,"digest":"`+string(rows)+`"},{"path":"c","link":"a/b"}]}`), store.Relaxed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"result":{"rows":{"copy":1}},"outputs":{"copy":{"kind":"rows","digest":"` + string(rows) + `"},"folder":{"kind":"dir","digest":"` + string(list) + `"}}}`))
	f.Add([]byte(`{"result":null,"outputs":{"copy":{"kind":"dir","digest":"` + string(rows) + `"},"folder":{"kind":"x","digest":"` + string(list) + `"}}}`))
	f.Add([]byte(`{"error":"x","final":true,"result":{"stats":{"calls":1e308}}}`))
	f.Add([]byte(`{"shortage":"memory","error":""}`))
	f.Add([]byte(`{"outputs":{"copy":{"kind":"rows","digest":"sha256:../../x"}}}`))
	f.Add([]byte("[]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s.put(t, resultObject, b)
		dir := t.TempDir()
		task := stage.Task{Stage: "s", Type: "toy", Outputs: map[string]string{"copy": filepath.Join(dir, "copy.jsonl"), "folder": filepath.Join(dir, "folder")}}
		alloctest.Within(t, len(b), 100, 4<<20, func() {
			if _, err := s.parcel.Collect(t.Context(), s.store, task); err != nil {
				return
			}
			for port, to := range task.Outputs {
				if _, err := os.Stat(to); err != nil {
					t.Errorf("%q: output %s: %v", b, port, err)
				}
			}
		})
	})
}

// What a stranger leaves as a worker's messages is passed on once.
func FuzzTold(f *testing.F) {
	s := newStrange(f)
	f.Add([]byte(`{"started":{"host":"h","pid":1},"warnings":["a","b"],"progress":{"done":1}}`), []byte(`{"started":{"host":"h","pid":2},"warnings":["c"]}`))
	f.Add([]byte(`{"warnings":["a","b"]}`), []byte(`{"warnings":["a"]}`))
	f.Add([]byte(`{}`), []byte(`{"progress":{"done":-1,"total":1e400}}`))
	f.Add([]byte(`null`), []byte(strings.Repeat("[", 20_000)))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		told, steps := 0, 0
		h := exec.Hooks{Warn: func(string) { told++ }, Progress: func(stage.Progress) { steps++ }}
		follow := Follower{Parcel: s.parcel}
		alloctest.Within(t, len(first)+len(second), 200, 2<<20, func() {
			for _, b := range [][]byte{first, second} {
				s.put(t, toldObject, b)
				_, err := follow.Poll(t.Context(), h)
				had := []int{told, steps}
				begun, err2 := follow.Poll(t.Context(), h)
				if (err == nil) != (err2 == nil) || begun != nil || had[0] != told || had[1] != steps {
					t.Errorf("%q, %q: told again: %v, %v, %v", first, second, begun, err, err2)
				}
			}
		})
		if steps > 2 {
			t.Errorf("%d steps", steps)
		}
	})
}

// A worker that gets a strange task ends, with a result or with an error, and writes
// nothing but its scratch folder and its task's objects.
func FuzzTask(f *testing.F) {
	s := newStrange(f)
	f.Add([]byte(`{"stage":"s","type":"toy","version":1,"config":{"act":""},"inputs":{"rows":[{"path":"/nowhere","label":"a","digest":"` + string(store.DigestBytes(nil)) + `"}]}}`))
	f.Add([]byte(`{"stage":"../s","type":"less","config":null,"inputs":{"rows":[{"digest":"sha256:../../x"}]},"outputs":{"../../x":"/x"},"work_dir":"/"}`))
	f.Add([]byte(`{"type":"less","needs":{"gpus":-1,"time":-1},"shard":3}`))
	f.Add([]byte(`{"type":"bare","version":1,"config":{},"key":"../../x"}`))
	f.Add([]byte(`null`))
	reg, err := stage.NewRegistry(stage.Define(stage.Spec{Type: "bare", Version: 1, Class: stage.Sampled, Doc: "Writes nothing."},
		func(context.Context, *stage.Env, struct{}, struct{}, outs) error { return nil }))
	if err != nil {
		f.Fatal(err)
	}
	every = time.Millisecond
	f.Fuzz(func(t *testing.T, b []byte) {
		s.put(t, resultObject, nil)
		s.put(t, toldObject, []byte("{}"))
		s.put(t, taskObject, b)
		root := t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := Work(ctx, s.parcel, filepath.Join(root, "a", "scratch"), reg, stage.Services{})
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q: %v", b, err)
		}
		left, rerr := os.ReadFile(filepath.Join(s.dir, resultObject))
		if rerr != nil || err == nil && len(left) == 0 {
			t.Errorf("%q: no result: %v, %v", b, err, rerr)
		}
		for _, dir := range []string{root, filepath.Join(root, "a")} {
			if names, err := os.ReadDir(dir); err != nil && !errors.Is(err, os.ErrNotExist) || len(names) > 1 {
				t.Errorf("%q: beside the scratch folder lies %v (%v)", b, names, err)
			}
		}
	})
}
