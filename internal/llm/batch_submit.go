package llm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// chunk is a batch that is being put together.
type chunk struct {
	model    string
	keys     [][32]byte
	next     []int // numbers of the pointers
	elements [][]byte
	bytes    int
	worst    Charge
}

// submitClaimed is submit, while no other process that shares the memo submits anything to
// this endpoint: what it is about to ask for stands in its pointers by then, and is taken
// up in place of being bought again.
func (bs *Batches) submitClaimed(ctx context.Context, seq iter.Seq2[Request, error]) error {
	if bs.single {
		return bs.submit(ctx, seq)
	}
	release, err := bs.t.o.Memo.Claim(ctx, recordKey("llm-job-1", "submit", bs.t.p.Name, bs.t.p.Endpoint), bs.t.o.Notify)
	if err != nil {
		return fmt.Errorf("submitting a batch: %w", err)
	}
	defer release()
	return bs.submit(ctx, bs.fetched(ctx, seq))
}

// submit reads seq, takes up the batches that requests wait in, and submits the rest in batches
// as large as may be.
func (bs *Batches) submit(ctx context.Context, seq iter.Seq2[Request, error]) error {
	limits := bs.c.BatchLimits()
	var c chunk
	seen := map[[32]byte]bool{}
	flush := func() error {
		if len(c.keys) == 0 {
			return nil
		}
		full := c
		c = chunk{}
		return bs.send(ctx, full)
	}
	for req, err := range seq {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		key, r, err := bs.t.peek(req)
		if err != nil {
			return err
		}
		if r != nil || seen[key] || bs.failed[key] != nil {
			continue
		}
		seen[key] = true
		name, next, err := bs.book.asking(key)
		if err != nil {
			return err
		}
		if name != "" {
			if err := bs.takeUp(ctx, name); err != nil {
				return err
			}
			if o := bs.open[name]; o != nil {
				o.wanted[key] = true
				continue
			}
			// It turned out never to have been submitted, or was collected just now.
			if key, r, err = bs.t.peek(req); err != nil {
				return err
			} else if r != nil {
				continue
			}
		}
		if bs.single || bs.blocked != nil {
			continue
		}
		el, err := bs.c.EncodeForBatch(elementID(key), req)
		if err != nil || len(el)+1 > limits.Bytes {
			if err == nil {
				err = &Error{Kind: KindInvalid, Message: fmt.Sprintf("the request has %d bytes: more than a batch may hold", len(el))}
			}
			bs.failed[key] = bs.own(err)
			continue
		}
		worst := worstCase(req, bs.o.Price)
		switch {
		case len(c.keys) == 0:
		case len(c.keys) >= bs.o.MaxRequests, c.bytes+len(el)+1 > limits.Bytes, c.model != req.Model:
			if err := flush(); err != nil {
				return err
			}
		}
		if bs.blocked = bs.t.o.Budget.fitsBatch(c.worst.plus(worst, 1)); bs.blocked != nil {
			if err := flush(); err != nil {
				return err
			}
			continue
		}
		c.model = req.Model
		c.keys, c.next, c.elements = append(c.keys, key), append(c.next, next), append(c.elements, el)
		c.bytes += len(el) + 1
		c.worst = c.worst.plus(worst, 1)
	}
	return flush()
}

// send submits one batch.
func (bs *Batches) send(ctx context.Context, c chunk) error {
	if err := bs.t.o.Hold(ctx); err != nil {
		return err
	}
	var r [12]byte
	_, _ = rand.Read(r[:]) // never fails
	in := batchIntent{
		Name: "distillflow-" + hex.EncodeToString(r[:]), Provider: bs.t.p.Name, Endpoint: bs.t.p.Endpoint, Model: c.model,
		Requests: len(c.keys), Worst: c.worst, Price: bs.o.Price, Refresh: bs.t.o.Refresh, At: time.Now().UTC(),
	}
	// A batch that is too large for the budget is cut before it comes here; only another
	// stage that shares the budget can have taken the room meanwhile.
	if err := bs.t.o.Budget.reserveBatch(in.Name, in.Worst, in.Price); err != nil {
		var be *BudgetError
		if errors.As(err, &be) {
			bs.blocked = err
			return nil
		}
		return err
	}
	bs.held[in.Name] = true
	bs.o.Fault("batch-reserved")
	if err := inParallel(len(c.keys), func(i int) error { return bs.book.point(c.keys[i], c.next[i], in.Name) }); err != nil {
		return err
	}
	bs.o.Fault("batch-pointed")
	if err := bs.book.put(in, "intent", in.Name); err != nil {
		return err
	}
	if back, err := bs.book.intent(in.Name); err != nil || back == nil {
		return errors.Join(err, errors.New("mode: batch needs a memo of paid answers that keeps what is put into it"))
	}
	bs.o.Fault("batch-intended")
	id, err := bs.persist(ctx, in, c.elements)
	var e *Error
	switch {
	case err == nil:
	case errors.As(err, &e) && e.Kind == KindRate && len(bs.open) > 0:
		// Too much waits there already. When some of it has ended there is room.
		bs.blocked = bs.requestError(err)
		return bs.close(in, batchClosed{Status: "refused"})
	case errors.As(err, &e) && !e.Kind.Retryable() && e.Kind != KindMemo:
		// It certainly does not exist.
		return errors.Join(err, bs.close(in, batchClosed{Status: "refused"}))
	default:
		return err
	}
	if err := bs.book.put(batchOpened{ID: id}, "opened", in.Name); err != nil {
		return err
	}
	bs.o.Fault("batch-opened")
	o := &openBatch{batchIntent: in, id: id, wanted: map[[32]byte]bool{}}
	for _, k := range c.keys {
		o.wanted[k] = true
	}
	bs.add(o)
	return nil
}

// persist submits a batch and tries again after what may pass. Before each further try it
// looks whether the last one arrived after all.
func (bs *Batches) persist(ctx context.Context, in batchIntent, elements [][]byte) (id string, err error) {
	pause := bs.o.MinPoll
	for try := 0; ; try++ {
		id, err = bs.c.SubmitBatch(ctx, in.Name, in.Model, elements)
		bs.o.Fault("batch-submitted")
		if err == nil {
			return id, nil
		}
		err = bs.own(err)
		var e *Error
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if !errors.As(err, &e) || !e.Kind.Retryable() {
			return "", bs.hint(err)
		}
		bs.t.stats.add(func(s *Stats) { s.Errors[e.Kind]++ })
		if e.Kind == KindRate && len(bs.open) > 0 || try >= bs.t.o.MaxRetries {
			return "", err
		}
		if err := sleep(ctx, max(pause, e.RetryAfter)); err != nil {
			return "", err
		}
		bs.t.stats.add(func(s *Stats) { s.Retries++ })
		pause = min(2*pause, bs.o.MaxPoll)
		if mayBeBilled(err) || e.Kind == KindServer {
			id, ok, ferr := bs.find(ctx, in)
			if ferr != nil || ok {
				return id, ferr
			}
		}
	}
}

// find asks the provider for a batch of which it is not known whether it arrived.
func (bs *Batches) find(ctx context.Context, in batchIntent) (id string, ok bool, err error) {
	// A clock that differs from the provider's must not hide the batch.
	err = bs.retrying(ctx, func() (err error) {
		id, ok, err = bs.c.FindBatch(ctx, in.Name, in.At.Add(-time.Hour))
		return err
	})
	return id, ok, err
}

// hint adds what to do where a server knows no batches.
func (bs *Batches) hint(err error) error {
	if KindOf(err) == KindNotFound || KindOf(err) == KindInvalid {
		return fmt.Errorf("submitting a batch: %w; if the server or the model has no batch API, use mode: sync", err)
	}
	return fmt.Errorf("submitting a batch: %w", err)
}

// sleep waits or ends with the context.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// inParallel runs n small tasks, many at a time: the memo flushes what is put into it at
// the same time together.
func inParallel(n int, do func(i int) error) error {
	var g parallel.Group
	g.SetLimit(64)
	var failed atomic.Bool
	for i := range n {
		if failed.Load() {
			break
		}
		g.Go(func() error {
			err := do(i)
			if err != nil {
				failed.Store(true)
			}
			return err
		})
	}
	return g.Wait()
}
