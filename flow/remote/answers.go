package remote

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// claimExpiry is how long others wait for a holder that shows no life. It renews its
// claim four times as often.
const claimExpiry = time.Minute

// Memo is this machine's memo of paid answers.
type Memo interface {
	Get(key [32]byte) (val []byte, ok bool, err error)
	Put(key [32]byte, val []byte) error
}

// Claim is called before the answer to a request is bought, by a caller that has claimed
// the key on this machine. If the bucket has the answer it puts it into the memo, where
// the caller looks again. If not it waits until no other machine is buying that answer,
// and keeps them waiting until release is called, which also shares what stands in the
// memo by then. The error is ctx's, or the memo's.
//
// Of machines that claim a key at a time one buys, provided that the bucket has
// conditional writes and reads what was written last, that the buyer can reach it at
// least once a minute, and that its answer arrives there. Where one of these fails an
// answer may be bought twice, and is never lost. In mode [Read] nobody waits for anybody.
func (c *Cache) Claim(ctx context.Context, memo Memo, key [32]byte) (release func(), err error) {
	w := waiter{c: c, memo: memo, key: key}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		if c.resting() {
			return func() {}, nil
		}
		have, err := c.recall(ctx, memo, key)
		if err != nil || have || !c.writes() {
			return func() {}, err
		}
		c.probe.Do(func() { c.probeClaims(ctx) })
		mine, again, err := w.try(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case c.note(err, true):
			return func() {}, nil
		case err != nil:
			return nil, err
		case mine != nil:
			return mine, nil
		case again:
			continue
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

func memoObject(key [32]byte) string {
	h := hex.EncodeToString(key[:])
	return "v1/memo/" + h[:2] + "/" + h
}

// recall brings an answer from the bucket into the memo and reports whether it is there.
func (c *Cache) recall(ctx context.Context, memo Memo, key [32]byte) (bool, error) {
	object := memoObject(key)
	text, err := c.b.get(ctx, object)
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.Is(err, store.ErrNotFound):
		c.missed(ctx)
		return false, nil
	case c.note(err, false):
		return false, nil
	}
	records, rerr := c.records()
	if rerr != nil {
		return false, rerr
	}
	var value []byte
	if err == nil {
		value, err = records.Unpack(key, text)
	}
	if err != nil {
		c.b.damaged.Store(object, true)
		c.warnOnce(object, "an answer in the cache is damaged and is not used (%s: %s: %v)", c.b, object, err)
		return false, nil
	}
	if _, ok, err := memo.Get(key); ok || err != nil {
		return ok, err // first record of a key stays in force anyway
	}
	return true, memo.Put(key, value)
}

// FetchAnswers brings those of the answers into the memo that others have bought. The
// error is ctx's, or the memo's.
func (c *Cache) FetchAnswers(ctx context.Context, memo Memo, keys [][32]byte) error {
	g, ctx := parallel.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, key := range keys {
		g.Go(func() error {
			if c.resting() {
				return nil
			}
			_, err := c.recall(ctx, memo, key)
			return err
		})
	}
	return g.Wait()
}

// OfferAnswer adds the memo's answer to a key that nobody has claimed. The error is
// ctx's, or the memo's.
func (c *Cache) OfferAnswer(ctx context.Context, memo Memo, key [32]byte) error {
	if !c.writes() || c.resting() {
		return nil
	}
	err := c.share(ctx, memo, key)
	if c.note(err, true) {
		return nil
	}
	return err
}

// share adds the memo's answer to a key, if there is one.
func (c *Cache) share(ctx context.Context, memo Memo, key [32]byte) error {
	value, ok, err := memo.Get(key)
	if err != nil || !ok {
		return err
	}
	records, err := c.records()
	if err != nil {
		return err
	}
	object, text := memoObject(key), records.Pack(key, value)
	if c.b.isDamaged(object) {
		return c.b.put(ctx, object, text)
	}
	err = c.b.create(ctx, object, text)
	if errors.Is(err, errExists) {
		return nil
	}
	return err
}

// probeClaims finds out whether the bucket refuses to create what is there: some servers
// that speak S3 ignore the condition.
func (c *Cache) probeClaims(ctx context.Context) {
	const object = "v1/claims/probe"
	var err error
	for range 2 {
		err = c.b.create(ctx, object, []byte("Two machines cannot both create this object.\n"))
	}
	if err == nil {
		c.warn("the cache %s has no conditional writes: two machines that ask the same at the same time both pay", c.b)
	}
}

// waiter is one call of [Cache.Claim]. Claims on a key are numbered: a claim that its
// holder has not renewed for long is followed by the next number, which only one of
// those who wait can create. Everybody measures with a clock of his own.
type waiter struct {
	c    *Cache
	memo Memo
	key  [32]byte

	n     int       // the claim to create or to watch
	seen  string    // its content
	since time.Time // when that was new
	stale string    // the content of claim n-1 when it was found void
}

func claimObject(key [32]byte, n int) string {
	h := hex.EncodeToString(key[:])
	return "v1/claims/" + h[:2] + "/" + h + "." + strconv.Itoa(n)
}

// try creates the claim or looks at who holds it. again says that it is worth trying at
// once.
func (w *waiter) try(ctx context.Context) (release func(), again bool, err error) {
	c := w.c
	mine := claim{object: claimObject(w.key, w.n), nonce: rand.Text()}
	switch err := c.b.create(ctx, mine.object, mine.content()); {
	case err == nil:
		return w.confirm(ctx, &mine)
	case !errors.Is(err, errExists):
		return nil, false, err
	}
	text, err := c.look(ctx, mine.object)
	now := c.now()
	switch {
	case err == nil && text == string(mine.content()): // ours after all: an answer was lost on the way
		return w.confirm(ctx, &mine)
	case errors.Is(err, store.ErrNotFound): // let go just now
		w.restart()
		return nil, true, nil
	case err != nil:
		return nil, false, err
	case text != w.seen || w.since.IsZero():
		w.seen, w.since = text, now
	case now.Sub(w.since) > c.expiry:
		w.n, w.stale, w.seen, w.since = w.n+1, w.seen, "", time.Time{}
		return nil, true, nil
	}
	return nil, false, nil
}

func (w *waiter) restart() { w.n, w.stale, w.seen, w.since = 0, "", "", time.Time{} }

// confirm makes sure that a claim that was created is the one in force.
func (w *waiter) confirm(ctx context.Context, mine *claim) (release func(), again bool, err error) {
	c := w.c
	giveUp := func() {
		c.note(c.b.remove(context.WithoutCancel(ctx), mine.object), true) // else others wait until it is void
		w.restart()
	}
	// A holder that was thought dead may have let go of a void claim, so that its number
	// was free though the next one is held.
	switch _, err := c.look(ctx, claimObject(w.key, w.n+1)); {
	case err == nil:
		n := w.n
		giveUp()
		w.n = n + 1
		return nil, false, nil
	case !errors.Is(err, store.ErrNotFound):
		giveUp()
		return nil, false, err
	}
	if w.n > 0 {
		text, err := c.look(ctx, claimObject(w.key, w.n-1))
		if err != nil && !errors.Is(err, store.ErrNotFound) || err == nil && text != w.stale {
			giveUp() // it lives after all
			return nil, false, err
		}
	}
	// Whoever held it before may have shared the answer since we looked.
	have, err := c.recall(ctx, w.memo, w.key)
	if have || err != nil {
		giveUp()
		return func() {}, false, err
	}
	return c.hold(w.memo, w.key, w.n, mine), false, nil
}

// look reads a claim. One that is damaged is as good as any other: nobody renews it.
func (c *Cache) look(ctx context.Context, object string) (string, error) {
	text, err := c.b.get(ctx, object)
	if errors.Is(err, store.ErrCorrupt) {
		return "damaged", nil
	}
	return string(text), err
}

// claim is a claim of this process.
type claim struct {
	object, nonce string
	beats         int
}

func (m *claim) content() []byte { return fmt.Appendf(nil, "%s %d\n", m.nonce, m.beats) }

// hold renews a claim until release is called.
func (c *Cache) hold(memo Memo, key [32]byte, n int, mine *claim) (release func()) {
	end := make(chan struct{})
	renewed := parallel.Start(func() error {
		tick := time.NewTicker(c.expiry / 4)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return nil
			case <-tick.C:
			}
			mine.beats++
			if !c.resting() {
				c.note(c.b.put(context.Background(), mine.object, mine.content()), true)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(end)
		_ = renewed()
		if c.resting() {
			return
		}
		// An interrupted run shares what it has paid for: each request ends in time.
		ctx := context.Background()
		if err := c.share(ctx, memo, key); !c.note(err, true) && err != nil {
			c.warn("an answer could not be added to the cache (%v)", err)
		}
		// Void ones first: as long as this one is there nobody takes them for held.
		for i := range n + 1 {
			if err := c.b.remove(ctx, claimObject(key, i)); c.note(err, true) {
				return
			}
		}
	})
}
