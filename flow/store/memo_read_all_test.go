package store

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestMemoRecords(t *testing.T) {
	dir := t.TempDir()
	m, warned := openMemo(t, dir, MemoOptions{NoSync: true})
	for _, name := range []string{"a", "b", "c"} {
		putAnswer(t, m, name, 100)
	}
	other, _ := openMemo(t, dir, MemoOptions{NoSync: true, Refresh: -1})
	putAnswer(t, other, "d", 100) // found without a Get before
	stop := errors.New("enough")
	if err := m.Records(t.Context(), func([32]byte, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Records(ended, func([32]byte, []byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	b, _ := answer("b", 0)
	f, err := os.OpenFile(m.segments[0].path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{1, 2, 3}, m.index[idOfKey(b)].offset()+memoHead+5); err != nil {
		t.Fatal(err)
	}
	n := 0
	err = m.Records(t.Context(), func(key [32]byte, _ []byte) error {
		if n++; key == b {
			t.Error("a damaged record was handed out")
		}
		return nil
	})
	if n != 3 || m.Stats().Corrupt != 1 || err != nil || warned.count() != 1 {
		t.Error(n, m.Stats(), err, warned.all)
	}
}

// Forgetting leaves every other record where it was, in force or not.
func TestMemoForget(t *testing.T) {
	dir := t.TempDir()
	a, _ := openMemo(t, dir, MemoOptions{NoSync: true})
	b, _ := openMemo(t, dir, MemoOptions{NoSync: true, Refresh: -1})
	for _, name := range []string{"a", "bad 1", "c"} {
		putAnswer(t, a, name, 100)
	}
	putAnswer(t, b, "bad 1", 100) // bought twice
	putAnswer(t, b, "d", 100)
	bad := func(key [32]byte, _ []byte) bool { k, _ := answer("bad 1", 0); return key == k }

	m, _ := openMemo(t, dir, MemoOptions{NoSync: true})
	if _, err := m.Forget(t.Context(), bad); !errors.Is(err, ErrBusy) {
		t.Fatalf("while others write: %v", err)
	}
	for _, w := range []*Memo{a, b} {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	reader, _ := openMemo(t, dir, MemoOptions{Refresh: 1})
	if n, err := m.Forget(t.Context(), func([32]byte, []byte) bool { return false }); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := m.Forget(t.Context(), bad); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	fresh, warned := openMemo(t, dir, MemoOptions{NoSync: true})
	putAnswer(t, fresh, "e", 100)
	for _, m := range []*Memo{m, fresh, reader} {
		if err := m.Refresh(); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "c", "d", "e"} {
			wantAnswer(t, m, name, 100)
		}
		if m != reader { // it may keep what it knows
			wantNoAnswer(t, m, "bad 1")
		}
	}
	putAnswer(t, fresh, "bad 1", 50)
	wantAnswer(t, fresh, "bad 1", 50)
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 || warned.count() != 0 {
		t.Errorf("left: %v %v %v", left, err, warned.all)
	}
	for _, f := range left {
		if fi, err := f.Info(); err != nil || fi.Mode().Perm()&0o077 != 0 {
			t.Error("others may read paid answers", fi.Mode(), err)
		}
	}
}

func TestRenewedName(t *testing.T) {
	for in, want := range map[string]string{
		"m/seg-20260102T150405.000000000-0a1b2c3d.dfm": "m/seg-20260102T150405.000000000-",
		"m/seg-0.dfm": "m/seg-0-",
	} {
		if got := renewedName(in); !strings.HasPrefix(got, want) || len(got) != len(want)+len("12345678.dfm") {
			t.Errorf("%s: %s", in, got)
		}
	}
}
