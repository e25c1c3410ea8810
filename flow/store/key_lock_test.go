package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestLockKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	var inside, most, total atomic.Int32
	var wg sync.WaitGroup
	for range 3 { // three stores stand for three processes: each opens the lock file itself
		s, _ := openStore(t, dir, Options{})
		for range 3 {
			wg.Go(func() {
				for range 5 {
					unlock, err := s.LockKey(context.Background(), testKey(1), nil)
					if err != nil {
						t.Error(err)
						return
					}
					if n := inside.Add(1); n > most.Load() {
						most.Store(n)
					}
					total.Add(1)
					inside.Add(-1)
					unlock()
					unlock() // a second call does nothing
				}
			})
		}
	}
	wg.Wait()
	if most.Load() != 1 || total.Load() != 45 {
		t.Errorf("%d holders at once, %d turns", most.Load(), total.Load())
	}
	if left, err := os.ReadDir(filepath.Join(dir, "locks")); err != nil || len(left) != 0 {
		t.Error("lock files left behind", left, err)
	}
}

func TestLockKeyWaitsAndGivesUp(t *testing.T) {
	s, _ := newStore(t)
	unlock, err := s.LockKey(context.Background(), testKey(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.TryLockKey(testKey(1)); ok || err != nil {
		t.Fatal(ok, err)
	}
	other, ok, err := s.TryLockKey(testKey(2))
	if !ok || err != nil {
		t.Fatal("another key is locked too", err)
	}
	other()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var holder Holder
	_, err = s.LockKey(ctx, testKey(1), func(h Holder) { holder = h; cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if holder.PID != os.Getpid() || holder.Since.IsZero() {
		t.Errorf("the holder is %+v", holder)
	}
	unlock()
	again, ok, err := s.TryLockKey(testKey(1))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	again()
}

// A lock file that its holder has deleted, after we opened it, locks nothing: the next
// one makes another file of that name and must not be in beside us.
func TestLockOnADeletedFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	next, _ := openStore(t, dir, Options{})
	var path string
	var unlockNext func()
	s, _ := openStore(t, dir, Options{Fault: func(point string) {
		if point != FaultKeyLocked || unlockNext != nil {
			return
		}
		if err := os.Remove(path); err != nil { // as the holder before us does
			t.Error(err)
		}
		var ok bool
		var err error
		if unlockNext, ok, err = next.TryLockKey(testKey(1)); !ok || err != nil {
			t.Error(ok, err)
		}
	}})
	path = s.path("locks", testKey(1))
	if _, ok, err := s.TryLockKey(testKey(1)); ok || err != nil {
		t.Errorf("two hold the key: %v, %v", ok, err)
	}
	unlockNext()
	unlock, ok, err := s.TryLockKey(testKey(1))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	unlock()
}
