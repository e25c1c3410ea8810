package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/store"
)

// memoryMemo is a memo in memory.
type memoryMemo struct {
	mu sync.Mutex
	m  map[[32]byte][]byte
}

func (m *memoryMemo) Get(key [32]byte) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.m[key]
	return v, ok, nil
}

func (m *memoryMemo) Put(key [32]byte, val []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = map[[32]byte][]byte{}
	}
	m.m[key] = val
	return nil
}

// buy is what a transport does: claim, look, pay.
func buy(ctx context.Context, c *Cache, memo Memo, key [32]byte, pay func() []byte) ([]byte, error) {
	release, err := c.Claim(ctx, memo, key)
	if err != nil {
		return nil, err
	}
	defer release()
	if v, ok, err := memo.Get(key); ok || err != nil {
		return v, err
	}
	v := pay()
	return v, memo.Put(key, v)
}

func TestAnAnswerIsBoughtOnce(t *testing.T) {
	d, c, h := newCache(t, Write)
	key := [32]byte{1}
	var mu sync.Mutex
	bought := 0
	var wg sync.WaitGroup
	for i := range 8 { // eight machines, each with a memo of its own
		wg.Go(func() {
			c := NewCache(c.b, Write, h.tell)
			v, err := buy(t.Context(), c, &memoryMemo{}, key, func() []byte {
				mu.Lock()
				bought++
				mu.Unlock()
				time.Sleep(50 * time.Millisecond)
				return []byte("42")
			})
			if string(v) != "42" || err != nil {
				t.Errorf("machine %d got %q, %v", i, v, err)
			}
		})
	}
	wg.Wait()
	if bought != 1 || h.text() != "" {
		t.Errorf("bought %d times; %s", bought, h.text())
	}
	if l := d.names("v1/claims"); len(l) != 1 || l[0] != "v1/claims/probe" {
		t.Errorf("claims are left: %v", l)
	}
}

// What was not answered is free for the next.
func TestAnAnswerThatDidNotCome(t *testing.T) {
	d, c, _ := newCache(t, Write)
	for range 2 {
		release, err := c.Claim(t.Context(), &memoryMemo{}, [32]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		release()
		release()
	}
	if l := d.names("v1/memo"); len(l) > 0 {
		t.Errorf("the bucket holds %v", l)
	}
}

func TestReadingTakesAnswersAndClaimsNothing(t *testing.T) {
	d, c, h := newCache(t, Write)
	if _, err := buy(t.Context(), c, &memoryMemo{}, [32]byte{1}, func() []byte { return []byte("42") }); err != nil {
		t.Fatal(err)
	}
	writes := d.count("write")
	reader := NewCache(c.b, Read, h.tell)
	for n, want := range map[byte]string{1: "42", 2: "own"} {
		v, err := buy(t.Context(), reader, &memoryMemo{}, [32]byte{n}, func() []byte { return []byte("own") })
		if string(v) != want || err != nil {
			t.Errorf("%d: %q, %v", n, v, err)
		}
	}
	if d.count("write") != writes {
		t.Error("a reader wrote")
	}
}

func TestADamagedAnswerIsBoughtAgainAndHeals(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"flipped":   func(b []byte) []byte { c := bytes.Clone(b); c[len(c)/2] ^= 1; return c },
		"truncated": func(b []byte) []byte { return b[:len(b)-3] },
		"other":     func([]byte) []byte { return []byte("something else") },
		"empty":     func([]byte) []byte { return nil },
	} {
		d, c, h := newCache(t, Write)
		key := [32]byte{1}
		pay := func(text string) func() []byte { return func() []byte { return []byte(text) } }
		if _, err := buy(t.Context(), c, &memoryMemo{}, key, pay("first")); err != nil {
			t.Fatal(err)
		}
		d.objects[memoObject(key)] = spoil(d.objects[memoObject(key)])
		for range 2 {
			v, err := buy(t.Context(), c, &memoryMemo{}, key, pay("second"))
			if string(v) != "second" || err != nil {
				t.Errorf("%s: %q, %v", name, v, err)
			}
		}
		if len(h.all) != 1 || !strings.Contains(h.all[0], "an answer in the cache is damaged") {
			t.Errorf("%s: told %q", name, h.all)
		}
	}
}

// The claim of a machine that died is void after a while; of those who wait one follows.
func TestAClaimThatNobodyRenews(t *testing.T) {
	d, c, h := newCache(t, Write)
	key := [32]byte{1}
	d.objects[claimObject(key, 0)] = []byte("dead 3\n")
	var wg sync.WaitGroup
	var mu sync.Mutex
	bought := 0
	for range 4 {
		wg.Go(func() {
			c := NewCache(c.b, Write, h.tell)
			c.expiry = 300 * time.Millisecond
			v, err := buy(t.Context(), c, &memoryMemo{}, key, func() []byte {
				mu.Lock()
				bought++
				mu.Unlock()
				time.Sleep(time.Second) // longer than a claim lasts that is not renewed
				return []byte("42")
			})
			if string(v) != "42" || err != nil {
				t.Errorf("%q, %v", v, err)
			}
		})
	}
	wg.Wait()
	if bought != 1 || h.text() != "" {
		t.Errorf("bought %d times; %s", bought, h.text())
	}
	if l := d.names("v1/claims"); len(l) != 1 {
		t.Errorf("claims are left: %v", l)
	}
}

// The bucket took our claim, and we did not hear of it: the SDK asked again and was refused.
func TestAClaimWhoseAnswerWasLost(t *testing.T) {
	d, c, h := newCache(t, Write)
	key := [32]byte{1}
	d.fault = func(op, object string, data []byte) ([]byte, error) {
		if op == "write" && object == claimObject(key, 0) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.objects[object] = bytes.Clone(data)
			return nil, errPresent
		}
		return data, nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if v, err := buy(ctx, c, &memoryMemo{}, key, func() []byte { return []byte("42") }); string(v) != "42" || err != nil || h.text() != "" {
		t.Errorf("%q, %v; %s", v, err, h.text())
	}
}

// Whoever gives up lets go of what it has.
func TestAnInterruptedClaim(t *testing.T) {
	d, c, _ := newCache(t, Write)
	key := [32]byte{1}
	ctx, cancel := context.WithCancel(t.Context())
	d.fault = func(op, object string, data []byte) ([]byte, error) {
		if op == "read" && object == claimObject(key, 1) {
			cancel()
			return nil, context.Canceled
		}
		return data, nil
	}
	if _, err := c.Claim(ctx, &memoryMemo{}, key); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if l := d.names(claimObject(key, 0)); len(l) > 0 {
		t.Errorf("%v is left", l)
	}
}

// A holder that wakes up late lets go of a number below the one in force.
func TestALaterClaimIsInForce(t *testing.T) {
	d, c, _ := newCache(t, Write)
	key := [32]byte{1}
	d.objects[claimObject(key, 1)] = []byte("alive 0\n")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := c.Claim(ctx, &memoryMemo{}, key); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("claimed, %v", err)
	}
	if l := d.names(claimObject(key, 0)); len(l) > 0 {
		t.Errorf("%v is left", l)
	}
}

func TestABucketWithoutConditionalWrites(t *testing.T) {
	d, c, h := newCache(t, Write)
	d.blind = true
	for n := range byte(3) {
		if _, err := buy(t.Context(), c, &memoryMemo{}, [32]byte{n}, func() []byte { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.all) != 1 || !strings.Contains(h.all[0], "no conditional writes") {
		t.Errorf("told %q", h.all)
	}
}

const envBuyer = "REMOTE_TEST_BUYER"

// buyer is a machine: job is "URL MEMO LOG KEYS[ die]". It notes in LOG what it pays for.
func buyer(job string) int {
	f := strings.Fields(job)
	err := func() error {
		b, err := Open(context.Background(), f[0], true)
		if err != nil {
			return err
		}
		c := NewCache(b, Write, func(s string) { fmt.Println("warning:", s) })
		c.expiry = 2 * time.Second
		defer c.Close()
		memo, err := store.OpenMemo(f[1], store.MemoOptions{})
		if err != nil {
			return err
		}
		defer memo.Close()
		keys, err := strconv.Atoi(f[3])
		if err != nil {
			return err
		}
		for i := range keys {
			key := sha256.Sum256([]byte{byte(i)})
			v, err := buy(context.Background(), c, memo, key, func() []byte {
				if len(f) > 4 && i == keys/2 {
					os.Exit(7)
				}
				log, err := os.OpenFile(f[2], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
				if err == nil {
					_, err = fmt.Fprintln(log, i)
					err = errors.Join(err, log.Close())
				}
				if err != nil {
					panic(err)
				}
				time.Sleep(2 * time.Millisecond)
				return fmt.Appendf(nil, "answer %d", i)
			})
			if err != nil || string(v) != fmt.Sprintf("answer %d", i) {
				return fmt.Errorf("key %d: %q, %w", i, v, err)
			}
		}
		return nil
	}()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// Three processes with memos of their own and one bucket buy the same forty answers at the
// same time, and a fourth dies while it buys one: each is bought once.
func TestProcessesBuyOnce(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	start := func(name string, more ...string) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		job := append([]string{"file://" + filepath.ToSlash(filepath.Join(dir, "bucket")), filepath.Join(dir, name), log, "40"}, more...)
		cmd.Env = append(os.Environ(), envBuyer+"="+strings.Join(job, " "))
		return cmd
	}
	if out, err := start("dead", "die").CombinedOutput(); err == nil {
		t.Fatalf("it did not die: %s", out)
	}
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			if out, err := start(fmt.Sprint("memo", i)).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, line := range strings.Fields(string(text)) {
		times[line]++
	}
	if len(times) != 40 {
		t.Errorf("%d answers were bought, want 40", len(times))
	}
	for line, n := range times {
		if n != 1 {
			t.Errorf("answer %s was bought %d times", line, n)
		}
	}
}

// Another machine may share the answer between our look and our claim.
func TestAnAnswerThatComesJustBeforeTheClaim(t *testing.T) {
	d, c, _ := newCache(t, Write)
	key := [32]byte{1}
	records, err := c.records()
	if err != nil {
		t.Fatal(err)
	}
	d.fault = func(op, object string, data []byte) ([]byte, error) {
		if op == "write" && object == claimObject(key, 0) {
			d.mu.Lock()
			d.objects[memoObject(key)] = records.Pack(key, []byte("theirs"))
			d.mu.Unlock()
		}
		return data, nil
	}
	v, err := buy(t.Context(), c, &memoryMemo{}, key, func() []byte { t.Error("paid"); return nil })
	if string(v) != "theirs" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if l := d.names("v1/claims"); len(l) != 1 {
		t.Errorf("claims are left: %v", l)
	}
}

// Batches fetch and offer answers without a claim.
func TestAnswersOfBatches(t *testing.T) {
	d, c, h := newCache(t, Write)
	here, there := &memoryMemo{}, &memoryMemo{}
	var keys [][32]byte
	for i := range byte(40) {
		keys = append(keys, [32]byte{i})
		if i%2 == 0 {
			if err := errors.Join(here.Put([32]byte{i}, []byte{i}), c.OfferAnswer(t.Context(), here, [32]byte{i})); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.FetchAnswers(t.Context(), there, keys); err != nil {
		t.Fatal(err)
	}
	if len(there.m) != 20 || len(d.names("v1/memo")) != 20 || h.text() != "" {
		t.Errorf("%d answers came; %s", len(there.m), h.text())
	}
	c.mode = Read
	if err := c.OfferAnswer(t.Context(), &memoryMemo{m: map[[32]byte][]byte{{99}: {1}}}, [32]byte{99}); err != nil || len(d.names("v1/memo")) != 20 {
		t.Errorf("a reader wrote, %v", err)
	}
}
