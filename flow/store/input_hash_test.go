package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// later is a clock that runs an hour ahead: files written just now have come to
// rest long ago for a store that uses it.
func later() time.Time { return time.Now().Add(time.Hour) }

func hashOf(t testing.TB, s *Store, path string) Digest {
	t.Helper()
	d, n, err := s.HashFile(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Size() != n {
		t.Fatalf("size %d: %v", n, err)
	}
	return d
}

func remembered(s *Store, path string) bool {
	abs, _ := filepath.Abs(path)
	_, ok := s.stats.get(s, abs)
	return ok
}

func TestHashFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	s, _ := openStore(t, dir, Options{Now: later})
	p := filepath.Join(t.TempDir(), "da ta\tü.jsonl")
	write := func(text string) Digest {
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return DigestBytes([]byte(text))
	}
	want := write("first")
	if d := hashOf(t, s, p); d != want || !remembered(s, p) {
		t.Fatal(d, remembered(s, p))
	}
	s.Close()

	// The next process does not read the file: a digest planted in its memory
	// shows through.
	s, warned := openStore(t, dir, Options{Now: later})
	if !remembered(s, p) {
		t.Fatal("not persisted")
	}
	fi, _ := os.Stat(p)
	planted := DigestBytes([]byte("planted"))
	s.stats.put(s, p, statEntry{StateOf(fi), planted})
	if d := hashOf(t, s, p); d != planted {
		t.Fatal("an unchanged file was read again")
	}

	// Touching reads it again and finds the same.
	then := time.Now().Add(-time.Minute)
	if err := os.Chtimes(p, then, then); err != nil {
		t.Fatal(err)
	}
	if d := hashOf(t, s, p); d != want {
		t.Fatal("touched:", d)
	}
	// Same size, other content; then the old time put back.
	fi, _ = os.Stat(p)
	want = write("FIRST")
	if err := os.Chtimes(p, fi.ModTime(), fi.ModTime()); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(p); changeTime(after) != changeTime(fi) {
		if d := hashOf(t, s, p); d != want {
			t.Fatal("changed with its time put back:", d)
		}
	}
	// Replaced by rename.
	other := p + ".new"
	if err := os.WriteFile(other, []byte("third"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, p); err != nil {
		t.Fatal(err)
	}
	if d := hashOf(t, s, p); d != DigestBytes([]byte("third")) {
		t.Fatal("replaced:", d)
	}
	if warned.count() != 0 {
		t.Error(warned.all)
	}
}

// A file that changed within the window is hashed but not trusted.
func TestHashFileRacy(t *testing.T) {
	s, _ := newStore(t)
	p := filepath.Join(t.TempDir(), "data")
	for _, text := range []string{"aaaa", "bbbb", "cccc"} {
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if d := hashOf(t, s, p); d != DigestBytes([]byte(text)) {
			t.Fatal(text)
		}
		if remembered(s, p) {
			t.Fatal("a file that has just changed is remembered")
		}
	}
}

func TestHashFileErrors(t *testing.T) {
	s, _ := newStore(t)
	dir := t.TempDir()
	if _, _, err := s.HashFile(context.Background(), filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, _, err := s.HashFile(context.Background(), dir); err == nil {
		t.Error("a folder was hashed")
	}
	p := filepath.Join(dir, "data")
	if err := os.WriteFile(p, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := s.HashFile(ctx, p); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestStatCacheDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	s, _ := openStore(t, dir, Options{Now: later})
	files := t.TempDir()
	for _, n := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(files, n), []byte(n), 0o644); err != nil {
			t.Fatal(err)
		}
		hashOf(t, s, filepath.Join(files, n))
	}
	s.Close()
	p := filepath.Join(dir, "statcache")
	whole, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		b := bytes.Clone(whole)
		b[at] ^= 4
		overwrite(t, p, b)
		s, warned := openStore(t, dir, Options{Now: later})
		for _, n := range []string{"a", "b", "c"} {
			if d := hashOf(t, s, filepath.Join(files, n)); d != DigestBytes([]byte(n)) {
				t.Fatalf("byte %d: wrong digest of %s", at, n)
			}
		}
		if warned.count() == 0 {
			t.Fatalf("byte %d: no warning", at)
		}
		s.opts.ReadOnly = true // leave the damage to the next round
		s.Close()
	}
}
