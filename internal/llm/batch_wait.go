package llm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// wait looks at the open batches, less and less often, and collects each that has ended. It
// returns the number of answers it recorded, and whether the provider refused a batch
// because too much was waiting. Batches that take longer than MaxWait stay open for the next
// run.
func (bs *Batches) wait(ctx context.Context) (answers int, full bool, err error) {
	start, pause := time.Now(), bs.o.MinPoll
	for {
		before := bs.View().Done
		for _, name := range slices.Sorted(maps.Keys(bs.open)) {
			o := bs.open[name]
			var state BatchState
			err := bs.retrying(ctx, func() (err error) {
				state, err = bs.c.BatchState(ctx, o.id)
				return err
			})
			var e *Error
			switch {
			case errors.As(err, &e) && e.Kind == KindNotFound:
				// Gone without a trace: it may have been worked on.
				state = BatchState{Ended: true, Status: "lost", Message: "the provider no longer knows it"}
				bs.abandon(o, state)
				if err := bs.close(o.batchIntent, batchClosed{Status: state.Status, Cost: o.Worst}); err != nil {
					return answers, full, err
				}
				continue
			case err != nil:
				return answers, full, err
			}
			bs.o.Fault("batch-polled")
			bs.mu.Lock()
			o.state = state
			bs.updateView(time.Time{})
			bs.mu.Unlock()
			if !state.Ended {
				continue
			}
			n, err := bs.collect(ctx, o)
			if err != nil {
				return answers, full, err
			}
			answers += n
			full = full || state.Full
			pause = bs.o.MinPoll
		}
		if len(bs.open) == 0 {
			return answers, full, nil
		}
		if bs.o.MaxWait > 0 && time.Since(start) >= bs.o.MaxWait {
			for _, o := range bs.open {
				bs.abandon(o, BatchState{Status: fmt.Sprintf("has not ended within %s; the next run waits for it", bs.o.MaxWait)})
			}
			return answers, full, nil
		}
		if bs.View().Done > before {
			pause = bs.o.MinPoll
		}
		if bs.o.MaxWait > 0 {
			pause = min(pause, max(bs.o.MaxWait-time.Since(start), time.Millisecond))
		}
		bs.mu.Lock()
		bs.updateView(time.Now().Add(pause))
		bs.mu.Unlock()
		if err := sleep(ctx, pause); err != nil {
			return answers, full, err
		}
		pause = min(pause*3/2, bs.o.MaxPoll)
	}
}

// recordAtOnce is how many answers go into the memo together.
const recordAtOnce = 256

// collect records the answers of an ended batch and closes it. It may be repeated.
func (bs *Batches) collect(ctx context.Context, o *openBatch) (answers int, err error) {
	var closed batchClosed
	var fresh []BatchAnswer
	share := Charge{Requests: 1}
	if o.Requests > 0 { // what a request costs that does not say
		share = Charge{1, o.Worst.Tokens / o.Requests, o.Worst.USD / float64(o.Requests)}
	}
	failed := map[[32]byte]error{}
	record := func() error {
		batch := fresh
		fresh = nil
		return inParallel(len(batch), func(i int) error { return bs.record(ctx, o, batch[i]) })
	}
	err = bs.retrying(ctx, func() error {
		closed, fresh = batchClosed{Status: o.state.Status}, nil
		clear(failed)
		err := bs.c.BatchAnswers(ctx, o.id, func(a BatchAnswer) error {
			key, ok := parseElementID(a.ID)
			if !ok {
				return nil // none of ours
			}
			if a.Err == nil {
				a.Err = bs.t.finished(a.Response)
			}
			if a.Err != nil {
				closed.Cost = closed.Cost.plus(actual(share, o.Price, nil, a.Err), 1)
				failed[key] = bs.requestError(a.Err)
				return nil
			}
			closed.Answers++
			closed.Cost = closed.Cost.plus(actual(share, o.Price, a.Response, nil), 1)
			bs.o.Fault("batch-answer")
			if fresh = append(fresh, a); len(fresh) < bs.atOnce {
				return nil
			}
			return record()
		})
		if err == nil {
			err = record()
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	bs.o.Fault("batch-collected")
	if err := bs.close(o.batchIntent, closed); err != nil {
		return 0, err
	}
	for key, err := range failed {
		if !o.wanted[key] {
			continue
		}
		bs.mu.Lock()
		bs.failed[key] = err
		bs.mu.Unlock()
		bs.t.stats.add(func(s *Stats) { s.Errors[KindOf(err)]++ })
	}
	if len(failed) > 0 || closed.Answers < o.Requests {
		bs.t.o.Notify(fmt.Sprintf("batch %s ended (%s) with %d answers to %d requests%s", o.id, o.state.Status, closed.Answers, o.Requests, because(o.state.Message)))
	}
	bs.abandon(o, o.state)
	return closed.Answers, nil
}

// requestError is what an error on one request of a batch means. Whether the provider was busy or
// down at that moment says nothing about the calls of this run.
func (bs *Batches) requestError(err error) error {
	e := bs.own(err).(*Error)
	if e.Kind != KindInvalid {
		e.Kind = KindBatch
	}
	return e
}

// record puts one answer into the memo, unless it is there since an earlier try.
func (bs *Batches) record(ctx context.Context, o *openBatch, a BatchAnswer) error {
	key, _ := parseElementID(a.ID)
	val, ok, err := bs.t.o.Memo.Get(key)
	if err == nil && ok {
		if _, ok = decodeMemo(val); ok {
			return nil
		}
	}
	if err == nil {
		if val, err = encodeMemo(a.Response, o.Refresh, bs.t.bill(o.Model, o.Price, a.Response)); err == nil {
			err = bs.t.o.Memo.Put(key, val)
		}
	}
	if memo, ok := bs.t.o.Memo.(SharedMemo); ok && err == nil {
		err = memo.Offer(ctx, key)
	}
	if err != nil {
		return &Error{Kind: KindMemo, Provider: bs.t.p.Name, Err: fmt.Errorf("recording a paid answer: %w", err)}
	}
	bs.mu.Lock()
	bs.bought[key] = struct{}{}
	bs.mu.Unlock()
	bs.t.stats.add(func(s *Stats) { s.Calls++ })
	bs.t.countCost(a.Response, o.Price)
	return nil
}

// abandon takes a batch off the open ones. The requests that it leaves without an answer
// fail, but for those of a batch that the provider had no room for.
func (bs *Batches) abandon(o *openBatch, s BatchState) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	delete(bs.open, o.Name)
	defer bs.updateView(time.Time{})
	if s.Full && bs.o.MaxRequests > 1 {
		return
	}
	for key := range o.wanted {
		if _, ok := bs.bought[key]; ok || bs.failed[key] != nil {
			continue
		}
		if r, _, err := bs.t.lookup(key); err == nil && r != nil {
			continue // recorded before this run
		}
		what := "ended without this answer: " + s.Status
		if !s.Ended {
			what = s.Status
		}
		bs.failed[key] = &Error{Kind: KindBatch, Provider: bs.t.p.Name, Message: "the batch " + what + because(s.Message)}
		bs.view.Expired++
		bs.t.stats.add(func(s *Stats) { s.Errors[KindBatch]++ })
	}
}

func because(s string) string {
	if s == "" {
		return ""
	}
	return " (" + Clip(s, 300) + ")"
}

// retrying repeats what only reads, after what may pass, for as long as the transport
// would try one call.
func (bs *Batches) retrying(ctx context.Context, do func() error) error {
	pause := bs.o.MinPoll
	for try := 0; ; try++ {
		err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var e *Error
		if err = bs.own(err); !errors.As(err, &e) || !e.Kind.Retryable() || try >= bs.t.o.MaxRetries {
			return err
		}
		bs.t.stats.add(func(s *Stats) { s.Errors[e.Kind]++; s.Retries++ })
		if err := sleep(ctx, max(pause, e.RetryAfter)); err != nil {
			return err
		}
		pause = min(2*pause, bs.o.MaxPoll)
	}
}

// updateView renews the view; the caller holds mu.
func (bs *Batches) updateView(next time.Time) {
	v := &bs.view
	v.Open, v.Requests, v.Done, v.Next, v.Message = len(bs.open), 0, 0, next, ""
	for _, o := range bs.open {
		v.Requests += o.Requests
		v.Done += o.state.Done
	}
	if v.Open > 0 {
		v.Message = fmt.Sprintf("%d batches at the provider, %d of %d requests answered", v.Open, v.Done, v.Requests)
		if !next.IsZero() {
			v.Message += ", next look at " + next.Format(time.TimeOnly)
		}
	}
}

// View says how the batches are.
func (bs *Batches) View() BatchView {
	if bs == nil {
		return BatchView{}
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	return bs.view
}
