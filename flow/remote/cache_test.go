package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/distillflow/distillflow/flow/store"
)

// heard collects warnings.
type heard struct {
	mu  sync.Mutex
	all []string
}

func (h *heard) tell(s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, s)
}

func (h *heard) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.all, "\n")
}

func newCache(t *testing.T, mode Mode) (*double, *Cache, *heard) {
	t.Helper()
	d, b := newDouble(t)
	h := &heard{}
	return d, NewCache(b, mode, h.tell), h
}

// result publishes an action with rows and a folder in a store.
func result(t *testing.T, st *store.Store, preimage string) *store.Action {
	t.Helper()
	sum := sha256.Sum256([]byte(preimage))
	a := &store.Action{Key: hex.EncodeToString(sum[:]), Type: "toy", Version: 1, Preimage: json.RawMessage(preimage), Outputs: map[string]store.Output{}}
	for kind, d := range outputs(t, st) {
		a.Outputs[string(kind)] = store.Output{Kind: kind, Digest: d, Bytes: map[store.OutputKind]int64{store.KindRows: 16, store.KindDir: 10002}[kind]}
	}
	put, err := st.PutAction(a, store.Relaxed)
	if err != nil {
		t.Fatal(err)
	}
	return put.Pinned
}

func TestAResultGoesThroughTheCache(t *testing.T) {
	d, c, h := newCache(t, Write)
	here, there := openStore(t), openStore(t)
	a := result(t, here, `{"n":1}`)
	if c.Find(t.Context(), a.Key) != nil || c.Take(t.Context(), there, a.Key) != nil {
		t.Error("found before it was published")
	}
	c.Publish(t.Context(), here, a)
	c.Wait()
	reads := d.count("read v1/blobs")
	if got := c.Find(t.Context(), a.Key); got == nil || !got.SameOutputs(a) {
		t.Fatalf("found %v", got)
	}
	if d.count("read v1/blobs") != reads {
		t.Error("looking for a result fetched blobs")
	}
	if got := c.Take(t.Context(), there, a.Key); got == nil || !got.SameOutputs(a) {
		t.Fatalf("took %v", got)
	}
	if got, ok, err := there.GetAction(a.Key); !ok || err != nil || !got.SameOutputs(a) {
		t.Errorf("the store has %v, %v", ok, err)
	}
	if h.text() != "" {
		t.Error(h.text())
	}
}

func TestWhatIsNotShared(t *testing.T) {
	d, c, _ := newCache(t, Write)
	st := openStore(t)
	a := *result(t, st, `{"n":1}`)
	a.Incomplete = true
	c.Publish(t.Context(), st, &a)
	a.Incomplete, c.mode = false, Read
	c.Publish(t.Context(), st, &a)
	c.Wait()
	if l := d.names(""); len(l) > 0 {
		t.Errorf("the bucket holds %v", l)
	}
}

// The action must not be there before all that it names.
func TestTheActionComesLast(t *testing.T) {
	d, c, _ := newCache(t, Write)
	st := openStore(t)
	a := result(t, st, `{"n":1}`)
	var blobs int
	d.fault = func(op, object string, data []byte) ([]byte, error) {
		if op == "write" && strings.HasPrefix(object, "v1/actions") {
			blobs = len(d.names("v1/blobs"))
		}
		return data, nil
	}
	c.Publish(t.Context(), st, a)
	c.Wait()
	if blobs != 5 {
		t.Errorf("%d blobs were there before the action, want 5", blobs)
	}
	// And it does not come at all when a blob fails.
	d, c, h := newCache(t, Write)
	d.fault = func(op, object string, data []byte) ([]byte, error) {
		if op == "write" && strings.HasPrefix(object, "v1/blobs") {
			return nil, errRefused
		}
		return data, nil
	}
	c.Publish(t.Context(), st, a)
	c.Wait()
	if l := d.names(""); len(l) > 0 || !strings.Contains(h.text(), "connection refused") {
		t.Errorf("the bucket holds %v; %s", l, h.text())
	}
}

func TestTheFirstResultStays(t *testing.T) {
	d, c, h := newCache(t, Write)
	one, two := openStore(t), openStore(t)
	a := result(t, one, `{"n":1}`)
	c.Publish(t.Context(), one, a)
	c.Wait()
	before, _ := d.load(actionObject(a.Key))
	b := *a
	digest, size, err := two.PutBytes([]byte("{}\n"), store.Relaxed)
	if err != nil {
		t.Fatal(err)
	}
	b.Outputs = map[string]store.Output{"rows": {Kind: store.KindRows, Digest: digest, Bytes: size}}
	c.Publish(t.Context(), two, &b)
	c.Wait()
	if after, _ := d.load(actionObject(a.Key)); !bytes.Equal(before, after) || !strings.Contains(h.text(), "another result of toy") {
		t.Errorf("replaced; %s", h.text())
	}
	h.all = nil
	c.Publish(t.Context(), one, a) // the same again is nothing to speak of
	c.Wait()
	if h.text() != "" {
		t.Error(h.text())
	}
}

// Every object, damaged in every way, is a miss with a warning, and the next result heals it.
func TestADamagedBucketIsAMissAndHeals(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"flipped":   func(b []byte) []byte { c := bytes.Clone(b); c[len(c)/2] ^= 1; return c },
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"empty":     func([]byte) []byte { return nil },
		"missing":   nil,
	} {
		d, c, _ := newCache(t, Write)
		here := openStore(t)
		a := result(t, here, `{"n":1}`)
		c.Publish(t.Context(), here, a)
		c.Wait()
		for _, object := range d.names("") {
			sound, _ := d.load(object)
			if len(sound) == 0 && spoil != nil {
				continue
			}
			h := &heard{}
			c := NewCache(c.b, Write, h.tell)
			if spoil == nil {
				delete(d.objects, object)
			} else {
				d.objects[object] = spoil(sound)
			}
			there := openStore(t)
			if got := c.Take(t.Context(), there, a.Key); got != nil {
				t.Errorf("%s %s: taken", name, object)
			}
			if _, ok, _ := there.GetAction(a.Key); ok {
				t.Errorf("%s %s: the store has an entry", name, object)
			}
			if want := spoil != nil || strings.HasPrefix(object, "v1/blobs"); (h.text() != "") != want {
				t.Errorf("%s %s: warned %q", name, object, h.text())
			}
			c.Publish(t.Context(), there, result(t, there, `{"n":1}`))
			c.Wait()
			if healed, _ := d.load(object); !bytes.Equal(healed, sound) && !strings.HasPrefix(object, "v1/actions") {
				t.Errorf("%s %s: not healed", name, object)
			}
			if c.Take(t.Context(), openStore(t), a.Key) == nil {
				t.Errorf("%s %s: no hit after it was made again: %s", name, object, h.text())
			}
		}
	}
}

// An entry under a key that is not the hash of its preimage was not made by this program.
func TestAnEntryMustBelongToItsKey(t *testing.T) {
	d, c, h := newCache(t, Write)
	st := openStore(t)
	a := *result(t, st, `{"n":1}`)
	a.Preimage = json.RawMessage(`{"n":2}`)
	text, err := a.Encode()
	if err != nil {
		t.Fatal(err)
	}
	d.objects[actionObject(a.Key)] = text
	if c.Find(t.Context(), a.Key) != nil || !strings.Contains(h.text(), "not what its key stands for") {
		t.Errorf("taken; %q", h.text())
	}
}

// A bucket that cannot be reached is asked once, told of once, and asked again later.
func TestABucketThatCannotBeReached(t *testing.T) {
	for name, fault := range map[string]func(d *double){
		"refuses": func(d *double) {
			d.fault = func(string, string, []byte) ([]byte, error) { return nil, errRefused }
		},
		"hangs": func(d *double) { d.hang = func(string, string) bool { return true } },
	} {
		d, c, h := newCache(t, Write)
		st := openStore(t)
		now := time.Now()
		c.now = func() time.Time { return now }
		fault(d)
		start := time.Now()
		for i := range 50 {
			a := result(t, st, fmt.Sprintf(`{"n":%d}`, i))
			if c.Find(t.Context(), a.Key) != nil || c.Take(t.Context(), st, a.Key) != nil {
				t.Error("found")
			}
			c.Publish(t.Context(), st, a)
			if release, err := c.Claim(t.Context(), &memoryMemo{}, [32]byte{byte(i)}); err != nil {
				t.Error(err)
			} else {
				release()
			}
		}
		c.Wait()
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: it took %s", name, d)
		}
		if n := d.count(""); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
		if len(h.all) != 1 || !strings.Contains(h.all[0], "going on without it for 5m") {
			t.Errorf("%s: told %q", name, h.all)
		}
		now = now.Add(restAfter + time.Second)
		d.fault, d.hang = nil, nil
		a := result(t, st, `{"n":0}`)
		c.Publish(t.Context(), st, a)
		c.Wait()
		if c.Find(t.Context(), a.Key) == nil {
			t.Errorf("%s: not used again", name)
		}
	}
}

func TestABucketThatMustNotBeWritten(t *testing.T) {
	d, c, h := newCache(t, Write)
	st := openStore(t)
	a := result(t, st, `{"n":1}`)
	c.Publish(t.Context(), st, a)
	c.Wait()
	d.fault = func(op, _ string, data []byte) ([]byte, error) {
		if op == "write" || op == "delete" {
			return nil, errNoRights
		}
		return data, nil
	}
	for i := range 3 {
		c.Publish(t.Context(), st, result(t, st, fmt.Sprintf(`{"n":1%d}`, i)))
		c.Wait()
		if release, err := c.Claim(t.Context(), &memoryMemo{}, [32]byte{1}); err != nil {
			t.Error(err)
		} else {
			release()
		}
	}
	if len(h.all) != 1 || !strings.Contains(h.all[0], "--cache-mode read") {
		t.Errorf("told %q", h.all)
	}
	if c.Take(t.Context(), openStore(t), a.Key) == nil {
		t.Error("it is not read any more")
	}
}

// An interrupt ends what is on its way, and is no fault of the bucket.
func TestAnInterrupt(t *testing.T) {
	d, c, h := newCache(t, Write)
	c.b.patience = time.Hour
	st := openStore(t)
	a := result(t, st, `{"n":1}`)
	d.hang = func(string, string) bool { return true }
	ctx, cancel := context.WithCancel(t.Context())
	c.Publish(ctx, st, a)
	time.AfterFunc(50*time.Millisecond, cancel)
	if c.Take(ctx, st, a.Key) != nil {
		t.Error("taken")
	}
	if _, err := c.Claim(ctx, &memoryMemo{}, [32]byte{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("claim: %v", err)
	}
	c.Wait()
	if h.text() != "" {
		t.Error(h.text())
	}
}

// A store that must not be written is no fault of the bucket either.
func TestAStoreWithoutRoom(t *testing.T) {
	_, c, h := newCache(t, Write)
	here := openStore(t)
	a := result(t, here, `{"n":1}`)
	c.Publish(t.Context(), here, a)
	c.Wait()
	there, err := store.Open(t.TempDir(), store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if c.Take(t.Context(), there, a.Key) != nil || c.resting() || !strings.Contains(h.text(), "read-only") {
		t.Errorf("told %q", h.text())
	}
	if c.Take(t.Context(), openStore(t), a.Key) == nil {
		t.Error("the result counts as damaged")
	}
}

func TestMain(m *testing.M) {
	if job := os.Getenv(envBuyer); job != "" {
		os.Exit(buyer(job))
	}
	goleak.VerifyTestMain(m) // no test leaves goroutines behind
}
