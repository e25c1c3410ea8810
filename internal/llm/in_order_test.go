package llm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func numbered(n, tasks int, run func(ctx context.Context, i int) error, done func(i int) error) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for i := range n {
			b := Row{Done: func() error { return done(i) }}
			for range tasks {
				b.Tasks = append(b.Tasks, func(ctx context.Context) error { return run(ctx, i) })
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func TestInOrderKeepsOrderAndBounds(t *testing.T) {
	for _, tc := range []struct{ workers, window, tasks int }{{1, 1, 1}, {8, 4, 3}, {4, 100, 0}, {3, 2, 50}} {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			var delays [100]time.Duration
			for i := range delays {
				delays[i] = time.Duration(rng.IntN(1000)) * time.Millisecond
			}
			var busy, peak, written, ran atomic.Int64
			var got []int
			err := InOrder(t.Context(), NewWorkers(tc.workers), tc.window, numbered(100, tc.tasks, func(_ context.Context, i int) error {
				n := busy.Add(1)
				defer busy.Add(-1)
				ran.Add(1)
				for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
				}
				// One row runs, window of them wait in order, one is being handed over.
				if ahead := int64(i) - written.Load(); ahead > int64(tc.window)+2 {
					t.Errorf("row %d started while %d were written", i, written.Load())
				}
				time.Sleep(delays[i])
				return nil
			}, func(i int) error { got = append(got, i); written.Add(1); return nil }))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.IsSorted(got) || len(got) != 100 || ran.Load() != int64(100*tc.tasks) {
				t.Errorf("%+v: %d tasks, order %v", tc, ran.Load(), got)
			}
			if peak.Load() > int64(tc.workers) {
				t.Errorf("%+v: %d tasks at a time", tc, peak.Load())
			}
		})
	}
}

func TestInOrderStops(t *testing.T) {
	boom := errors.New("boom")
	fine := func(context.Context, int) error { return nil }
	for name, run := range map[string]func(ctx context.Context) error{
		"task": func(ctx context.Context) error {
			return InOrder(ctx, NewWorkers(3), 4, numbered(50, 3, func(ctx context.Context, i int) error {
				if i == 7 {
					return boom
				}
				return nil
			}, func(i int) error {
				if i >= 7 {
					return fmt.Errorf("row %d was written", i)
				}
				return nil
			}))
		},
		"done": func(ctx context.Context) error {
			return InOrder(ctx, NewWorkers(3), 4, numbered(50, 3, fine, func(i int) error {
				if i == 7 {
					return boom
				}
				return nil
			}))
		},
		"sequence": func(ctx context.Context) error {
			return InOrder(ctx, NewWorkers(3), 4, func(yield func(Row, error) bool) { yield(Row{}, boom) })
		},
		"panic in a task": func(ctx context.Context) error {
			return InOrder(ctx, NewWorkers(3), 4, numbered(50, 3, func(context.Context, int) error { panic(boom) }, func(int) error { return nil }))
		},
		"panic in the sequence": func(ctx context.Context) error {
			return InOrder(ctx, NewWorkers(3), 4, func(func(Row, error) bool) { panic(boom) })
		},
		"context": func(ctx context.Context) error {
			ctx, cancel := context.WithCancelCause(ctx)
			return InOrder(ctx, NewWorkers(3), 4, numbered(50, 3, func(ctx context.Context, i int) error {
				if i == 7 {
					cancel(boom)
				}
				return nil
			}, func(int) error { return nil }))
		},
	} {
		synctest.Test(t, func(t *testing.T) { // a goroutine left behind would deadlock the bubble
			if err := run(t.Context()); !errors.Is(err, boom) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	ctx := context.Background()
	if err := NewFailures(Policy{FailFast: true}).Note(ctx, &Error{Kind: KindInvalid}); err == nil {
		t.Error("a run that keeps no failure went on")
	}
	f := NewFailures(Policy{})
	for _, k := range []Kind{KindAuth, KindBudget, KindMemo, KindQuota, KindNotFound} {
		if err := f.Note(ctx, &Error{Kind: k}); err == nil {
			t.Errorf("%s did not end the run", k)
		}
	}
	for range 3 * down {
		if err := f.Note(ctx, &Error{Kind: KindInvalid}); err != nil {
			t.Fatal(err)
		}
	}
	if f.Missing() != "" || f.Total() != 3*down {
		t.Errorf("invalid requests count as missing: %q, %d", f.Missing(), f.Total())
	}
	for i := range 3 * down {
		if i%down == down-1 {
			if err := f.Note(ctx, nil); err != nil {
				t.Fatal(err)
			}
		} else if err := f.Note(ctx, &Error{Kind: KindServer}); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if f.Missing() == "" {
		t.Error("server errors do not count as missing")
	}
	var err error
	for range 25 {
		err = f.Note(ctx, &Error{Kind: KindNetwork})
	}
	if err == nil {
		t.Error("a provider that is down did not end the run")
	}
	// A refusal shows that the provider is there, whatever failed before.
	f = NewFailures(Policy{})
	for i := range 3 * (down - 1) {
		err := error(&Error{Kind: KindServer})
		if i%(down-1) == 0 {
			err = &Error{Kind: KindInvalid}
		}
		if err := f.Note(ctx, err); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	cause := errors.New("interrupted")
	gone, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	if err := f.Note(gone, &Error{Kind: KindServer}); !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	if got := RowError(&Error{Kind: KindServer, Message: "m", Attempts: 4}); got != "server: m" {
		t.Errorf("%q", got)
	}
}

func TestThreshold(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "2%": 0.02, " 0.5 ": 0.5, "12.5 %": 0.125} {
		if got, err := ParseThreshold(text); err != nil || got != want {
			t.Errorf("%q: %g, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "0", "100%", "-1%", "NaN", "1.5", "%"} {
		if _, err := ParseThreshold(text); err == nil {
			t.Errorf("%q was read as a share", text)
		}
	}
	bad := &Error{Kind: KindInvalid, Message: "no"}
	f := NewFailures(Policy{Threshold: 0.02})
	for i := range 150 {
		var err error
		if i%50 == 49 { // 3 of 150
			err = bad
		}
		if err := f.Note(t.Context(), err); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if err := f.End(); err != nil {
		t.Errorf("2%% of failures: %v", err)
	}
	if err := f.Note(t.Context(), bad); err == nil || !errors.Is(err, bad) {
		t.Errorf("4 of 151: %v", err)
	}
	if f := NewFailures(Policy{Threshold: 0.02}); f.Note(t.Context(), bad) != nil || f.End() == nil {
		t.Error("a few requests are judged at the end, and not before")
	}
}
