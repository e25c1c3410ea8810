package store

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// claimChild claims n keys, says so, and holds them until it is killed.
func claimChild(dir, job string) int {
	n, _ := strconv.Atoi(job)
	m, err := OpenMemo(dir, MemoOptions{})
	for i := 0; i < n && err == nil; i++ {
		_, err = m.Claim(context.Background(), memoKey(i), nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("held")
	time.Sleep(time.Hour) // a select would count as a deadlock
	return 0
}

// buyer asks for n keys with some goroutines, as a transport does, and counts
// what it had to buy.
func buyer(t *testing.T, m *Memo, n int, bought *atomic.Int64) {
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := range n {
				k := (i + w) % n
				release, err := m.Claim(t.Context(), memoKey(k), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if _, ok, err := m.Get(memoKey(k)); err != nil {
					t.Error(err)
				} else if !ok {
					bought.Add(1)
					if err := m.Put(memoKey(k), memoValue(k)); err != nil {
						t.Error(err)
					}
				}
				release()
			}
		})
	}
	wg.Wait()
}

// Whatever the interval of refreshing, what another Memo put under its claim is
// seen under the next one. So it is with lock files in place of locks on bytes.
func TestClaimsBuyOnce(t *testing.T) {
	for i, refresh := range []time.Duration{0, -1, time.Hour, time.Hour} {
		dir, n := filepath.Join(t.TempDir(), "memo"), 18
		var bought atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			m, _ := openMemo(t, dir, MemoOptions{NoSync: true, Refresh: refresh})
			if i == 3 {
				m.claims.tryLock = m.claims.tryLockStripe
			}
			wg.Go(func() { buyer(t, m, n, &bought) })
		}
		wg.Wait()
		if bought.Load() != int64(n) {
			t.Errorf("refresh %s: %d bought for %d keys", refresh, bought.Load(), n)
		}
	}
}

// sameStripe finds two keys that share a lock.
func sameStripe() (a, b [32]byte) {
	binary.BigEndian.PutUint16(a[:], 7)
	binary.BigEndian.PutUint16(b[:], 7+claimStripes)
	return a, b
}

// blocked reports that a claim cannot be had.
func blocked(t *testing.T, m *Memo, key [32]byte) bool {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	release, err := m.Claim(ctx, key, nil)
	if err == nil {
		release()
		return false
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return true
}

func claim(t *testing.T, m *Memo, key [32]byte) func() {
	t.Helper()
	release, err := m.Claim(t.Context(), key, func(s string) { t.Errorf("warned: %s", s) })
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// Within a process keys that share a lock do not stand in each other's way;
// it is held until the last of them is let go.
func TestClaimsShareALock(t *testing.T) {
	a, b := sameStripe()
	if a == b || stripeOf(a) != stripeOf(b) {
		t.Fatal("the keys do not share a stripe")
	}
	dir := t.TempDir()
	here, _ := openMemo(t, dir, MemoOptions{NoSync: true})
	there, _ := openMemo(t, dir, MemoOptions{NoSync: true})
	releaseA := claim(t, here, a)
	if !blocked(t, here, a) {
		t.Error("a key was claimed twice in one process")
	}
	releaseB := claim(t, here, b)
	releaseA()
	releaseA() // harmless
	if !blocked(t, there, a) {
		t.Error("the lock went with the first of two claims")
	}
	if blocked(t, there, memoKey(1)) {
		t.Error("a key with another lock is blocked")
	}
	releaseB()
	claim(t, there, b)()
	if c := &here.claims; len(c.keys)+len(c.stripes)+len(there.claims.stripes) != 0 {
		t.Errorf("left over: %v %v", c.keys, c.stripes)
	}
}

// A process that is killed lets go.
func TestClaimsOfAKilledProcess(t *testing.T) {
	dir, n := t.TempDir(), 18
	cmd := memoCommand(dir, strconv.Itoa(n))
	cmd.Env = append(cmd.Env, envMemoClaims+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if s := bufio.NewScanner(out); !s.Scan() || s.Text() != "held" {
		t.Fatalf("the child said %q", s.Text())
	}
	m, _ := openMemo(t, dir, MemoOptions{NoSync: true})
	for i := range 3 {
		if !blocked(t, m, memoKey(i)) {
			t.Fatalf("key %d is claimed twice", i)
		}
	}
	var bought atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() { buyer(t, m, n, &bought) })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if bought.Load() != int64(n) {
		t.Errorf("%d bought for %d keys", bought.Load(), n)
	}
}

// Without locks claims hold within the process, and one warning says so; what
// may pass is an error.
func TestClaimsWithoutLocks(t *testing.T) {
	for _, tc := range []struct {
		err   error
		fails bool
	}{{syscall.EROFS, false}, {os.ErrPermission, false}, {errors.ErrUnsupported, false}, {syscall.EMFILE, true}, {syscall.ENOSPC, true}} {
		m, _ := openMemo(t, t.TempDir(), MemoOptions{NoSync: true})
		m.claims.tryLock = func(uint16) (func() error, bool, error) { return nil, false, tc.err }
		warned := 0
		for i := range 3 {
			release, err := m.Claim(t.Context(), memoKey(i), func(string) { warned++ })
			if (err != nil) != tc.fails || tc.fails && !errors.Is(err, tc.err) {
				t.Fatalf("%v: %v", tc.err, err)
			}
			if err != nil {
				continue
			}
			if !blocked(t, m, memoKey(i)) {
				t.Errorf("%v: a key was claimed twice in one process", tc.err)
			}
			release()
		}
		if want := map[bool]int{true: 0, false: 1}[tc.fails]; warned != want || len(m.claims.keys)+len(m.claims.stripes) != 0 {
			t.Errorf("%v: %d warnings, left over %v %v", tc.err, warned, m.claims.keys, m.claims.stripes)
		}
	}
	// A folder that cannot be made.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "claims"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m, _ := openMemo(t, dir, MemoOptions{NoSync: true})
	warned := 0
	release, err := m.Claim(t.Context(), memoKey(1), func(string) { warned++ })
	if err != nil || warned != 1 {
		t.Fatal(err, warned)
	}
	release()
}

// A lock that another process holds is asked for less and less often, and not
// any more once the caller has gone.
func TestClaimEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c memoClaims
		c.init("unused")
		asked := 0
		c.tryLock = func(uint16) (func() error, bool, error) { asked++; return nil, false, nil }
		ctx, stop := context.WithTimeoutCause(t.Context(), 10*time.Second, errors.New("enough"))
		defer stop()
		if err := c.lock(ctx, 1, nil); err == nil || err.Error() != "enough" {
			t.Errorf("%v", err)
		}
		if asked < 100 || asked > 250 {
			t.Errorf("asked %d times in ten seconds", asked)
		}
		if len(c.stripes) != 0 {
			t.Errorf("left over: %v", c.stripes)
		}
	})
}

// BenchmarkMemoClaims is what claims add to a bought call, at a concurrency of 128.
func BenchmarkMemoClaims(b *testing.B) {
	m, _ := openMemo(b, b.TempDir(), MemoOptions{NoSync: true})
	var next atomic.Int64
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			release, err := m.Claim(b.Context(), memoKey(int(next.Add(1))), nil)
			if err != nil {
				b.Error(err)
				return
			}
			release()
		}
	})
}
