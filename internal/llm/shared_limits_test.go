package llm

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Two stages side by side that ask the same model get no more together than one alone.
func TestStagesShareLimits(t *testing.T) {
	for _, tc := range []struct {
		name   string
		a, b   Options
		shared bool
		want   time.Duration // for 61 requests of each stage
		most   int           // in flight together
	}{
		{"apart", Options{RPM: 60, Concurrency: 4}, Options{RPM: 60, Concurrency: 4}, false, 61 * time.Second, 8},
		{"together", Options{RPM: 60, Concurrency: 4}, Options{RPM: 60, Concurrency: 4}, true, 122 * time.Second, 4},
		{"the tighter wins", Options{RPM: 60, Concurrency: 2}, Options{RPM: 600, Concurrency: 9}, true, 122 * time.Second, 2},
		{"one names no limit", Options{RPM: 60, Concurrency: 3}, Options{Concurrency: 9}, true, 122 * time.Second, 3},
		{"tokens", Options{TPM: 2000, Concurrency: 3}, Options{Concurrency: 9}, true, 100 * time.Second, 3},
		{"another model", Options{RPM: 60, Concurrency: 4, Model: "m"}, Options{RPM: 60, Concurrency: 4, Model: "n"}, true, 61 * time.Second, 8},
	} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			busy, most := 0, 0
			call := func(context.Context, Request) (*Response, error) {
				mu.Lock()
				busy++
				most = max(most, busy)
				mu.Unlock()
				time.Sleep(5 * time.Second)
				mu.Lock()
				busy--
				mu.Unlock()
				r := ok("x")
				r.Usage = Usage{PromptTokens: 20, CompletionTokens: 7}
				return r, nil
			}
			if tc.shared {
				l := &Limiters{}
				tc.a.Limiters, tc.b.Limiters = l, l
			}
			start := time.Now()
			var wg sync.WaitGroup
			for i, o := range []Options{tc.a, tc.b} {
				tr := transport(call, o)
				defer tr.Close()
				for w := range 16 {
					wg.Go(func() {
						for k := w; k < 61; k += 16 {
							if _, err := tr.Complete(t.Context(), prompt(fmt.Sprint(i, k))); err != nil {
								t.Error(err)
							}
						}
					})
				}
			}
			wg.Wait()
			d := time.Since(start)
			if most > tc.most {
				t.Errorf("%s: %d calls in flight, want at most %d", tc.name, most, tc.most)
			}
			if d < tc.want {
				t.Errorf("%s: done in %s, want at least %s", tc.name, d, tc.want)
			}
		})
	}
}

// When the stage with the tighter limits is done, the other goes at its own pace.
func TestTheTighterLimitEndsWithItsStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Limiters{}
		call := func(context.Context, Request) (*Response, error) { return ok("x"), nil }
		slow := transport(call, Options{RPM: 6, Concurrency: 1, Limiters: l})
		quick := transport(call, Options{RPM: 600, Concurrency: 5, Limiters: l})
		run := func(from int) time.Duration {
			start := time.Now()
			for i := range 12 {
				if _, err := quick.Complete(t.Context(), prompt(fmt.Sprint(from+i))); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(start)
		}
		if d := run(0); d < 100*time.Second {
			t.Errorf("beside the slow one: %s", d)
		}
		slow.Close()
		slow.Close()
		if d := run(100); d > 15*time.Second {
			t.Errorf("alone: %s", d)
		}
		if s := quick.Stats(); s.Concurrency != 5 {
			t.Errorf("concurrency %d", s.Concurrency)
		}
	})
}
