package llm

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A request that cannot get its turn before the stage's time is up waits until then:
// it is not a failure of its row, and does not speak against the provider.
func TestPaceWaitsUntilTheContextEnds(t *testing.T) {
	for _, n := range []int{12, 60} {
		synctest.Test(t, func(t *testing.T) {
			timeUp := errors.New("the stage's time is up")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Second, timeUp)
			defer cancel()
			tr := transport(func(context.Context, Request) (*Response, error) { return ok("x"), nil }, Options{RPM: 15, Concurrency: 8})
			failures := NewFailures(Policy{})
			start := time.Now()
			err := InOrder(ctx, NewWorkers(8), 64, numbered(n, 1, func(ctx context.Context, i int) error {
				_, err := tr.Complete(ctx, prompt(fmt.Sprint(i)))
				return failures.Note(ctx, err)
			}, func(int) error { return nil }))
			if d := time.Since(start); !errors.Is(err, timeUp) || d != 20*time.Second {
				t.Errorf("%d rows: %v after %s", n, err, d)
			}
			if failures.Total() != 0 || tr.Stats().Calls != 5 {
				t.Errorf("%d rows: %d failures, %d calls", n, failures.Total(), tr.Stats().Calls)
			}
		})
	}
}

// The pace is lowered at most once a second, however many answers of that second say 429,
// and good answers raise it again, up to the limit and no further.
func TestPaceAdapts(t *testing.T) {
	p := newPace(600)
	limit := float64(p.limiter.Limit())
	now := time.Unix(1000, 0)
	busy := &Error{Kind: KindRate}
	for _, step := range []struct {
		after time.Duration
		err   error
		times int
		want  float64 // of the limit
	}{
		{0, busy, 1, 0.75},
		{300 * time.Millisecond, busy, 20, 0.75},
		{700 * time.Millisecond, busy, 20, 0.75 * 0.75},
		{time.Millisecond, &Error{Kind: KindServer}, 5, 0.75 * 0.75},
		{time.Millisecond, nil, 10, 0.75*0.75 + 10./200},
		{time.Second, nil, 1000, 1},
	} {
		now = now.Add(step.after)
		for range step.times {
			p.note(step.err, now)
		}
		if got := float64(p.limiter.Limit()) / limit; got < step.want-1e-9 || got > step.want+1e-9 {
			t.Errorf("%v times %v: at %.4f of the limit, want %.4f", step.err, step.times, got, step.want)
		}
	}
	for range 100 {
		now = now.Add(time.Second)
		p.note(busy, now)
	}
	if got := float64(p.limiter.Limit()) / limit; got < 0.05-1e-9 || got > 0.05+1e-9 {
		t.Errorf("a provider that says 429 for long is asked at %.6f of the limit, want a twentieth", got)
	}
}

// The requests of a minute are at most those of the limit.
func TestPaceHoldsTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := transport(func(context.Context, Request) (*Response, error) { return ok("x"), nil }, Options{RPM: 60, Concurrency: 4})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_ = InOrder(ctx, NewWorkers(4), 64, numbered(200, 1, func(ctx context.Context, i int) error {
			_, err := tr.Complete(ctx, prompt(fmt.Sprint(i)))
			return err
		}, func(int) error { return nil }))
		if n := tr.Stats().Calls; n < 58 || n > 60 {
			t.Errorf("%d calls in a minute", n)
		}
	})
}
