package llm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

// claimMemo is a memo in memory with claims, for several Transports.
type claimMemo struct {
	llmtest.Memo
	err  error  // what a claim fails with
	warn string // what a claim warns of

	claims, held atomic.Int64
}

func (m *claimMemo) Claim(ctx context.Context, key [32]byte, warn func(string)) (func(), error) {
	if m.warn != "" {
		warn(m.warn)
	}
	if m.err != nil {
		return nil, m.err
	}
	release, err := m.Memo.Claim(ctx, key, warn)
	if err != nil {
		return nil, err
	}
	m.claims.Add(1)
	m.held.Add(1)
	return func() { m.held.Add(-1); release() }, nil
}

// Of two Transports that share a memo one buys; the other waits, counts a hit and
// takes nothing from its budget.
func TestTransportsBuyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 18
		memo := &claimMemo{}
		calls := map[string]int{}
		var mu sync.Mutex
		slow := func(_ context.Context, r Request) (*Response, error) {
			mu.Lock()
			calls[r.Messages[0].Content]++
			mu.Unlock()
			time.Sleep(time.Second)
			return ok("fine"), nil
		}
		var all [2]*Transport
		var budgets [2]*Budget
		var wg sync.WaitGroup
		for i := range all {
			var err error
			if budgets[i], err = NewBudget(Limits{Requests: n}, nil); err != nil {
				t.Fatal(err)
			}
			all[i] = transport(slow, Options{Memo: memo, Concurrency: 4, Budget: budgets[i]})
			for p := range n {
				wg.Go(func() {
					if _, err := all[i].Complete(t.Context(), prompt(string(rune('a'+p)))); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		a, b := all[0].Stats(), all[1].Stats()
		if len(calls) != n || a.Calls+b.Calls != n || a.MemoHits+b.MemoHits != n {
			t.Errorf("%d prompts, calls %d and %d, hits %d and %d", len(calls), a.Calls, b.Calls, a.MemoHits, b.MemoHits)
		}
		if spent := budgets[0].Spent().Requests + budgets[1].Spent().Requests; spent != n {
			t.Errorf("%d requests paid", spent)
		}
		if n := memo.held.Load(); n != 0 {
			t.Errorf("%d claims are still held", n)
		}
		// The path of a hit makes no claim.
		before := memo.claims.Load()
		for p := range n {
			if _, err := all[0].Complete(t.Context(), prompt(string(rune('a'+p)))); err != nil {
				t.Error(err)
			}
		}
		if memo.claims.Load() != before {
			t.Error("hits made claims")
		}
	})
}

// A call that fails lets the next one try; one that is cancelled while it waits
// ends as cancelled.
func TestClaimsAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memo := &claimMemo{}
		first := transport(func(context.Context, Request) (*Response, error) {
			time.Sleep(time.Minute)
			return nil, &Error{Kind: KindInvalid, Message: "no"}
		}, Options{Memo: memo})
		second := transport(func(context.Context, Request) (*Response, error) { return ok("fine"), nil }, Options{Memo: memo})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := first.Complete(t.Context(), prompt("p")); KindOf(err) != KindInvalid {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
		gone, stop := context.WithTimeoutCause(t.Context(), time.Second, errors.New("enough"))
		defer stop()
		if _, err := second.Complete(gone, prompt("p")); err == nil || err.Error() != "enough" {
			t.Errorf("%v", err)
		}
		start := time.Now()
		if r, err := second.Complete(t.Context(), prompt("p")); err != nil || r.Text != "fine" || time.Since(start) != 59*time.Second {
			t.Errorf("%v %v after %s", r, err, time.Since(start))
		}
		wg.Wait()
	})
}

// A claim that fails is a failure of the memo: no call is made. A warning goes to
// whoever hears of pauses.
func TestClaimFailures(t *testing.T) {
	calls, told := 0, ""
	buy := func(context.Context, Request) (*Response, error) { calls++; return ok("fine"), nil }
	tr := transport(buy, Options{Memo: &claimMemo{err: errors.New("too many files")}})
	if _, err := tr.Complete(t.Context(), prompt("p")); KindOf(err) != KindMemo || calls != 0 {
		t.Errorf("%v, %d calls", err, calls)
	}
	tr = transport(buy, Options{Memo: &claimMemo{warn: "no locks here"}, Notify: func(s string) { told = s }})
	if _, err := tr.Complete(t.Context(), prompt("p")); err != nil || calls != 1 || told != "no locks here" {
		t.Errorf("%v, %d calls, told %q", err, calls, told)
	}
}

// A refreshing run finds under its claim what another has bought meanwhile and
// puts its own answer behind it.
func TestRefreshUnderAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memo := &claimMemo{}
		var wg sync.WaitGroup
		for _, name := range []string{"one", "two"} {
			tr := transport(func(context.Context, Request) (*Response, error) {
				time.Sleep(time.Second)
				return ok(name), nil
			}, Options{Memo: memo, Refresh: name})
			wg.Go(func() {
				if r, err := tr.Complete(t.Context(), prompt("p")); err != nil || r.Text != name {
					t.Errorf("%s: %v %v", name, r, err)
				}
			})
		}
		wg.Wait()
		if memo.Len() != 2 {
			t.Errorf("%d answers kept of two bought", memo.Len())
		}
	})
}

// Two processes that want the same batch at the same moment submit it once.
func TestBatchesAreSubmittedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 18
		f, memo := &farm{polls: 2, bought: map[string]int{}}, &claimMemo{}
		var wg sync.WaitGroup
		for _, scope := range []string{"one", "two"} {
			p := newProcess(t, f, memo, scope, Limits{}, BatchOptions{})
			wg.Go(func() {
				answers, errs, err := p.run(t.Context(), n)
				if err != nil || len(errs) > 0 || answers != n {
					t.Errorf("%s: %d answers, %v %v", scope, answers, errs, err)
				}
			})
		}
		wg.Wait()
		if len(f.batches) != 1 || len(f.bought) != n || f.singles != 0 {
			t.Errorf("%d batches for %d prompts, %d single calls", len(f.batches), len(f.bought), f.singles)
		}
		for p, times := range f.bought {
			if times != 1 {
				t.Errorf("%q was bought %d times", p, times)
			}
		}
	})
}
