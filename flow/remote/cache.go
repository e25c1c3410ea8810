package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Mode says what a [Cache] may do with its bucket.
type Mode string

// The modes.
const (
	Read  Mode = "read"  // take results and answers, and add none
	Write Mode = "write" // take them, and add what is made and bought here
)

const (
	// restAfter is how long a bucket that could not be reached is left alone.
	restAfter = 5 * time.Minute
	// uploadsAtOnce bounds the results that are on their way at a time.
	uploadsAtOnce = 2
)

// Cache lets the runs of several stores share their results, and their paid answers,
// through a bucket. Nothing that goes wrong with the bucket is an error: what cannot be
// had is made here. A bucket that cannot be reached is told of once and left alone for
// five minutes, so that no stage waits for it again. Its methods are safe for several
// goroutines.
type Cache struct {
	b       *Bucket
	now     func() time.Time
	expiry  time.Duration // after which a claim that nobody renews is void
	uploads parallel.Group
	records func() (*store.MemoRecords, error)
	probe   sync.Once // of whether claims can hold
	exists  sync.Once // tested: the bucket

	mu    sync.Mutex
	mode  Mode
	tell  func(string)
	rests time.Time // until when the bucket is left alone
	told  map[string]bool
}

// NewCache makes a cache of a bucket, which it closes. tell is told of whatever could not
// be done, one sentence each; see [Cache.Tell].
func NewCache(b *Bucket, mode Mode, tell func(string)) *Cache {
	c := &Cache{
		b: b, now: time.Now, mode: mode, tell: tell, expiry: claimExpiry,
		records: sync.OnceValues(store.NewMemoRecords), told: map[string]bool{},
	}
	c.uploads.SetLimit(uploadsAtOnce)
	return c
}

// Tell changes who is told.
func (c *Cache) Tell(tell func(string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tell = tell
}

// Close waits for what is on its way and closes the bucket.
func (c *Cache) Close() error { return errors.Join(c.uploads.Wait(), c.b.Close()) }

// Wait returns when all that was to be shared has arrived or was given up.
func (c *Cache) Wait() { _ = c.uploads.Wait() } // uploads tell their errors themselves

func (c *Cache) warn(format string, args ...any) {
	c.mu.Lock()
	tell := c.tell
	c.mu.Unlock()
	tell(fmt.Sprintf(format, args...))
}

// warnOnce warns once in the cache's life about a thing.
func (c *Cache) warnOnce(thing, format string, args ...any) {
	c.mu.Lock()
	told := c.told[thing]
	c.told[thing] = true
	c.mu.Unlock()
	if !told {
		c.warn(format, args...)
	}
}

// resting reports whether the bucket is left alone at the moment.
func (c *Cache) resting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now().Before(c.rests)
}

// writes reports whether something may be added.
func (c *Cache) writes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mode == Write
}

// note looks at how a request ended, and reports whether it failed because of the
// bucket. Of requests that fail at the same time the first is told.
func (c *Cache) note(err error, write bool) (failed bool) {
	var be *bucketError
	if !errors.As(err, &be) {
		return false
	}
	c.mu.Lock()
	first := !c.now().Before(c.rests)
	if be.denied && write {
		first = c.mode == Write
		c.mode = Read
	} else {
		c.rests = c.now().Add(restAfter)
	}
	c.mu.Unlock()
	switch {
	case !first:
	case be.denied && write:
		c.warn("the cache %s cannot be written (%v): nothing is added to it; --cache-mode read says that this is meant", c.b, be.error)
	default:
		c.warn("the cache %s cannot be used (%v): going on without it for %s", c.b, be.error, restAfter)
	}
	return true
}

// missed is called when something is missing: the first time that may be the bucket.
func (c *Cache) missed(ctx context.Context) {
	if c.b.dir != "" {
		return // it was there when it was opened
	}
	c.exists.Do(func() {
		err := c.b.read(ctx, "the bucket", func(ctx context.Context, _ func()) error {
			ok, err := c.b.b.IsAccessible(ctx)
			if err == nil && !ok {
				err = &bucketError{error: errNoBucket}
			}
			return err
		})
		if errors.Is(err, errNoBucket) { // other failures show where it is used
			c.note(err, false)
		}
	})
}

func actionObject(key string) string { return "v1/actions/" + key[:2] + "/" + key + ".json" }

// Find looks for a complete result of an action key in the bucket, and fetches nothing of
// it; nil if there is none.
func (c *Cache) Find(ctx context.Context, key string) *store.Action {
	if c.resting() {
		return nil
	}
	a, err := c.find(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		c.missed(ctx)
	case c.note(err, false), ctx.Err() != nil:
	case err != nil:
		c.warnOnce(key, "a result in the cache is damaged and is not used (%v)", err)
	}
	return a
}

func (c *Cache) find(ctx context.Context, key string) (*store.Action, error) {
	object := actionObject(key)
	text, err := c.b.get(ctx, object)
	if err != nil {
		return nil, err
	}
	a, err := store.DecodeAction(key, text)
	if err == nil {
		if sum := sha256.Sum256(a.Preimage); hex.EncodeToString(sum[:]) != key || a.Incomplete {
			err = fmt.Errorf("is not what its key stands for: %w", store.ErrCorrupt)
		}
	}
	if err != nil {
		c.b.damaged.Store(object, true)
		return nil, fmt.Errorf("%s: %s: %w", c.b, object, err)
	}
	return a, nil
}

// Take brings a complete result from the bucket into the store, with all its blobs; nil
// if there is none, or if not all of it arrives sound.
func (c *Cache) Take(ctx context.Context, st *store.Store, key string) *store.Action {
	a := c.Find(ctx, key)
	if a == nil {
		return nil
	}
	err := c.fetch(ctx, st, a)
	if err == nil {
		var put store.PutResult
		if put, err = st.PutAction(a, store.Relaxed); err == nil {
			return put.Pinned
		}
	}
	switch {
	case c.note(err, false), ctx.Err() != nil:
	default:
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
			c.b.damaged.Store(actionObject(key), true)
		}
		c.warnOnce(key, "the result of %s in the cache cannot be taken (%v): the stage runs", a.Type, err)
	}
	return nil
}

func (c *Cache) fetch(ctx context.Context, st *store.Store, a *store.Action) error {
	for _, port := range slices.Sorted(maps.Keys(a.Outputs)) {
		o := a.Outputs[port]
		if err := c.b.Fetch(ctx, st, o.Kind, o.Digest); err != nil {
			return fmt.Errorf("output %s: %w", port, err)
		}
	}
	return nil
}

// Publish begins to share a result of the store: its blobs, and last the action. It
// waits only while too many others are on their way; see [Cache.Wait]. An incomplete
// result is not shared, and one that differs from what the bucket holds for the key does
// not replace it.
func (c *Cache) Publish(ctx context.Context, st *store.Store, a *store.Action) {
	if a.Incomplete || !c.writes() || c.resting() {
		return
	}
	c.uploads.Go(func() error {
		err := parallel.Call(func() error { return c.publish(ctx, st, a) })
		if !c.note(err, true) && err != nil && ctx.Err() == nil {
			c.warn("the result of %s could not be added to the cache (%v)", a.Type, err)
		}
		return nil
	})
}

func (c *Cache) publish(ctx context.Context, st *store.Store, a *store.Action) error {
	if !c.writes() || c.resting() {
		return nil
	}
	text, err := a.Encode()
	if err != nil {
		return err
	}
	for _, port := range slices.Sorted(maps.Keys(a.Outputs)) {
		o := a.Outputs[port]
		if err := c.b.Push(ctx, st, o.Kind, o.Digest); err != nil {
			return fmt.Errorf("output %s: %w", port, err)
		}
	}
	object := actionObject(a.Key)
	if c.b.isDamaged(object) {
		return c.b.put(ctx, object, text)
	}
	err = c.b.create(ctx, object, text)
	if !errors.Is(err, errExists) {
		return err
	}
	old, err := c.find(ctx, a.Key)
	switch {
	case errors.Is(err, store.ErrCorrupt):
		return c.b.put(ctx, object, text)
	case errors.Is(err, store.ErrNotFound): // somebody publishes it at this moment
		return nil
	case err == nil && !old.SameOutputs(a):
		c.warn("the cache holds another result of %s for the same inputs; that one stays, this one is not shared", a.Type)
	}
	return err
}
