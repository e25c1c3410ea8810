package llm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distillflow/distillflow/internal/llm/llmtest"
)

type clientFunc func(ctx context.Context, req Request) (*Response, error)

func (f clientFunc) Complete(ctx context.Context, req Request) (*Response, error) { return f(ctx, req) }

func prompt(s string) Request {
	return Request{Model: "m", Messages: []Message{{Role: RoleUser, Content: s}}, MaxTokens: 10}
}

func transport(f clientFunc, o Options) *Transport {
	if o.Jitter == nil {
		o.Jitter = func() float64 { return 0 }
	}
	return NewTransport(Provider{Name: "test", Endpoint: "here", Client: f}, o)
}

func ok(text string) *Response {
	return &Response{Text: text, FinishReason: FinishStop, Usage: Usage{PromptTokens: 3, CompletionTokens: 2}}
}

// Retry policy by kind: how many attempts with three retries allowed.
func TestRetries(t *testing.T) {
	for _, tc := range []struct {
		kind Kind
		want int
	}{
		{KindRate, 4}, {KindServer, 4}, {KindTimeout, 4}, {KindNetwork, 4}, {KindMalformed, 4},
		{KindAuth, 1}, {KindNotFound, 1}, {KindInvalid, 1}, {KindQuota, 1}, {KindOther, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			tr := transport(func(context.Context, Request) (*Response, error) {
				n++
				return nil, &Error{Kind: tc.kind, Message: "no"}
			}, Options{MaxRetries: 3})
			_, err := tr.Complete(t.Context(), prompt("p"))
			var e *Error
			if !errors.As(err, &e) || e.Kind != tc.kind || e.Provider != "test" || e.Attempts != tc.want || n != tc.want {
				t.Errorf("%s: %d attempts, error %#v; want %d", tc.kind, n, err, tc.want)
			}
			if s := tr.Stats(); s.Calls != tc.want || s.Retries != tc.want-1 || s.Errors[tc.kind] != tc.want || s.Failed != 1 || s.InFlight != 0 {
				t.Errorf("%s: stats %+v", tc.kind, s)
			}
		})
	}
}

// In a synctest bubble time is virtual, so waiting is measured exactly.
func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		tr := transport(func(context.Context, Request) (*Response, error) {
			if n++; n == 1 {
				return nil, &Error{Kind: KindRate, RetryAfter: 90 * time.Second}
			}
			return ok("fine"), nil
		}, Options{MaxRetries: 1, Concurrency: 4})
		start := time.Now()
		if _, err := tr.Complete(t.Context(), prompt("p")); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 90*time.Second {
			t.Errorf("waited %s", d)
		}
	})
}

func TestRetryAfterHoldsBackOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Duration
		start := time.Now()
		tr := transport(func(_ context.Context, r Request) (*Response, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(start))
			if len(at) == 1 {
				return nil, &Error{Kind: KindRate, RetryAfter: time.Minute}
			}
			return ok("fine"), nil
		}, Options{MaxRetries: 2, Concurrency: 4})
		var wg sync.WaitGroup
		wg.Go(func() { tr.Complete(t.Context(), prompt("first")) })
		synctest.Wait()
		wg.Go(func() { tr.Complete(t.Context(), prompt("second")) })
		wg.Wait()
		if len(at) != 3 || at[1] < time.Minute || at[2] < time.Minute {
			t.Errorf("calls at %v; the provider asked for a minute of silence", at)
		}
	})
}

func TestTooLongRetryAfterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		tr := transport(func(context.Context, Request) (*Response, error) {
			n++
			return nil, &Error{Kind: KindRate, RetryAfter: 24 * time.Hour}
		}, Options{MaxRetries: 5})
		_, err := tr.Complete(t.Context(), prompt("p"))
		if KindOf(err) != KindRate || n != 1 {
			t.Errorf("%d calls, %v", n, err)
		}
	})
}

func TestConcurrencyAdapts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy, peak atomic.Int64
		var limited atomic.Bool
		tr := transport(func(context.Context, Request) (*Response, error) {
			n := busy.Add(1)
			defer busy.Add(-1)
			for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
			}
			time.Sleep(time.Second)
			if limited.Load() && n > 2 {
				return nil, &Error{Kind: KindRate}
			}
			return ok("fine"), nil
		}, Options{Concurrency: 8, MaxRetries: 50, MaxBackoff: 2 * time.Second})
		run := func(from, to int) {
			var wg sync.WaitGroup
			for i := from; i < to; i++ {
				wg.Go(func() {
					if _, err := tr.Complete(t.Context(), prompt(fmt.Sprint(i))); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		run(0, 40)
		if p := peak.Load(); p != 8 {
			t.Errorf("peak %d, want the limit of 8", p)
		}
		limited.Store(true)
		run(100, 130)
		if _, limit := tr.gate.state(); limit > 4 {
			t.Errorf("limit %d after many 429s, want it near what the provider can take", limit)
		}
		limited.Store(false)
		run(200, 300)
		if _, limit := tr.gate.state(); limit != 8 {
			t.Errorf("limit %d after recovery, want 8", limit)
		}
	})
}

func TestRPM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := transport(func(context.Context, Request) (*Response, error) { return ok("x"), nil },
			Options{Concurrency: 16, RPM: 600})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 301 {
			wg.Go(func() { tr.Complete(t.Context(), prompt(fmt.Sprint(i))) })
		}
		wg.Wait()
		if d := time.Since(start); d < 30*time.Second || d > 31*time.Second {
			t.Errorf("301 requests at 600 a minute took %s, want 30 s", d)
		}
	})
}

func TestTimeoutIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		tr := transport(func(ctx context.Context, _ Request) (*Response, error) {
			if n++; n < 3 {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return ok("at last"), nil
		}, Options{Timeout: time.Minute, MaxRetries: 2})
		r, err := tr.Complete(t.Context(), prompt("p"))
		if err != nil || r.Text != "at last" || tr.Stats().Errors[KindTimeout] != 2 {
			t.Errorf("%v, %v, %+v", r, err, tr.Stats())
		}
	})
}

func TestCancellation(t *testing.T) {
	cause := errors.New("interrupted")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		tr := transport(func(ctx context.Context, _ Request) (*Response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, Options{MaxRetries: 5, Timeout: time.Hour})
		go func() { time.Sleep(time.Second); cancel(cause) }()
		_, err := tr.Complete(ctx, prompt("p"))
		if !errors.Is(err, cause) || tr.Stats().Calls != 1 {
			t.Errorf("%v after %d calls", err, tr.Stats().Calls)
		}
	})
}

// A call of the simulated provider that its caller gave up is no error of the provider, and
// its cause no failure of the call.
func TestCancellationOfTheSimulatedProvider(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := &Error{Kind: KindServer, Message: "of another request"}
	cancel(cause)
	tr := NewTransport(Provider{Name: Simulated, Client: clientFunc(func(ctx context.Context, _ Request) (*Response, error) {
		return nil, context.Cause(ctx)
	})}, Options{})
	_, err := tr.Complete(ctx, prompt("p"))
	var e *Error
	if !errors.Is(err, cause) || errors.As(err, &e) || len(tr.Stats().Errors) > 0 {
		t.Errorf("error %v, counted %v", err, tr.Stats().Errors)
	}
}

// A call that ends because another request failed is not counted as that failure, and its
// budget counts it in full: the provider may have answered it.
func TestCancellationByAnotherRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := NewBudget(Limits{Tokens: 10_000}, nil)
		if err != nil {
			t.Fatal(err)
		}
		tr := transport(func(ctx context.Context, r Request) (*Response, error) {
			if strings.Contains(r.Messages[0].Content, "bad") {
				time.Sleep(time.Second)
				return nil, &Error{Kind: KindInvalid, Status: 400}
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}, Options{Concurrency: 2, Budget: b})
		bad := errors.New("none")
		err = InOrder(t.Context(), NewWorkers(2), 2, func(yield func(Row, error) bool) {
			for _, text := range []string{"bad", "good"} {
				ask := func(ctx context.Context) error {
					_, err := tr.Complete(ctx, prompt(text))
					if text == "bad" {
						bad = err
					}
					return err
				}
				if !yield(Row{Tasks: []func(context.Context) error{ask}, Done: func() error { return nil }}, nil) {
					return
				}
			}
		})
		s := tr.Stats()
		if !errors.Is(err, bad) || s.Calls != 2 || s.Errors[KindInvalid] != 1 || len(s.Errors) != 1 {
			t.Errorf("%v, %+v", err, s)
		}
		if got, want := b.spent.Tokens, worstCase(prompt("good"), nil).Tokens; got != want {
			t.Errorf("%d tokens counted, want %d", got, want)
		}
	})
}

func TestMemo(t *testing.T) {
	n := 0
	finish := FinishLength
	memo := &llmtest.Memo{}
	client := clientFunc(func(_ context.Context, r Request) (*Response, error) {
		n++
		return &Response{Text: fmt.Sprint("answer ", n), FinishReason: finish, Raw: []byte(`{"id":1}`)}, nil
	})
	tr := transport(client, Options{Memo: memo})
	for range 3 {
		r, err := tr.Complete(context.Background(), prompt("p"))
		if err != nil || r.Text != "answer 1" || r.FinishReason != FinishLength || string(r.Raw) != `{"id":1}` {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	other := prompt("p")
	other.Replicate = 1
	if r, _ := tr.Complete(context.Background(), other); r.Text != "answer 2" {
		t.Errorf("replicate 1 got %q", r.Text)
	}
	if s := tr.Stats(); s.Calls != 2 || s.MemoHits != 2 || s.Requests != 4 {
		t.Errorf("%+v", s)
	}
}

func TestErrorsAreNeverHits(t *testing.T) {
	fail := true
	memo := &llmtest.Memo{}
	tr := transport(func(context.Context, Request) (*Response, error) {
		if fail {
			return nil, &Error{Kind: KindInvalid}
		}
		return ok("now"), nil
	}, Options{Memo: memo})
	if _, err := tr.Complete(context.Background(), prompt("p")); err == nil || memo.Len() != 0 {
		t.Fatalf("%v, %d entries", err, memo.Len())
	}
	fail = false
	if r, err := tr.Complete(context.Background(), prompt("p")); err != nil || r.Text != "now" {
		t.Errorf("%v, %v", r, err)
	}
}

func TestCorruptMemoEntryHeals(t *testing.T) {
	memo := &llmtest.Memo{}
	key, err := RequestKey(prompt("p"), "test", "here")
	if err != nil {
		t.Fatal(err)
	}
	for _, junk := range []string{"", "{", "null", `{"text":"half"`, `{"text":1}`} {
		if err := memo.Put(key, []byte(junk)); err != nil {
			t.Fatal(err)
		}
		tr := transport(func(context.Context, Request) (*Response, error) { return ok("good"), nil }, Options{Memo: memo})
		for range 2 {
			if r, err := tr.Complete(context.Background(), prompt("p")); err != nil || r.Text != "good" {
				t.Fatalf("%q: %v, %v", junk, r, err)
			}
		}
		if s := tr.Stats(); s.Calls != 1 || s.MemoHits != 1 {
			t.Errorf("%q: %+v", junk, s)
		}
	}
}

type brokenMemo struct{ llmtest.Memo }

func (*brokenMemo) Put([32]byte, []byte) error { return errors.New("disk full") }

func TestMemoThatCannotRecordIsFatal(t *testing.T) {
	tr := transport(func(context.Context, Request) (*Response, error) { return ok("x"), nil }, Options{Memo: &brokenMemo{}, MaxRetries: 3})
	_, err := tr.Complete(context.Background(), prompt("p"))
	if k := KindOf(err); k != KindMemo || !k.Fatal() || !strings.Contains(err.Error(), "disk full") || tr.Stats().Calls != 1 {
		t.Errorf("%v", err)
	}
}

func TestSameRequestInFlightIsSharedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := transport(func(context.Context, Request) (*Response, error) {
			time.Sleep(time.Second)
			return ok("one"), nil
		}, Options{Concurrency: 8, Memo: &llmtest.Memo{}})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if r, err := tr.Complete(t.Context(), prompt("p")); err != nil || r.Text != "one" {
					t.Errorf("%v, %v", r, err)
				}
			})
		}
		wg.Wait()
		if s := tr.Stats(); s.Calls != 1 || s.Shared != 7 {
			t.Errorf("%+v", s)
		}
	})
}

func TestFollowerSurvivesItsLeadersCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := atomic.Int64{}
		tr := transport(func(ctx context.Context, _ Request) (*Response, error) {
			n.Add(1)
			select {
			case <-time.After(time.Minute):
				return ok("done"), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}, Options{Concurrency: 2})
		leader, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { tr.Complete(leader, prompt("p")) })
		synctest.Wait()
		wg.Go(func() {
			if r, err := tr.Complete(t.Context(), prompt("p")); err != nil || r.Text != "done" {
				t.Errorf("%v, %v", r, err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		if n.Load() != 2 {
			t.Errorf("%d calls, want 2", n.Load())
		}
	})
}

func TestHintIsDroppedAndKeptByName(t *testing.T) {
	var got *Hint
	client := clientFunc(func(_ context.Context, r Request) (*Response, error) { got = r.Hint; return ok("x"), nil })
	req := prompt("p")
	req.Hint = &Hint{Gold: "42"}
	for _, tc := range []struct {
		name string
		want bool
	}{{"openai", false}, {"gemini", false}, {"", false}, {"Simulated", false}, {Simulated, true}} {
		tr := NewTransport(Provider{Name: tc.name, Client: client}, Options{})
		if _, err := tr.Complete(context.Background(), req); err != nil {
			t.Fatal(err)
		}
		if (got != nil) != tc.want {
			t.Errorf("provider %q: hint %v", tc.name, got)
		}
	}
	if req.Hint == nil {
		t.Error("the caller's request was changed")
	}
}

// Property: whatever the provider does, the sum of what was sent and what is reserved never
// exceeds the limits.
func TestBudgetIsNeverExceeded(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			var mu sync.Mutex
			limits := Limits{Requests: 5 + rng.IntN(20), Tokens: 500 + rng.IntN(2000), USD: 0.001 + rng.Float64()/200}
			price := &Price{Input: 1, Output: 2}
			b, err := NewBudget(limits, nil)
			if err != nil {
				t.Fatal(err)
			}
			sent, tokens, usd := 0, 0, 0.0
			tr := transport(func(ctx context.Context, r Request) (*Response, error) {
				mu.Lock()
				u := Usage{PromptTokens: rng.IntN(r.PromptBytes() + 1), CompletionTokens: 1 + rng.IntN(r.MaxTokens)}
				sent++
				broken := rng.IntN(5) == 0
				if !broken {
					tokens += u.PromptTokens + u.CompletionTokens
					usd += price.usd(u)
				}
				d := time.Duration(rng.IntN(1000)) * time.Millisecond
				mu.Unlock()
				time.Sleep(d)
				if broken {
					return nil, &Error{Kind: KindServer}
				}
				return &Response{Text: "x", Usage: u}, nil
			}, Options{Concurrency: 1 + rng.IntN(8), MaxRetries: 2, Budget: b, Price: price})
			var wg sync.WaitGroup
			stopped := atomic.Int64{}
			for i := range 200 {
				wg.Go(func() {
					_, err := tr.Complete(t.Context(), prompt(fmt.Sprint("question number ", i)))
					if KindOf(err) == KindBudget {
						stopped.Add(1)
					}
				})
			}
			wg.Wait()
			if sent > limits.Requests || tokens > limits.Tokens || usd > limits.USD {
				t.Errorf("seed %d: %d requests, %d tokens, $%.5f exceed %+v", seed, sent, tokens, usd, limits)
			}
			if stopped.Load() == 0 {
				t.Errorf("seed %d: 200 requests fitted into %+v", seed, limits)
			}
			if b.reserved.Requests != 0 || b.reserved.Tokens != 0 || b.reserved.USD > 1e-9 {
				t.Errorf("seed %d: %+v is still reserved", seed, b.reserved)
			}
		})
	}
}

func TestMemoHitsAreFree(t *testing.T) {
	b, err := NewBudget(Limits{Requests: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := transport(func(context.Context, Request) (*Response, error) { return ok("x"), nil }, Options{Memo: &llmtest.Memo{}, Budget: b})
	for range 3 {
		if _, err := tr.Complete(context.Background(), prompt("p")); err != nil {
			t.Fatal(err)
		}
	}
	_, err = tr.Complete(context.Background(), prompt("another"))
	var be *BudgetError
	if !errors.As(err, &be) || be.What != "requests" || be.Limit != 1 || be.Spent != 1 {
		t.Errorf("%v", err)
	}
}

func BenchmarkMemoHit(b *testing.B) {
	tr := transport(func(context.Context, Request) (*Response, error) { return ok("x"), nil }, Options{Memo: &llmtest.Memo{}})
	b.ReportAllocs()
	for range b.N {
		if _, err := tr.Complete(context.Background(), prompt("p")); err != nil {
			b.Fatal(err)
		}
	}
}
