package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func memoKey(i int) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

// memoValue is text of varied length; every seventh does not compress.
func memoValue(i int) []byte {
	r := rand.New(rand.NewPCG(uint64(i), 1))
	n := r.IntN(2000)
	if i%50 == 0 {
		n = 40_000 // more than one read
	}
	b := make([]byte, n)
	for j := range b {
		if i%7 == 0 {
			b[j] = byte(r.Uint32())
		} else {
			b[j] = "The answer is 42. "[(j+i)%18]
		}
	}
	return b
}

func openMemo(t testing.TB, dir string, opts MemoOptions) (*Memo, *warnings) {
	t.Helper()
	w := &warnings{}
	opts.Warn = w.add
	m, err := OpenMemo(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, w
}

func wantValue(t testing.TB, m *Memo, i int) {
	t.Helper()
	v, ok, err := m.Get(memoKey(i))
	if err != nil || !ok || !bytes.Equal(v, memoValue(i)) {
		t.Fatalf("key %d: hit %v, error %v, %d bytes", i, ok, err, len(v))
	}
}

func TestMemoRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "memo [1]*")
	m, _ := openMemo(t, dir, MemoOptions{})
	if _, ok, err := m.Get(memoKey(1)); ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("reading created the folder")
	}
	const n = 300
	for i := range n {
		if err := m.Put(memoKey(i), memoValue(i)); err != nil {
			t.Fatal(err)
		}
		wantValue(t, m, i)
	}
	// The first answer stays.
	if err := m.Put(memoKey(5), []byte("another")); err != nil {
		t.Fatal(err)
	}
	wantValue(t, m, 5)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Put(memoKey(5000), nil); err == nil {
		t.Error("Put after Close succeeds")
	}
	m, warned := openMemo(t, dir, MemoOptions{})
	for i := range n {
		wantValue(t, m, i)
	}
	if st := m.Stats(); st.Records != n || st.Segments != 1 || st.Corrupt != 0 {
		t.Errorf("%+v", st)
	}
	sound := 0
	err := m.Records(t.Context(), func(key [32]byte, value []byte) error {
		if key == memoKey(sound) && bytes.Equal(value, memoValue(sound)) { // in the order of the file
			sound++
		}
		return nil
	})
	if sound != n || m.Stats().Corrupt != 0 || err != nil {
		t.Error(sound, m.Stats(), err)
	}
	// The next process goes on in the same segment.
	if err := m.Put(memoKey(n), memoValue(n)); err != nil {
		t.Fatal(err)
	}
	if st := m.Stats(); st.Segments != 1 {
		t.Errorf("%+v", st)
	}
	if warned.count() != 0 {
		t.Error(warned.all)
	}
	fi, err := os.Stat(m.segments[0].path)
	if err != nil || fi.Mode().Perm()&0o077 != 0 {
		t.Error("others may read paid answers", fi.Mode(), err)
	}
}

func TestMemoConcurrentPut(t *testing.T) {
	dir := t.TempDir()
	syncs := 0
	m, _ := openMemo(t, dir, MemoOptions{Fault: func(p string) {
		if p == FaultMemoSynced {
			syncs++ // one batch at a time: the race detector checks that
		}
	}})
	const workers, each = 32, 20
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				k := w*each + i
				if err := m.Put(memoKey(k), memoValue(k)); err != nil {
					t.Error(err)
					return
				}
				if v, ok, err := m.Get(memoKey(k)); err != nil || !ok || !bytes.Equal(v, memoValue(k)) {
					t.Errorf("key %d: %v %v", k, ok, err)
				}
			}
		})
	}
	wg.Wait()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if syncs == 0 || syncs >= workers*each {
		t.Errorf("%d syncs for %d records: puts do not share them", syncs, workers*each)
	}
	m, _ = openMemo(t, dir, MemoOptions{})
	for k := range workers * each {
		wantValue(t, m, k)
	}
	if st := m.Stats(); st.Records != workers*each || st.Corrupt != 0 {
		t.Errorf("%+v", st)
	}
}

// Two memos on one folder write segments of their own and see each other.
func TestMemoTwoWriters(t *testing.T) {
	dir := t.TempDir()
	a, _ := openMemo(t, dir, MemoOptions{Refresh: 1})
	b, _ := openMemo(t, dir, MemoOptions{Refresh: 1})
	off, _ := openMemo(t, dir, MemoOptions{Refresh: -1})
	for i := range 40 {
		m, other := a, b
		if i%2 == 0 {
			m, other = b, a
		}
		if err := m.Put(memoKey(i), memoValue(i)); err != nil {
			t.Fatal(err)
		}
		wantValue(t, other, i)
	}
	if st := a.Stats(); st.Segments != 2 || st.Records != 40 {
		t.Errorf("%+v", st)
	}
	if _, ok, _ := off.Get(memoKey(1)); ok {
		t.Error("refreshed although told never to")
	}
	if err := off.Refresh(); err != nil {
		t.Fatal(err)
	}
	wantValue(t, off, 1)
}

// A tail torn at any byte costs the last record and nothing else, and the next
// writer does not append behind it.
func TestMemoTornTail(t *testing.T) {
	dir := t.TempDir()
	m, _ := openMemo(t, dir, MemoOptions{NoSync: true})
	var ends []int64
	for i := 1; i <= 3; i++ {
		if err := m.Put(memoKey(i), memoValue(i)); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, m.Stats().Bytes)
	}
	path := m.segments[0].path
	m.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cuts := []int64{ends[1], ends[1] + 1, ends[1] + memoHead - 1, ends[1] + memoHead, ends[1] + memoHead + 1, ends[2] - 1}
	for cut := ends[1]; cut < ends[2]; cut += 37 {
		cuts = append(cuts, cut)
	}
	for _, cut := range cuts {
		dir := t.TempDir()
		seg := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(seg, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		m, warned := openMemo(t, dir, MemoOptions{NoSync: true})
		wantValue(t, m, 1)
		wantValue(t, m, 2)
		if _, ok, err := m.Get(memoKey(3)); ok || err != nil {
			t.Fatalf("cut %d: %v %v", cut, ok, err)
		}
		if warned.count() != 0 {
			t.Fatalf("cut %d: a torn tail is no damage: %v", cut, warned.all)
		}
		if err := m.Put(memoKey(3), memoValue(3)); err != nil {
			t.Fatal(err)
		}
		m.Close()
		m, _ = openMemo(t, dir, MemoOptions{})
		for i := 1; i <= 3; i++ {
			wantValue(t, m, i)
		}
		if b, _ := os.ReadFile(seg); cut != ends[1] && !bytes.Equal(b, whole[:cut]) {
			t.Fatalf("cut %d: written to behind a torn tail", cut)
		}
		m.Close()
	}
}

// A flipped bit anywhere in a segment costs at most the record it lies in.
func TestMemoFlippedBits(t *testing.T) {
	dir := t.TempDir()
	m, _ := openMemo(t, dir, MemoOptions{NoSync: true})
	const n = 40
	for i := range n {
		if err := m.Put(memoKey(i), memoValue(i)); err != nil {
			t.Fatal(err)
		}
	}
	path := m.segments[0].path
	m.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rounds := 60
	if os.Getenv("DISTILLFLOW_HEAVY") != "" {
		rounds = 3000
	}
	r := rand.New(rand.NewPCG(7, 7))
	for round := range rounds {
		b := bytes.Clone(whole)
		at := r.IntN(len(b))
		b[at] ^= 1 << r.IntN(8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		m, warned := openMemo(t, dir, MemoOptions{NoSync: true, Refresh: -1})
		var lost []int
		for i := range n {
			v, ok, err := m.Get(memoKey(i))
			if err != nil {
				t.Fatalf("round %d, byte %d: %v", round, at, err)
			}
			if !ok {
				lost = append(lost, i)
			} else if !bytes.Equal(v, memoValue(i)) {
				t.Fatalf("round %d, byte %d: key %d has a wrong value", round, at, i)
			}
		}
		if len(lost) > 1 {
			t.Fatalf("round %d, byte %d: %d records lost", round, at, len(lost))
		}
		// The last record's header looks like a torn tail and is not reported.
		if len(lost) == 1 && lost[0] != n-1 && warned.count() == 0 {
			t.Fatalf("round %d, byte %d: no warning", round, at)
		}
		for _, i := range lost { // asking again heals it for good
			if err := m.Put(memoKey(i), memoValue(i)); err != nil {
				t.Fatal(err)
			}
			wantValue(t, m, i)
			m.Close()
			m, _ = openMemo(t, dir, MemoOptions{NoSync: true, Refresh: -1})
			wantValue(t, m, i)
		}
		m.Close()
		os.RemoveAll(dir)
		os.Mkdir(dir, 0o755)
	}
}

func TestMemoForeignFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"seg-0.dfm": "", "seg-1.dfm": "not a segment at all", "seg-2.dfm": memoHeader + "garbage", "notes.txt": "mine",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, _ := openMemo(t, dir, MemoOptions{})
	if err := m.Put(memoKey(1), memoValue(1)); err != nil {
		t.Fatal(err)
	}
	wantValue(t, m, 1)
	for name, text := range map[string]string{"seg-1.dfm": "not a segment at all", "notes.txt": "mine"} {
		if b, _ := os.ReadFile(filepath.Join(dir, name)); string(b) != text {
			t.Errorf("%s was changed", name)
		}
	}
}

func TestDefaultMemoDir(t *testing.T) {
	home := t.TempDir()
	explicit := filepath.Join(home, "paid")
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"DISTILLFLOW_MEMO": explicit, "XDG_DATA_HOME": home, "HOME": home}, explicit},
		{map[string]string{"XDG_DATA_HOME": home, "HOME": "elsewhere"}, filepath.Join(home, "distillflow", "memo")},
		{map[string]string{"XDG_DATA_HOME": "relative", "HOME": home}, filepath.Join(home, ".local", "share", "distillflow", "memo")},
		{map[string]string{}, ""},
	} {
		got, err := DefaultMemoDir(func(k string) string { return c.env[k] })
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v: %q, %v", c.env, got, err)
		}
	}
}

func FuzzMemoScan(f *testing.F) {
	codec, err := newMemoCodec()
	if err != nil {
		f.Fatal(err)
	}
	good := []byte(memoHeader)
	for i := 1; i < 3; i++ {
		good = append(good, codec.encode(memoKey(i), memoValue(i))...)
	}
	f.Add(good)
	f.Add([]byte(memoHeader + memoMagic + memoMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "seg-0.dfm"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := OpenMemo(dir, MemoOptions{Refresh: -1, Warn: (&warnings{}).add})
		if err != nil { // such as of a later version
			if !strings.Contains(err.Error(), dir) {
				t.Errorf("%v does not name the file", err)
			}
			return
		}
		defer m.Close()
		for i := 1; i < 3; i++ {
			if v, ok, err := m.Get(memoKey(i)); err != nil || ok && !bytes.Equal(v, memoValue(i)) {
				t.Fatalf("key %d: %d bytes, %v", i, len(v), err)
			}
		}
	})
}
