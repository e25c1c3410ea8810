package remote

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// table is a memo in memory.
type table map[[32]byte][]byte

func (m table) Get(key [32]byte) ([]byte, bool, error) { v, ok := m[key]; return v, ok, nil }
func (m table) Put(key [32]byte, val []byte) error     { m[key] = val; return nil }

// What lies in the bucket in a result's place or in an answer's is taken if it is one of
// that key, and otherwise missing here, with one warning.
func FuzzObjects(f *testing.F) {
	preimage := []byte(`{"type":"toy","version":1}`)
	sum := sha256.Sum256(preimage)
	key := hex.EncodeToString(sum[:])
	good, err := (&store.Action{
		Key: key, Type: "toy", Version: 1, Preimage: preimage,
		Outputs: map[string]store.Output{"rows": {Kind: store.KindRows, Digest: store.DigestBytes(nil)}},
	}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	records, err := store.NewMemoRecords()
	if err != nil {
		f.Fatal(err)
	}
	answer := records.Pack(sum, []byte(strings.Repeat("an answer ", 20)))
	for _, b := range [][]byte{good, answer, answer[:len(answer)/2], bytes.ReplaceAll(good, []byte("toy"), []byte("tpy")), []byte(`{"sum":"","action":null,"preimage":{}}`), nil} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, bucket := newDouble(t)
		d.objects[actionObject(key)] = b
		d.objects[memoObject(sum)] = b
		told := 0
		c := NewCache(bucket, Write, func(string) { told++ })
		c.records = func() (*store.MemoRecords, error) { return records, nil } // it is slow to make
		alloctest.Within(t, len(b), 200, 4<<20, func() {
			a := c.Find(t.Context(), key)
			if a != nil && (!bytes.Equal(a.Preimage, preimage) || a.Incomplete) {
				t.Errorf("%q is taken as %+v", b, a)
			}
			if c.Find(t.Context(), key); (a == nil) != (told == 1) {
				t.Errorf("%+v, with %d warnings", a, told)
			}
			memo := table{}
			had, err := c.recall(t.Context(), memo, sum)
			if err != nil || had != (len(memo) == 1) {
				t.Errorf("%v, %v: %d answers", had, err, len(memo))
			}
			if had && !bytes.Equal(records.Pack(sum, memo[sum]), b) {
				t.Logf("another encoding of an answer")
			}
		})
	})
}

// The list of a folder's files, whatever a stranger put into the bucket, leads to no other
// objects than blobs and to no place outside the folder.
func FuzzFetch(f *testing.F) {
	content := []byte("text\n")
	sum := string(store.DigestBytes(content))
	for _, entries := range []string{
		`{"path":"a","size":5,"digest":"` + sum + `"},{"path":"b/c","link":"../a"},{"path":"d","dir":true}`,
		`{"path":"a","link":"b"},{"path":"a/x","size":5,"digest":"` + sum + `"}`,
		`{"path":"../a","size":5,"digest":"` + sum + `"}`,
		`{"path":"a","size":5,"digest":"sha256:../../x"}`,
		`{"path":"a","size":6,"digest":"` + sum + `"}`,
		`{"path":"a","link":"/etc"}`,
		`{"path":"a\u0000b","dir":true}`,
	} {
		f.Add([]byte(`{"format":"distillflow-tree/1","entries":[` + entries + `]}`))
	}
	f.Add([]byte(strings.Repeat("[", 20_000)))
	st, err := store.Open(filepath.Join(f.TempDir(), "store"), store.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = st.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		d, bucket := newDouble(t)
		at := store.DigestBytes(b)
		d.objects[blobObject(at)] = b
		d.objects[blobObject(store.Digest(sum))] = content
		alloctest.Within(t, len(b), 500, 4<<20, func() {
			err := bucket.Fetch(t.Context(), st, store.KindDir, at)
			for call := range d.calls {
				if name, ok := strings.CutPrefix(call, "read v1/blobs/sha256/"); !ok || len(name) != 2+1+64 || strings.Contains(name, ".") {
					t.Errorf("%q asks for %q", b, call)
				}
			}
			if err == nil {
				_, err = st.MaterializeTree(at)
			}
			if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, syscall.ENAMETOOLONG) {
				t.Errorf("%q: %v", b, err)
			}
		})
	})
}
