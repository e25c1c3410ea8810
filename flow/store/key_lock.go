package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Holder is who holds the lock of an action key.
type Holder struct {
	PID   int       `json:"pid"` // 0 if the holder is not known
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

// LockKey waits until no other holder, in this process or another, works on an
// action key, and returns a function that lets the next one in. Look the key up
// again once you hold the lock: the one before you may have published it. If the
// lock is not free, waiting (unless nil) is called once with who holds it.
//
// On a file system without locks it returns at once, and two processes may do
// the same work; the store stays sound all the same.
func (s *Store) LockKey(ctx context.Context, key string, waiting func(Holder)) (unlock func(), err error) {
	wait := 5 * time.Millisecond
	for try := 0; ; try++ {
		unlock, ok, err := s.TryLockKey(key)
		if err != nil || ok {
			return unlock, err
		}
		if try == 1 && waiting != nil { // not at first: a holder may just be writing its name, or letting go
			var h Holder
			if b, err := os.ReadFile(s.path("locks", key)); err == nil {
				_ = json.Unmarshal(b, &h) // without a name it is an unknown holder
			}
			waiting(h)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, fmt.Errorf("store: waiting for another process that works on action %s: %w", key, ctx.Err())
		case <-t.C:
		}
		wait = min(2*wait, 250*time.Millisecond)
	}
}

// TryLockKey is LockKey without waiting: ok is false when someone else holds
// the lock.
func (s *Store) TryLockKey(key string) (unlock func(), ok bool, err error) {
	if err := checkKey(key); err != nil {
		return nil, false, err
	}
	if err := s.prepare(); err != nil {
		return nil, false, err
	}
	if s.noLocking {
		return func() {}, true, nil
	}
	path := s.path("locks", key)
	l := flock.New(path)
	got, err := l.TryLock()
	if err != nil {
		_ = l.Close()
		return nil, false, s.writeErr(fmt.Errorf("lock action %s: %w", key, err))
	}
	if !got {
		return nil, false, l.Close()
	}
	s.fault(FaultKeyLocked)
	// Holders delete the file before they let go, so a lock counts only if its
	// file is still the one that the name stands for.
	mine, err := l.Stat()
	named, errNamed := os.Stat(path)
	if err != nil || errNamed != nil || !os.SameFile(mine, named) {
		return nil, false, l.Close()
	}
	h := Holder{PID: os.Getpid(), Since: s.now()}
	h.Host, _ = os.Hostname()
	if b, err := json.Marshal(h); err == nil {
		_ = os.WriteFile(path, b, 0o666) // only those who wait miss it
	}
	var once sync.Once
	return func() {
		once.Do(func() {
			// Where an open file cannot be deleted, the file stays; gc has it.
			_ = errors.Join(os.Remove(path), l.Close())
		})
	}, true, nil
}
