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
			err := InOrder(ctx, 8, 64, numbered(n, 1, func(ctx context.Context, i int) error {
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
