package remote

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/store"
)

func openStore(t *testing.T) *store.Store {
	t.Helper()
	st, err := store.Open(filepath.Join(t.TempDir(), "store"), store.Options{Warn: func(w store.Warning) { t.Logf("%s", w) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// outputs puts rows and a folder into a store.
func outputs(t *testing.T, st *store.Store) map[store.OutputKind]store.Digest {
	t.Helper()
	rows, _, err := st.PutBytes([]byte("{\"a\":1}\n{\"a\":2}\n"), store.Relaxed)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"model/weights": strings.Repeat("w", 5000), "model/again": strings.Repeat("w", 5000), "config": "{}", "empty": ""} {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o777), os.WriteFile(p, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	tree, _, err := st.PutTree(dir, store.Relaxed)
	if err != nil {
		t.Fatal(err)
	}
	return map[store.OutputKind]store.Digest{store.KindRows: rows, store.KindDir: tree}
}

// A worker with nothing but the URL gets what a coordinator has.
func TestOutputsGoFromStoreToStore(t *testing.T) {
	for _, url := range []string{"file://" + filepath.ToSlash(filepath.Join(t.TempDir(), "new", "bucket")), ""} {
		_, b := newDouble(t)
		if url != "" {
			var err error
			if b, err = Open(t.Context(), url, true); err != nil {
				t.Fatal(err)
			}
			defer b.Close()
		}
		here, there := openStore(t), openStore(t)
		for kind, d := range outputs(t, here) {
			if err := b.Fetch(t.Context(), there, kind, d); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %v, want not found", kind, err)
			}
			for range 2 {
				if err := b.Push(t.Context(), here, kind, d); err != nil {
					t.Fatal(err)
				}
				if err := b.Fetch(t.Context(), there, kind, d); err != nil {
					t.Fatal(err)
				}
			}
			if kind == store.KindDir {
				dir, err := there.MaterializeTree(d)
				if err != nil {
					t.Fatal(err)
				}
				if w, err := os.ReadFile(filepath.Join(dir, "model", "again")); err != nil || len(w) != 5000 {
					t.Errorf("%d bytes, %v", len(w), err)
				}
			} else if _, err := there.ReadBlob(d); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestNothingIsSentTwice(t *testing.T) {
	d, b := newDouble(t)
	st := openStore(t)
	for range 3 {
		for kind, digest := range outputs(t, st) {
			if err := b.Push(t.Context(), st, kind, digest); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The rows, the manifest, three different contents.
	if n := d.count("write"); n != 5 {
		t.Errorf("%d uploads, want 5", n)
	}
}

// What arrives damaged is no error of the store and leaves nothing in it.
func TestDamageOnTheWay(t *testing.T) {
	for name, spoil := range map[string]func(b []byte) ([]byte, error){
		"flipped byte": func(b []byte) ([]byte, error) {
			c := append([]byte(nil), b...)
			c[len(c)/2] ^= 1
			return c, nil
		},
		"truncated": func(b []byte) ([]byte, error) { return b[:len(b)-1], nil },
		"fails":     func([]byte) ([]byte, error) { return nil, errRefused },
	} {
		t.Run(name, func(t *testing.T) {
			d, b := newDouble(t)
			here := openStore(t)
			for kind, digest := range outputs(t, here) {
				if err := b.Push(t.Context(), here, kind, digest); err != nil {
					t.Fatal(err)
				}
				for _, object := range d.names("v1/blobs") {
					if data, _ := d.load(object); len(data) == 0 {
						continue
					}
					there := openStore(t)
					d.mu.Lock()
					d.fault = func(op, o string, data []byte) ([]byte, error) {
						if op == "read" && o == object {
							return spoil(data)
						}
						return data, nil
					}
					d.mu.Unlock()
					if err := b.Fetch(t.Context(), there, kind, digest); err == nil && len(d.names("v1/blobs")) == 1 {
						t.Errorf("%s: no error", object)
					}
					hex := object[strings.LastIndex(object, "/")+1:]
					if there.Has(store.Digest("sha256:" + hex)) {
						t.Errorf("%s arrived", object)
					}
				}
				d.mu.Lock()
				d.fault, d.objects = nil, map[string][]byte{}
				d.mu.Unlock()
			}
		})
	}
}

func TestASilentBucketIsGivenUp(t *testing.T) {
	d, b := newDouble(t)
	st := openStore(t)
	d.hang = func(string, string) bool { return true }
	for kind, digest := range outputs(t, st) {
		if err := b.Push(t.Context(), st, kind, digest); err == nil || !strings.Contains(err.Error(), "no answer within 200ms") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A blob that is damaged here must not get into the bucket under its name.
func TestDamageHereIsNotSent(t *testing.T) {
	d, b := newDouble(t)
	st := openStore(t)
	digest := outputs(t, st)[store.KindRows]
	file, err := st.Path(digest)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(file, 0o644), os.WriteFile(file, []byte("{\"a\":3}\n{\"a\":2}\n"), 0o644), os.Chtimes(file, fi.ModTime(), fi.ModTime())); err != nil {
		t.Fatal(err)
	}
	if err := b.Push(t.Context(), st, store.KindRows, digest); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	if l := d.names(""); len(l) > 0 {
		t.Errorf("the bucket holds %v", l)
	}
}

func TestObjectsOfJobs(t *testing.T) {
	_, b := newDouble(t)
	if _, err := b.GetObject(t.Context(), "a/task.json"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{"one", "two"} {
		if err := b.PutObject(t.Context(), "a/task.json", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := b.GetObject(t.Context(), "a/task.json"); string(got) != text || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	for _, name := range []string{"", "/a", "../a", "a/../b", "a b", "a//b", "..", "ä"} {
		if err := b.PutObject(t.Context(), name, nil); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"bucket":                         "is no URL: want file:///folder, s3://",
		"ftp://user:pass@host/x":         "the scheme ftp: is not known: want one of file",
		"file://share/folder":            "names the host share: write file:///folder",
		"file://":                        "names no folder",
		"file://" + file:                 "is a file, want a folder",
		"file:///none/such?secret=shown": "cache file:///none/such: there is no such folder",
	} {
		_, err := Open(t.Context(), url, false)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}
