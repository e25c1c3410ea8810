package llm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

func openLedger(t *testing.T, memo Memo) *Ledger {
	t.Helper()
	l, err := OpenLedger(memo, "scope")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A ledger that is never closed is what a crash leaves. Whatever was settled, answered or
// cut off, the next session's totals are at least the truth, and exact for what was settled
// or answered.
func TestLedgerSurvivesCrashes(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 7))
		memo := &llmtest.Memo{}
		price := &Price{Input: 1, Output: 2}
		worst := Charge{Requests: 1, Tokens: 100, USD: 1}
		var answered, failed, cut int
		for session := range 4 {
			l := openLedger(t, memo)
			if got := l.Totals(); got.Settled.Requests < answered || got.Settled.Requests+got.Lost.Requests != answered+failed+cut {
				t.Fatalf("seed %d, session %d: %+v; %d answered, %d failed, %d cut off", seed, session, got, answered, failed, cut)
			}
			for i := range 300 + rng.IntN(700) {
				key := [32]byte{byte(session), byte(i), byte(i >> 8)}
				id, err := l.reserve(key, worst, price)
				if err != nil {
					t.Fatal(err)
				}
				switch rng.IntN(4) {
				case 0: // refused by the provider
					failed++
					if err := l.settle(id, Charge{Requests: 1}, false); err != nil {
						t.Fatal(err)
					}
				case 1: // cut off without an answer
					cut++
				default:
					answered++
					r := &Response{Text: "x", FinishReason: FinishStop, Usage: Usage{PromptTokens: 3, CompletionTokens: 2}}
					v, err := encodeMemo(r, "", nil)
					if err != nil {
						t.Fatal(err)
					}
					if err := memo.Put(key, v); err != nil {
						t.Fatal(err)
					}
					if rng.IntN(5) > 0 { // else cut off between the answer and its settlement
						if err := l.settle(id, actual(worst, price, r, nil), true); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
		got := openLedger(t, memo).Totals()
		if got.Answers != answered || got.Open != (Charge{}) {
			t.Errorf("seed %d: %+v, want %d answers", seed, got, answered)
		}
		if got.Lost.Requests < cut || got.Settled.Requests > answered+failed {
			t.Errorf("seed %d: %+v; %d cut off", seed, got, cut)
		}
		if want := 5 * answered; got.Settled.Tokens != want || math.Abs(got.Settled.USD-float64(answered)*7e-6) > 1e-9 {
			t.Errorf("seed %d: %+v, want %d tokens settled", seed, got.Settled, want)
		}
	}
}

// A budget holds over the runs of one piece of work, and a lost call counts in full.
func TestBudgetHoldsAcrossRuns(t *testing.T) {
	memo := &llmtest.Memo{}
	run := func(limit int, from, to int) (calls int, err error) {
		b, err := NewBudget(Limits{Requests: limit}, openLedger(t, memo))
		if err != nil {
			t.Fatal(err)
		}
		tr := transport(func(context.Context, Request) (*Response, error) { calls++; return ok("x"), nil }, Options{Memo: memo, Budget: b})
		for i := from; i < to; i++ {
			if _, err := tr.Complete(t.Context(), prompt(fmt.Sprint(i))); err != nil {
				return calls, err
			}
		}
		return calls, nil
	}
	if n, err := run(5, 0, 3); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	n, err := run(5, 0, 100)
	var be *BudgetError
	if n != 2 || !errors.As(err, &be) || be.Spent != 5 {
		t.Errorf("the second run made %d calls: %v", n, err)
	}
	if n, err := run(8, 0, 8); n != 3 || err != nil {
		t.Errorf("with a higher limit %d calls: %v", n, err)
	}
	if _, err := openLedger(t, memo).reserve([32]byte{9}, Charge{Requests: 1}, nil); err != nil {
		t.Fatal(err) // a process that dies here
	}
	if n, _ := run(10, 0, 100); n != 1 {
		t.Errorf("after a lost call %d calls fitted, want 1", n)
	}
}

func TestCircuitPausesAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		var told []string
		calls := 0
		tr := transport(func(context.Context, Request) (*Response, error) {
			mu.Lock()
			calls++
			mu.Unlock()
			if time.Since(start) < 4*time.Minute {
				return nil, &Error{Kind: KindServer, Status: 503}
			}
			return ok("back"), nil
		}, Options{Concurrency: 4, MaxRetries: 6, MaxOutage: 10 * time.Minute,
			Notify: func(s string) { mu.Lock(); told = append(told, s); mu.Unlock() }})
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if _, err := tr.Complete(t.Context(), prompt(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if calls > 50+60 {
			t.Errorf("%d calls; an open circuit should hold them back", calls)
		}
		if len(told) < 2 || told[len(told)-1] != "test is back; going on" {
			t.Errorf("told %q", told)
		}
		if !tr.Stats().PausedUntil.IsZero() {
			t.Error("still paused")
		}
	})
}

func TestOutageThatLastsEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		tr := transport(func(context.Context, Request) (*Response, error) {
			return nil, &Error{Kind: KindNetwork, Message: "refused"}
		}, Options{Concurrency: 2, MaxRetries: 1000, MaxOutage: 10 * time.Minute})
		_, err := tr.Complete(t.Context(), prompt("p"))
		if k := KindOf(err); k != KindDown || !k.Fatal() {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d < 10*time.Minute || d > 12*time.Minute {
			t.Errorf("gave up after %s", d)
		}
	})
}

// Calls of one minute never use more tokens than allowed, up to the bucket's size.
func TestTPM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tpm, each = 60_000, 500
		var mu sync.Mutex
		var at []time.Time
		tr := transport(func(context.Context, Request) (*Response, error) {
			mu.Lock()
			at = append(at, time.Now())
			mu.Unlock()
			time.Sleep(time.Second)
			return &Response{Text: "x", Usage: Usage{PromptTokens: 100, CompletionTokens: each - 100}}, nil
		}, Options{Concurrency: 64, TPM: tpm})
		start := time.Now()
		var wg sync.WaitGroup
		for w := range 64 {
			wg.Go(func() {
				for i := w; i < 600; i += 64 {
					r := prompt(fmt.Sprint(i))
					r.MaxTokens = 1000
					tr.Complete(t.Context(), r)
				}
			})
		}
		wg.Wait()
		took := time.Since(start).Minutes()
		for i := range at {
			n := 0
			for _, u := range at[i:] {
				if u.Sub(at[i]) < time.Minute {
					n++
				}
			}
			if n*each > tpm*(60+tpmSeconds)/60 {
				t.Fatalf("%d tokens in one minute", n*each)
			}
		}
		if got := 600 * each / took; got < 0.85*tpm {
			t.Errorf("%.0f tokens a minute of %d", got, tpm)
		}
	})
}

func TestRefreshBuysOnce(t *testing.T) {
	memo := &llmtest.Memo{}
	n := 0
	ask := func(refresh string, times int) string {
		tr := transport(func(context.Context, Request) (*Response, error) { n++; return ok(fmt.Sprint("answer ", n)), nil },
			Options{Memo: memo, Refresh: refresh})
		var text string
		for range times {
			r, err := tr.Complete(t.Context(), prompt("p"))
			if err != nil {
				t.Fatal(err)
			}
			text = r.Text
		}
		return text
	}
	for _, step := range []struct {
		refresh, want string
	}{{"", "answer 1"}, {"", "answer 1"}, {"a", "answer 2"}, {"a", "answer 2"}, {"", "answer 2"}, {"b", "answer 3"}, {"", "answer 3"}} {
		if got := ask(step.refresh, 2); got != step.want {
			t.Errorf("refresh %q: %s, want %s", step.refresh, got, step.want)
		}
	}
}

// A provider that allows fewer requests than rpm says is approached from above and left in
// peace: rate answers become rare, and the pace comes back when the provider allows it.
func TestPaceAdaptsTo429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		level, at, limited := 1.0, time.Now(), 0
		tr := transport(func(context.Context, Request) (*Response, error) {
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			level = min(10, level+now.Sub(at).Seconds()*5) // 300 a minute
			at = now
			if level < 1 {
				limited++
				return nil, &Error{Kind: KindRate, RetryAfter: time.Second}
			}
			level--
			return ok("x"), nil
		}, Options{Concurrency: 8, RPM: 600, MaxRetries: 50})
		start := time.Now()
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := w; i < 3000; i += 8 {
					if _, err := tr.Complete(t.Context(), prompt(fmt.Sprint(i))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if limited == 0 || limited > 300 {
			t.Errorf("%d rate answers to 3000 requests", limited)
		}
		if d := time.Since(start); d > 14*time.Minute {
			t.Errorf("took %s, the provider's limit allows 10 m", d)
		}
	})
}
