package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// claimStripes is how many locks the keys share: bytes of one file or, where the
// system has no locks on bytes, files. With 128 calls in flight in each of two
// processes, three calls in a hundred wait for another's. Never change this number
// or stripeOf: two versions of the program could then buy the same call at once.
const claimStripes = 4096

func stripeOf(key [32]byte) uint16 { return binary.BigEndian.Uint16(key[:]) % claimStripes }

// memoClaims says which keys somebody is buying. Tables hold those of this process,
// locks on files those of others; the locks end with their process.
type memoClaims struct {
	dir string

	mu      sync.Mutex
	keys    map[[32]byte]chan struct{} // claimed in this process; closed when let go
	stripes map[uint16]*claimStripe
	off     bool // files cannot be locked here

	fileMu sync.Mutex
	file   *os.File // whose bytes are locked; nil: not open yet

	// tryLock takes a stripe's lock without waiting; tests replace it.
	tryLock func(n uint16) (unlock func() error, ok bool, err error)
}

// claimStripe is a lock that this process holds or waits for. Claims of
// different keys share it: it is taken once in a process.
type claimStripe struct {
	users  int           // guarded by memoClaims.mu
	turn   chan struct{} // holds one token while someone takes the lock
	unlock func() error  // nil: not locked; written with the token
}

func (c *memoClaims) init(dir string) {
	c.dir = filepath.Join(dir, "claims")
	c.keys, c.stripes = map[[32]byte]chan struct{}{}, map[uint16]*claimStripe{}
	c.tryLock = c.tryLockFile
}

// Claim waits until nobody else, in this process or another, holds a claim on
// key, and returns a function that ends the claim. By then Get knows what the
// holders before have put, whatever MemoOptions.Refresh says: look again before
// paying. The claim of a process that dies ends with it. A caller holds one claim
// at a time; keys that share a lock could otherwise wait for each other.
//
// Where files cannot be locked (a folder that must not be written, a file system
// without locks) the claim holds within this process alone; warn is told once per
// Memo. Errors are the end of ctx, or files that cannot be opened or read.
func (m *Memo) Claim(ctx context.Context, key [32]byte, warn func(string)) (release func(), err error) {
	c := &m.claims
	mine, err := c.enter(ctx, key)
	if err != nil {
		return nil, err
	}
	n := stripeOf(key)
	if err := c.lock(ctx, n, warn); err != nil {
		c.leave(key, mine)
		return nil, memoClaimErr(ctx, m.dir, err)
	}
	var once sync.Once
	release = func() {
		once.Do(func() {
			c.unlock(n)
			c.leave(key, mine)
		})
	}
	if err := m.catchUp(); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// enter takes the key among the callers of this process.
func (c *memoClaims) enter(ctx context.Context, key [32]byte) (chan struct{}, error) {
	for {
		c.mu.Lock()
		theirs, taken := c.keys[key]
		if !taken {
			mine := make(chan struct{})
			c.keys[key] = mine
			c.mu.Unlock()
			return mine, nil
		}
		c.mu.Unlock()
		select {
		case <-theirs:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (c *memoClaims) leave(key [32]byte, mine chan struct{}) {
	c.mu.Lock()
	delete(c.keys, key)
	c.mu.Unlock()
	close(mine)
}

// lock takes part in stripe n and sees to it that this process holds its lock.
func (c *memoClaims) lock(ctx context.Context, n uint16, warn func(string)) error {
	c.mu.Lock()
	s := c.stripes[n]
	if s == nil {
		s = &claimStripe{turn: make(chan struct{}, 1)}
		c.stripes[n] = s
	}
	s.users++
	c.mu.Unlock()

	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		c.unlock(n)
		return context.Cause(ctx)
	}
	var err error
	if s.unlock == nil {
		s.unlock, err = c.wait(ctx, n, warn)
	}
	<-s.turn
	if err != nil {
		c.unlock(n)
	}
	return err
}

// unlock ends one part in stripe n; the last one gives the lock back. That
// happens under the mutex, so that a newcomer never meets our own lock.
func (c *memoClaims) unlock(n uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stripes[n]
	if s.users--; s.users > 0 {
		return
	}
	delete(c.stripes, n)
	if s.unlock != nil {
		_ = s.unlock() // where that fails the end of the process does it
	}
}

// wait asks for a lock again and again: a lock that is waited for in the
// kernel cannot be given up when ctx ends.
func (c *memoClaims) wait(ctx context.Context, n uint16, warn func(string)) (func() error, error) {
	for pause, made := time.Millisecond, false; ; {
		c.mu.Lock()
		off := c.off
		c.mu.Unlock()
		if off {
			return nil, nil
		}
		unlock, ok, err := c.tryLock(n)
		switch {
		case ok && err == nil:
			return unlock, nil
		case err == nil:
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return nil, context.Cause(ctx)
			}
			pause = min(2*pause, 50*time.Millisecond)
			continue
		case errors.Is(err, fs.ErrNotExist) && !made:
			made = true
			if err = os.MkdirAll(c.dir, 0o700); err == nil {
				continue
			}
		}
		for _, passing := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC, syscall.EDQUOT} {
			if errors.Is(err, passing) {
				return nil, err
			}
		}
		c.giveUp(err, warn)
	}
}

// giveUp goes on without lock files.
func (c *memoClaims) giveUp(err error, warn func(string)) {
	c.mu.Lock()
	told := c.off
	c.off = true
	c.mu.Unlock()
	if !told && warn != nil {
		warn(fmt.Sprintf("the memo's folder %s cannot be locked (%v): two runs that ask the same at the same time both pay", c.dir, err))
	}
}

func (c *memoClaims) tryLockFile(n uint16) (func() error, bool, error) {
	f, err := c.open()
	if err != nil {
		return nil, false, err
	}
	unlock, ok, err := lockRange(f, n)
	if errors.Is(err, errors.ErrUnsupported) {
		return c.tryLockStripe(n)
	}
	return unlock, ok, err
}

// tryLockStripe locks a file of the stripe's own.
func (c *memoClaims) tryLockStripe(n uint16) (func() error, bool, error) {
	l := flock.New(filepath.Join(c.dir, fmt.Sprintf("%03x.lock", n)))
	if ok, err := l.TryLock(); !ok || err != nil {
		return nil, false, errors.Join(err, l.Close())
	}
	return l.Unlock, true, nil
}

func (c *memoClaims) open() (*os.File, error) {
	c.fileMu.Lock()
	defer c.fileMu.Unlock()
	if c.file != nil {
		return c.file, nil
	}
	f, err := os.OpenFile(filepath.Join(c.dir, "ranges.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	c.file = f
	return f, err
}

// close gives the file back, and with it every lock on it.
func (c *memoClaims) close() error {
	c.fileMu.Lock()
	defer c.fileMu.Unlock()
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}

func memoClaimErr(ctx context.Context, dir string, err error) error {
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("store: memo %s: claiming a request: too many files are open (raise ulimit -n or lower concurrency): %w", dir, err)
	}
	return memoWriteErr(dir, err)
}

// memoCatchUp lets callers share refreshes as Puts share syncs.
type memoCatchUp struct {
	mu      sync.Mutex
	next    *catchUp // not begun
	running bool
}

type catchUp struct {
	done chan struct{}
	err  error
}

// catchUp returns after a Refresh that began after the call.
func (m *Memo) catchUp() error {
	u := &m.catch
	u.mu.Lock()
	if u.next == nil {
		u.next = &catchUp{done: make(chan struct{})}
	}
	c := u.next
	if u.running {
		u.mu.Unlock()
		<-c.done
		return c.err
	}
	u.running = true
	u.mu.Unlock()
	parallel.Start(func() error { // under a steady load there is always another one to do
		for {
			u.mu.Lock()
			c := u.next
			u.next = nil
			u.running = c != nil
			u.mu.Unlock()
			if c == nil {
				return nil
			}
			c.err = parallel.Call(m.Refresh)
			close(c.done)
		}
	})
	<-c.done
	return c.err
}
