package store

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gofrs/flock"
)

// answer has a key of its own and n bytes that do not compress.
func answer(name string, n int) (key [32]byte, value []byte) {
	key = sha256.Sum256([]byte(name))
	value = make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(value) // never fails
	return key, value
}

func putAnswer(t *testing.T, m *Memo, name string, n int) {
	t.Helper()
	if err := m.Put(answer(name, n)); err != nil {
		t.Fatal(err)
	}
}

func wantAnswer(t *testing.T, m *Memo, name string, n int) {
	t.Helper()
	key, value := answer(name, n)
	if v, ok, err := m.Get(key); err != nil || !ok || !bytes.Equal(v, value) {
		t.Errorf("%s: hit %v, error %v, %d bytes", name, ok, err, len(v))
	}
}

func wantNoAnswer(t *testing.T, m *Memo, name string) {
	t.Helper()
	key, _ := answer(name, 0)
	if v, ok, err := m.Get(key); err != nil || ok {
		t.Errorf("%s: hit %v, error %v, %d bytes", name, ok, err, len(v))
	}
}

// A reader that has indexed a record which its writer cuts off again after a failed
// sync must find whatever is written there next, and must not take what now lies
// there for the record that was cut.
func TestMemoReaderOfATruncatedSegment(t *testing.T) {
	const cut = 300 // bytes of the answer that is cut off
	for name, tc := range map[string]struct {
		looks bool  // the reader looks between cutting and writing
		next  []int // bytes of the answers written in its place
	}{
		"longer":             {next: []int{1000}},
		"shorter":            {next: []int{100}},
		"of the same length": {next: []int{cut}},
		"several":            {next: []int{100, 100, 100, 100}},
		"seen cut short":     {looks: true, next: []int{100}},
		"of two":             {next: []int{100, cut - 100 - memoHead - memoTrail}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a, _ := openMemo(t, dir, MemoOptions{NoSync: true})
			putAnswer(t, a, "kept", 100)
			before := a.Stats().Bytes
			putAnswer(t, a, "cut", cut)
			b, warned := openMemo(t, dir, MemoOptions{Refresh: -1})
			wantAnswer(t, b, "cut", cut)
			path := a.segments[0].path
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, before); err != nil {
				t.Fatal(err)
			}
			if tc.looks {
				if err := b.Refresh(); err != nil {
					t.Fatal(err)
				}
			}
			c, _ := openMemo(t, dir, MemoOptions{NoSync: true})
			for i, n := range tc.next {
				putAnswer(t, c, string(rune('a'+i)), n)
			}
			if st := c.Stats(); st.Segments != 1 {
				t.Fatalf("%+v: not written behind the cut", st)
			}
			if err := b.Refresh(); err != nil {
				t.Fatal(err)
			}
			wantAnswer(t, b, "kept", 100)
			wantNoAnswer(t, b, "cut")
			for i, n := range tc.next {
				wantAnswer(t, b, string(rune('a'+i)), n)
			}
			putAnswer(t, b, "cut", cut) // asked again
			wantAnswer(t, b, "cut", cut)
			if st := b.Stats(); st.Records != len(tc.next)+2 || st.Corrupt != 0 || warned.count() != 0 {
				t.Errorf("%+v %v", st, warned.all)
			}
		})
	}
}

// A record that was cut off and replaced before its reader has looked again does not
// stand in the way of its successor.
func TestMemoStaleIndex(t *testing.T) {
	dir := t.TempDir()
	a, _ := openMemo(t, dir, MemoOptions{NoSync: true})
	putAnswer(t, a, "cut", 100)
	b, _ := openMemo(t, dir, MemoOptions{NoSync: true, Refresh: -1})
	path := a.segments[0].path
	a.Close()
	if err := os.Truncate(path, int64(len(memoHeader))); err != nil {
		t.Fatal(err)
	}
	c, _ := openMemo(t, dir, MemoOptions{NoSync: true})
	putAnswer(t, c, "other", 100)
	wantNoAnswer(t, b, "cut")
	putAnswer(t, b, "cut", 100)
	wantAnswer(t, b, "cut", 100)
	wantAnswer(t, b, "other", 100)
}

// disk is what the files of a memo's writer lie on; it counts, and fails when told to.
// One goroutine at a time uses it: Put waits for the one that writes.
type disk struct {
	paths    []string // opened, in order
	unsynced int      // bytes written since the last sync
	written  int

	short    int   // bytes that a failing write leaves
	write    error // of the next write
	sync     error // of the next sync
	truncate error // of the next truncation
}

func (d *disk) use(m *Memo) {
	open := m.w.open
	m.w.open = func(path string, flag int) (memoFile, error) {
		f, err := open(path, flag)
		d.paths = append(d.paths, path)
		return diskFile{f, d}, err
	}
}

type diskFile struct {
	memoFile
	d *disk
}

func take(err *error) error {
	e := *err
	*err = nil
	return e
}

func (f diskFile) WriteAt(b []byte, off int64) (int, error) {
	if off >= int64(len(memoHeader)) { // not of a new segment
		if err := take(&f.d.write); err != nil {
			n, _ := f.memoFile.WriteAt(b[:f.d.short], off)
			return n, err
		}
	}
	n, err := f.memoFile.WriteAt(b, off)
	f.d.unsynced += n
	f.d.written += n
	return n, err
}

func (f diskFile) Sync() error {
	if err := take(&f.d.sync); err != nil {
		return err
	}
	f.d.unsynced = 0
	return f.memoFile.Sync()
}

func (f diskFile) Truncate(n int64) error {
	if err := take(&f.d.truncate); err != nil {
		return err
	}
	return f.memoFile.Truncate(n)
}

// Put returns when the record is on the disk, not before.
func TestMemoPutSyncs(t *testing.T) {
	m, _ := openMemo(t, t.TempDir(), MemoOptions{})
	var d disk
	d.use(m)
	for _, name := range []string{"a", "b"} {
		written := d.written
		putAnswer(t, m, name, 100)
		if d.written == written || d.unsynced != 0 {
			t.Errorf("%s: %d bytes written, %d of them not synced", name, d.written-written, d.unsynced)
		}
	}
}

// After a write or sync that fails, nobody finds the record, the process goes on in
// another segment, and what other processes write to the first one is found.
func TestMemoFailedWrite(t *testing.T) {
	for name, tc := range map[string]struct {
		d        disk
		says     string
		leftOver bool // nothing could be cut off
	}{
		"nothing written":          {d: disk{write: syscall.EIO}, says: "input/output"},
		"short write":              {d: disk{write: syscall.ENOSPC, short: 70}, says: "disk is full"},
		"short write, not cut off": {d: disk{write: syscall.ENOSPC, short: 70, truncate: syscall.EIO}, leftOver: true, says: "disk is full"},
		"sync":                     {d: disk{sync: syscall.EIO}, says: "input/output"},
		"read-only":                {d: disk{write: syscall.EROFS}, says: "writable"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m, _ := openMemo(t, dir, MemoOptions{})
			reader, _ := openMemo(t, dir, MemoOptions{Refresh: 1})
			d := new(disk)
			d.use(m)
			putAnswer(t, m, "before", 100)
			first := m.segments[0].path
			size := m.Stats().Bytes

			d.write, d.sync, d.truncate, d.short = tc.d.write, tc.d.sync, tc.d.truncate, tc.d.short
			want := errors.Join(tc.d.write, tc.d.sync)
			err := m.Put(answer("lost", 300))
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(want.Error(), errors.Unwrap(err).Error()) {
				t.Fatalf("error %v, want %v", err, want)
			}
			wantNoAnswer(t, m, "lost")
			wantNoAnswer(t, reader, "lost")
			if fi, err := os.Stat(first); err != nil || (fi.Size() == size) == tc.leftOver {
				t.Errorf("%d bytes, want %d: the failed record was not cut off", fi.Size(), size)
			}

			putAnswer(t, m, "lost", 300) // asked again
			if len(d.paths) != 2 || d.paths[1] == first {
				t.Errorf("wrote to %v: went on in the one that failed", d.paths)
			}
			other, _ := openMemo(t, dir, MemoOptions{})
			putAnswer(t, other, "other", 50)
			wantOwn := 2
			if tc.leftOver {
				wantOwn = 3 // nobody writes behind a torn record
			}
			if st := other.Stats(); st.Segments != wantOwn {
				t.Errorf("%d segments, want %d: the first one is free again", st.Segments, wantOwn)
			}
			fresh, warned := openMemo(t, dir, MemoOptions{})
			for _, r := range []*Memo{m, reader, other, fresh} {
				if err := r.Refresh(); err != nil {
					t.Fatal(err)
				}
				wantAnswer(t, r, "before", 100)
				wantAnswer(t, r, "lost", 300)
				wantAnswer(t, r, "other", 50)
			}
			if st := fresh.Stats(); st.Records != 3 || st.Corrupt != 0 || warned.count() != 0 {
				t.Errorf("%+v %v", st, warned.all)
			}
		})
	}
}

// A segment that is full is left for another one, by its writer and by those who come.
func TestMemoRotation(t *testing.T) {
	dir := t.TempDir()
	open := func() *Memo {
		m, _ := openMemo(t, dir, MemoOptions{NoSync: true})
		m.w.full = 1000
		return m
	}
	m := open()
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		putAnswer(t, m, name, 400)
	}
	if st := m.Stats(); st.Segments != 2 {
		t.Errorf("%+v: want three answers in the first segment and two in the second", st)
	}
	m.Close()
	// Both are more than half full: the next process begins one of its own.
	m = open()
	putAnswer(t, m, "f", 10)
	if st := m.Stats(); st.Segments != 3 || st.Records != 6 {
		t.Errorf("%+v", st)
	}
	m.Close()
	m = open() // and the next one goes on in that
	putAnswer(t, m, "g", 10)
	if st := m.Stats(); st.Segments != 3 || st.Records != 7 {
		t.Errorf("%+v", st)
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		wantAnswer(t, m, name, 400)
	}
}

// Another process that looks at a segment while it is made, and holds its lock for that
// moment, costs no answer.
func TestMemoNewSegmentIsLookedAt(t *testing.T) {
	m, _ := openMemo(t, t.TempDir(), MemoOptions{NoSync: true})
	open, taken := m.w.open, ""
	m.w.open = func(path string, flag int) (memoFile, error) {
		f, err := open(path, flag)
		if taken == "" {
			taken = path
			l := flock.New(path)
			t.Cleanup(func() { l.Close() })
			if ok, err := l.TryLock(); !ok || err != nil {
				t.Error(ok, err)
			}
		}
		return f, err
	}
	putAnswer(t, m, "a", 100)
	if got := m.segments[0].path; got == taken {
		t.Errorf("wrote to %s, which another process holds", got)
	}
	if _, err := os.Stat(taken); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file that was not used stays", err)
	}
}
