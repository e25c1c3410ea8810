package llm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// wait looks at the open jobs, less and less often, and collects each that has ended. It
// returns the number of answers it recorded, and whether the provider refused a job
// because too much was waiting. Jobs that take longer than MaxWait stay open for the next
// run.
func (j *Jobs) wait(ctx context.Context) (answers int, full bool, err error) {
	start, pause := time.Now(), j.o.MinPoll
	for {
		before := j.View().Done
		for _, name := range slices.Sorted(maps.Keys(j.open)) {
			o := j.open[name]
			var state JobState
			err := j.retrying(ctx, func() (err error) {
				state, err = j.c.JobState(ctx, o.id)
				return err
			})
			var e *Error
			switch {
			case errors.As(err, &e) && e.Kind == KindNotFound:
				// Gone without a trace: it may have been worked on.
				state = JobState{Ended: true, Status: "lost", Message: "the provider does not know it any more"}
				j.abandon(o, state)
				if err := j.close(o.jobIntent, jobClosed{Status: state.Status, Cost: o.Worst}); err != nil {
					return answers, full, err
				}
				continue
			case err != nil:
				return answers, full, err
			}
			j.o.Fault("job-polled")
			j.mu.Lock()
			o.state = state
			j.look(time.Time{})
			j.mu.Unlock()
			if !state.Ended {
				continue
			}
			n, err := j.collect(ctx, o)
			if err != nil {
				return answers, full, err
			}
			answers += n
			full = full || state.Full
			pause = j.o.MinPoll
		}
		if len(j.open) == 0 {
			return answers, full, nil
		}
		if j.o.MaxWait > 0 && time.Since(start) >= j.o.MaxWait {
			for _, o := range j.open {
				j.abandon(o, JobState{Status: fmt.Sprintf("has not ended within %s; the next run goes on waiting", j.o.MaxWait)})
			}
			return answers, full, nil
		}
		if j.View().Done > before {
			pause = j.o.MinPoll
		}
		if j.o.MaxWait > 0 {
			pause = min(pause, max(j.o.MaxWait-time.Since(start), time.Millisecond))
		}
		j.mu.Lock()
		j.look(time.Now().Add(pause))
		j.mu.Unlock()
		if err := sleep(ctx, pause); err != nil {
			return answers, full, err
		}
		pause = min(pause*3/2, j.o.MaxPoll)
	}
}

// recordAtOnce is how many answers go into the memo together.
const recordAtOnce = 256

// collect records the answers of an ended job and closes it. It may be repeated.
func (j *Jobs) collect(ctx context.Context, o *openJob) (answers int, err error) {
	var closed jobClosed
	var fresh []JobAnswer
	share := Charge{Requests: 1}
	if o.Requests > 0 { // what a request costs that does not say
		share = Charge{1, o.Worst.Tokens / o.Requests, o.Worst.USD / float64(o.Requests)}
	}
	failed := map[[32]byte]error{}
	record := func() error {
		batch := fresh
		fresh = nil
		return inParallel(len(batch), func(i int) error { return j.record(o, batch[i]) })
	}
	err = j.retrying(ctx, func() error {
		closed, fresh = jobClosed{Status: o.state.Status}, nil
		clear(failed)
		err := j.c.JobAnswers(ctx, o.id, func(a JobAnswer) error {
			key, ok := parseJobID(a.ID)
			if !ok {
				return nil // none of ours
			}
			if a.Err != nil {
				closed.Cost.Requests++
				failed[key] = j.fate(a.Err)
				return nil
			}
			if a.Response.FinishReason == "" {
				a.Response.FinishReason = FinishStop
			}
			closed.Answers++
			closed.Cost = closed.Cost.plus(actual(share, o.Price, a.Response, nil), 1)
			j.o.Fault("job-answer")
			if fresh = append(fresh, a); len(fresh) < j.atOnce {
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
	j.o.Fault("job-collected")
	if err := j.close(o.jobIntent, closed); err != nil {
		return 0, err
	}
	for key, err := range failed {
		if !o.wanted[key] {
			continue
		}
		j.mu.Lock()
		j.failed[key] = err
		j.mu.Unlock()
		j.t.stats.add(func(s *Stats) { s.Errors[KindOf(err)]++ })
	}
	if len(failed) > 0 || closed.Answers < o.Requests {
		j.t.o.Notify(fmt.Sprintf("batch %s ended (%s) with %d answers to %d requests%s", o.id, o.state.Status, closed.Answers, o.Requests, because(o.state.Message)))
	}
	j.abandon(o, o.state)
	return closed.Answers, nil
}

// fate is what an error on one request of a job means. Whether the provider was busy or
// down at that moment says nothing about the calls of this run.
func (j *Jobs) fate(err error) error {
	e := j.own(err).(*Error)
	if e.Kind != KindInvalid {
		e.Kind = KindBatch
	}
	return e
}

// record puts one answer into the memo, unless it is there since an earlier try.
func (j *Jobs) record(o *openJob, a JobAnswer) error {
	key, _ := parseJobID(a.ID)
	val, ok, err := j.t.o.Memo.Get(key)
	if err == nil && ok {
		if _, ok = decodeMemo(val); ok {
			return nil
		}
	}
	if err == nil {
		if val, err = encodeMemo(a.Response, o.Refresh); err == nil {
			err = j.t.o.Memo.Put(key, val)
		}
	}
	if err != nil {
		return &Error{Kind: KindMemo, Provider: j.t.p.Name, Err: fmt.Errorf("recording a paid answer: %w", err)}
	}
	j.mu.Lock()
	j.bought[key] = struct{}{}
	j.mu.Unlock()
	j.t.stats.add(func(s *Stats) { s.Calls++ })
	j.t.countCost(a.Response, o.Price)
	return nil
}

// abandon takes a job off the open ones. The requests that it leaves without an answer
// fail, but for those of a job that the provider had no room for.
func (j *Jobs) abandon(o *openJob, s JobState) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.open, o.Name)
	defer j.look(time.Time{})
	if s.Full && j.o.MaxRequests > 1 {
		return
	}
	for key := range o.wanted {
		if _, ok := j.bought[key]; ok || j.failed[key] != nil {
			continue
		}
		if r, _, err := j.t.lookup(key); err == nil && r != nil {
			continue // recorded before this run
		}
		what := "ended without this answer: " + s.Status
		if !s.Ended {
			what = s.Status
		}
		j.failed[key] = &Error{Kind: KindBatch, Provider: j.t.p.Name, Message: "the batch " + what + because(s.Message)}
		j.view.Expired++
		j.t.stats.add(func(s *Stats) { s.Errors[KindBatch]++ })
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
func (j *Jobs) retrying(ctx context.Context, do func() error) error {
	pause := j.o.MinPoll
	for try := 0; ; try++ {
		err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var e *Error
		if err = j.own(err); !errors.As(err, &e) || !e.Kind.Retryable() || try >= j.t.o.MaxRetries {
			return err
		}
		j.t.stats.add(func(s *Stats) { s.Errors[e.Kind]++; s.Retries++ })
		if err := sleep(ctx, max(pause, e.RetryAfter)); err != nil {
			return err
		}
		pause = min(2*pause, j.o.MaxPoll)
	}
}

// look renews the view; the caller holds mu.
func (j *Jobs) look(next time.Time) {
	v := &j.view
	v.Open, v.Requests, v.Done, v.Next, v.Message = len(j.open), 0, 0, next, ""
	for _, o := range j.open {
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

// View says how the jobs are.
func (j *Jobs) View() JobView {
	if j == nil {
		return JobView{}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.view
}
