package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestGC(t *testing.T) {
	s, warned := newStore(t)
	keep := map[string]int{"pointer": 1, "run": 2, "asked": 3, "tree": 4}
	publish(t, s, testKey(1), "by pointer")
	publish(t, s, testKey(2), "by run")
	publish(t, s, testKey(3), "asked for")
	d, n, err := s.PutTree(sampleTree(t, s), Relaxed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutAction(&Action{Key: testKey(4), Type: "train", Outputs: map[string]Output{"models": {Kind: KindDir, Digest: d, Bytes: n}}}, Relaxed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MaterializeTree(d); err != nil {
		t.Fatal(err)
	}
	publish(t, s, testKey(5), "garbage")
	publish(t, s, testKey(6), "by an old run")
	if _, _, err := s.PutBytes([]byte("an orphan"), Relaxed); err != nil {
		t.Fatal(err)
	}
	// A second result of a kept key stays with it.
	publish(t, s, testKey(1), "a deviation")
	if err := s.SetLastMany("r", map[string]Pointer{"a": {Key: testKey(1)}, "b": {Key: testKey(4)}}); err != nil {
		t.Fatal(err)
	}
	for i, key := range []int{6, 2} {
		r, err := s.NewRun(RunInfo{Started: time.Now().Add(time.Duration(i-2) * time.Hour), Actions: map[string]string{"x": testKey(key)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Finish("done", nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []int{1, 7} { // scratch of a finished and of an unfinished action
		if _, err := s.WorkDir(testKey(k)); err != nil {
			t.Fatal(err)
		}
	}
	opts := GCOptions{KeepRuns: 1, Keep: []string{testKey(3)}, DryRun: true}
	before, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	want := GCReport{Runs: 1, Actions: 2, Blobs: 3, Work: 1, Bytes: int64(len("garbage" + "by an old run" + "an orphan"))}
	check := func(rep GCReport) {
		t.Helper()
		rep.KeptActions, rep.KeptBlobs, rep.KeptBytes = 0, 0, 0
		if rep != want {
			t.Fatalf("got %+v, want %+v", rep, want)
		}
	}
	rep, err := s.GC(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	check(rep)
	if after, _ := s.Stats(); after != before {
		t.Fatalf("a dry run changed the store: %+v, was %+v", after, before)
	}
	// Young things stay.
	opts.DryRun, opts.OlderThan = false, 24*time.Hour
	if rep, err := s.GC(context.Background(), opts); err != nil || rep.Blobs+rep.Actions+rep.Runs != 0 {
		t.Fatalf("%+v %v", rep, err)
	}
	opts.OlderThan = 0
	rep, err = s.GC(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	want.Work = 0 // the finished scratch went in the round before
	check(rep)
	if rep.KeptActions != 4 || rep.KeptBlobs == 0 {
		t.Errorf("%+v", rep)
	}
	for name, k := range keep {
		if _, ok, err := s.GetAction(testKey(k)); !ok || err != nil {
			t.Errorf("%s: lost: %v", name, err)
		}
	}
	if c, err := s.Conflicts(""); err != nil || len(c) != 1 || !s.Has(c[0].Others[0].Outputs["out"].Digest) {
		t.Error("the conflict was lost", c, err)
	}
	for _, k := range []int{5, 6} {
		if a, _, err := s.GetAction(testKey(k)); a != nil || err != nil {
			t.Error("still there", k, err)
		}
	}
	// The store works on, in this process and the next.
	publish(t, s, testKey(5), "garbage")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, w := openStore(t, s.Dir(), Options{})
	rv, err := s.Verify(t.Context(), 0)
	if err != nil || rv.Actions != 5 || len(rv.Damaged)+len(rv.Broken) != 0 {
		t.Errorf("%+v %v", rv, err)
	}
	if w.count() != 0 {
		t.Error(w.all)
	}
	if warned.count() != 1 { // the conflict
		t.Error(warned.all)
	}
}

func TestGCNeedsTheStoreAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	a, _ := openStore(t, dir, Options{LockWait: 30 * time.Millisecond})
	publish(t, a, testKey(1), "x")
	b, _ := openStore(t, dir, Options{})
	if _, ok, _ := b.GetAction(testKey(1)); !ok {
		t.Fatal("no hit")
	}
	if _, err := a.GC(context.Background(), GCOptions{}); !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
	if _, ok, _ := a.GetAction(testKey(1)); !ok {
		t.Fatal("a refused gc removed something")
	}
	b.Close()
	if rep, err := a.GC(context.Background(), GCOptions{}); err != nil || rep.Actions != 1 {
		t.Fatalf("%+v %v", rep, err)
	}
	// a holds the shared lock again.
	c, _ := openStore(t, dir, Options{LockWait: 30 * time.Millisecond})
	if _, err := c.GC(context.Background(), GCOptions{}); !errors.Is(err, ErrBusy) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
}

func TestGCOfNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	s, _ := openStore(t, dir, Options{})
	if rep, err := s.GC(context.Background(), GCOptions{}); err != nil || rep != (GCReport{}) {
		t.Fatal(rep, err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Fatal("gc created the store")
	}
}

func TestVerifySample(t *testing.T) {
	s, _ := newStore(t)
	for i := range 10 {
		publish(t, s, testKey(i), fmt.Sprint("text", i))
	}
	rep, err := s.Verify(t.Context(), 4)
	if err != nil || rep.Blobs != 4 || rep.Actions != 10 {
		t.Fatalf("%+v %v", rep, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Verify(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
