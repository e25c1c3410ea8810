package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that fills up gives a clear error, nothing half-published, and a store
// that works once there is room again. The test needs a small file system of
// its own, a few MiB, whose folder DISTILLFLOW_SMALL_DISK names.
func TestFullDisk(t *testing.T) {
	root := os.Getenv("DISTILLFLOW_SMALL_DISK")
	if root == "" {
		t.Skip("set DISTILLFLOW_SMALL_DISK to a folder on a file system of a few MiB")
	}
	root, err := os.MkdirTemp(root, "full-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	s, warned := openStore(t, filepath.Join(root, "s"), Options{})
	m, _ := openMemo(t, filepath.Join(root, "memo"), MemoOptions{})
	publish(t, s, testKey(0), "before")
	if err := m.Put(memoKey(0), memoValue(0)); err != nil {
		t.Fatal(err)
	}
	r := rand.NewChaCha8([32]byte{1})
	block := make([]byte, 100_000)
	var storeErr, memoErr error
	stored, kept := 0, 0
	for i := 1; i < 10_000 && (storeErr == nil || memoErr == nil); i++ {
		_, _ = r.Read(block)
		if storeErr == nil {
			if _, _, storeErr = s.PutBytes(block, Durable); storeErr == nil {
				stored++
			}
		}
		if memoErr == nil {
			if memoErr = m.Put(memoKey(i), block[:50_000]); memoErr == nil {
				kept = i
			}
		}
	}
	for name, err := range map[string]error{"store": storeErr, "memo": memoErr} {
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free space") {
			t.Errorf("%s: %v", name, err)
		}
	}
	rep, err := s.Verify(t.Context(), 0)
	if err != nil || len(rep.Damaged)+len(rep.Broken) != 0 || rep.Blobs != stored+1 {
		t.Errorf("%d stored, but %+v %v", stored, rep, err)
	}
	if left, err := os.ReadDir(filepath.Join(s.Dir(), "tmp")); err != nil || len(left) != 0 {
		t.Error("staging left behind", left, err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GC(t.Context(), GCOptions{Keep: []string{testKey(0)}}); err != nil {
		t.Fatal(err)
	}
	publish(t, s, testKey(1), "after")
	m, memoWarned := openMemo(t, filepath.Join(root, "memo"), MemoOptions{})
	for i := 1; i <= kept; i++ {
		if v, ok, err := m.Get(memoKey(i)); !ok || err != nil || len(v) != 50_000 {
			t.Fatal("an answer was lost", i, err)
		}
	}
	wantValue(t, m, 0)
	if err := m.Put(memoKey(9_999_999), bytes.Repeat([]byte("x"), 1000)); err != nil {
		t.Fatal(err)
	}
	if warned.count()+memoWarned.count() != 0 {
		t.Error(warned.all, memoWarned.all)
	}
}
