package llm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A limit that changes holds for calls that wait already.
func TestLimitsChangeWhileCallsWait(t *testing.T) {
	for name, tc := range map[string]struct {
		o      Options
		change func(*Transport, *Workers)
		want   time.Duration // for 20 calls of a second each; the change comes after 5 s
	}{
		"as it was":        {Options{Concurrency: 1}, func(*Transport, *Workers) {}, 20 * time.Second},
		"more at a time":   {Options{Concurrency: 1}, func(tr *Transport, w *Workers) { tr.SetConcurrency(5); w.Resize(5) }, 9 * time.Second},
		"fewer at a time":  {Options{Concurrency: 2}, func(tr *Transport, w *Workers) { tr.SetConcurrency(1); w.Resize(1) }, 14 * time.Second},
		"a quicker pace":   {Options{Concurrency: 8, RPM: 6}, func(tr *Transport, _ *Workers) { tr.SetRPM(0) }, 9 * time.Second},
		"a slower pace":    {Options{Concurrency: 8}, func(tr *Transport, _ *Workers) { tr.SetRPM(60) }, 4 * time.Second},
		"with no one else": {Options{Concurrency: 1, Limiters: &Limiters{}}, func(tr *Transport, w *Workers) { tr.SetConcurrency(5); w.Resize(5) }, 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := transport(func(context.Context, Request) (*Response, error) { time.Sleep(time.Second); return ok("x"), nil }, tc.o)
				defer tr.Close()
				w := NewWorkers(tr.Concurrency())
				start := time.Now()
				go func() {
					time.Sleep(5*time.Second + time.Millisecond)
					tc.change(tr, w)
				}()
				err := InOrder(t.Context(), w, 100, numbered(20, 1, func(ctx context.Context, i int) error {
					_, err := tr.Complete(ctx, prompt(fmt.Sprint(i)))
					return err
				}, func(int) error { return nil }))
				if d := time.Since(start); err != nil || d < tc.want-time.Second || d > tc.want+time.Second {
					t.Errorf("done in %s, want about %s; %v", d, tc.want, err)
				}
				time.Sleep(10 * time.Second)
			})
		})
	}
}

// A budget that is raised makes room for a call that waits for it.
func TestABudgetIsRaised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := NewBudget(Limits{USD: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := Charge{Requests: 1, USD: 0.9}
		if _, err := b.reserve(t.Context(), [32]byte{}, want, nil); err != nil {
			t.Fatal(err)
		}
		var second error = errors.New("still waiting")
		var wg sync.WaitGroup
		wg.Go(func() { _, second = b.reserve(t.Context(), [32]byte{1}, want, nil) })
		synctest.Wait()
		b.SetUSD(2)
		wg.Wait()
		if second != nil {
			t.Error(second)
		}
		var none *Budget
		none.SetUSD(1)
	})
}

// While a run is held no call begins, those that have their turn among them, and a run
// that ends meanwhile keeps no budget.
func TestHold(t *testing.T) {
	for _, provider := range []string{"test", Simulated} {
		synctest.Test(t, func(t *testing.T) {
			held := make(chan struct{})
			b, err := NewBudget(Limits{Requests: 9}, nil)
			if err != nil {
				t.Fatal(err)
			}
			gone := errors.New("the run has ended")
			ctx, end := context.WithCancelCause(t.Context())
			calls := 0
			tr := NewTransport(Provider{Name: provider, Client: clientFunc(func(context.Context, Request) (*Response, error) { calls++; return ok("x"), nil })},
				Options{Budget: b, Hold: func(ctx context.Context) error {
					select {
					case <-held:
						return nil
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				}})
			var first error
			var wg sync.WaitGroup
			wg.Go(func() { _, first = tr.Complete(ctx, prompt("a")) })
			time.Sleep(time.Second)
			if calls != 0 {
				t.Errorf("%s: %d calls while held", provider, calls)
			}
			end(gone)
			wg.Wait()
			close(held)
			if !errors.Is(first, gone) || b.Spent().Requests != 0 || b.reserved.Requests != 0 {
				t.Errorf("%s: %v, %+v spent, %+v reserved", provider, first, b.Spent(), b.reserved)
			}
			if _, err := tr.Complete(t.Context(), prompt("a")); err != nil || calls != 1 {
				t.Errorf("%s: %v after %d calls", provider, err, calls)
			}
		})
	}
}
