package llm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Provider is a client with the name and endpoint it answers for. Name and Endpoint enter
// the memo key.
type Provider struct {
	Name     string
	Endpoint string
	Client   Client
}

// Options tunes a Transport. The zero value works: one call at a time, no retry, no limit,
// no memo.
type Options struct {
	Model       string         // names, with the provider, whose limits these are
	Concurrency int            // calls in flight at most; below 1 counts as 1
	RPM         float64        // requests a minute at most; 0: no limit
	TPM         float64        // tokens a minute at most, prompts and answers; 0: no limit
	Timeout     time.Duration  // per attempt; 0: none
	MaxRetries  int            // further attempts after the first
	MinBackoff  time.Duration  // first wait before a retry; 0: 500 ms
	MaxBackoff  time.Duration  // longest wait of the backoff; 0: 60 s
	MaxWait     time.Duration  // longest Retry-After worth waiting for; 0: 10 min
	MaxOutage   time.Duration  // how long to wait, in pauses, for a provider that is down; 0: not at all
	Memo        Memo           // nil: nothing is remembered
	Recipe      string         // who buys, for [Account]; "": not recorded
	Refresh     string         // not "": buy every answer anew that was not bought under this name
	Budget      *Budget        // nil: no limit
	Price       *Price         // nil: Stats.USD stays 0
	Notify      func(string)   // told of pauses and of their end; nil: nobody is
	Limiters    *Limiters      // shares concurrency, RPM and TPM with other Transports; nil: with nobody
	Jitter      func() float64 // in [0,1); nil: math/rand/v2. Tests make it constant

	// Hold waits for as long as nothing may be sent; nil: never.
	Hold func(context.Context) error
}

// Transport is a Client that makes a Provider fit for many paid requests. Create it with
// NewTransport; it is safe for concurrent use. It needs closing only where it has Limiters.
type Transport struct {
	p Provider
	o Options
	membership
	busy    atomic.Int64
	breaker breaker
	flight  flight
	stats   counters

	oddReasons sync.Map // finish reasons seen
	batches    *Batches // nil: every request is a call of its own
}

// NewTransport wraps p.
func NewTransport(p Provider, o Options) *Transport {
	if o.Concurrency < 1 {
		o.Concurrency = 1
	}
	if o.MinBackoff <= 0 {
		o.MinBackoff = 500 * time.Millisecond
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = time.Minute
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 10 * time.Minute
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	if o.Hold == nil {
		o.Hold = func(context.Context) error { return nil }
	}
	t := &Transport{p: p, o: o, breaker: breaker{max: o.MaxOutage, threshold: max(10, o.Concurrency)}}
	t.membership = o.Limiters.join(limiterKey{p.Name, strings.TrimRight(p.Endpoint, "/"), o.Model},
		pacing{concurrency: o.Concurrency, rpm: o.RPM, tpm: o.TPM})
	return t
}

// Close ends the Transport's part in limits that it shares.
func (t *Transport) Close() { t.leave() }

// Stats returns the counters so far.
func (t *Transport) Stats() Stats {
	s := t.stats.snapshot()
	_, s.Concurrency = t.gate.state()
	s.InFlight = int(t.busy.Load())
	return s
}

// Concurrency is the number of callers worth having.
func (t *Transport) Concurrency() int { return t.allows().concurrency }

// SetConcurrency changes how many calls are in flight at most; below 1 counts as 1.
func (t *Transport) SetConcurrency(n int) { t.change(func(p *pacing) { p.concurrency = max(n, 1) }) }

// SetRPM changes how many requests a minute are sent at most; 0: no limit.
func (t *Transport) SetRPM(rpm float64) { t.change(func(p *pacing) { p.rpm = rpm }) }

// Complete returns the answer to req, from the memo if it was ever bought. A truncated or
// refused answer is an answer. Errors are *Error or *BudgetError values, or the
// cancellation of ctx.
//
// The hint of req reaches only the provider named "simulated"; that one costs nothing, is
// deterministic, and therefore not remembered: its answer depends on the gold answer, which
// is not part of a memo key.
func (t *Transport) Complete(ctx context.Context, req Request) (*Response, error) {
	resp, err := intercepted(ctx, t.p.Name, req, func(ctx context.Context) (*Response, error) {
		if t.p.Name != Simulated {
			req.Hint = nil
			return t.remembered(ctx, req)
		}
		if err := t.o.Hold(ctx); err != nil {
			return nil, err
		}
		r, err := t.p.Client.Complete(ctx, req)
		if err != nil && ctx.Err() != nil {
			err = &canceledError{context.Cause(ctx)}
		}
		t.stats.add(func(s *Stats) { s.Calls++ })
		t.countAnswer(r, err)
		return r, err
	})
	t.stats.add(func(s *Stats) {
		s.Requests++
		if err != nil {
			s.Failed++
			return
		}
		s.Finish[resp.FinishReason]++
		if strings.TrimSpace(resp.Text) == "" {
			s.Empty++
		}
	})
	return resp, err
}

func (t *Transport) remembered(ctx context.Context, req Request) (*Response, error) {
	key, err := RequestKey(req, t.p.Name, t.p.Endpoint)
	if err != nil {
		return nil, &Error{Kind: KindInvalid, Provider: t.p.Name, Err: err}
	}
	resp, shared, err := t.flight.do(ctx, key, func() (*Response, error) {
		r, to, err := t.recall(key)
		if err != nil || r != nil {
			return r, err
		}
		if err := t.batches.verdict(to); err != nil {
			return nil, err
		}
		return t.claimed(ctx, req, key, to)
	})
	if shared && err == nil {
		t.stats.add(func(s *Stats) { s.Shared++ })
	}
	return resp, err
}

// claimed buys the answer to a request that had none, to be recorded under a key, unless
// another process that shares the memo is buying it: then it waits for that one. While it
// waits it takes no place among the calls in flight and no budget.
func (t *Transport) claimed(ctx context.Context, req Request, key, to [32]byte) (*Response, error) {
	if t.o.Memo == nil {
		return t.buy(ctx, req, to)
	}
	// The request's own key also where a refreshing run records under a newer one: the
	// newest is not known before the claim.
	release, err := t.o.Memo.Claim(ctx, key, t.o.Notify)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &Error{Kind: KindMemo, Provider: t.p.Name, Err: fmt.Errorf("claiming a request: %w", err)}
	}
	defer release()
	r, to, err := t.recall(key)
	if err != nil || r != nil {
		return r, err
	}
	return t.buy(ctx, req, to)
}

// Recall returns the answer to req if it was ever bought, and nil if it was not.
func (t *Transport) Recall(req Request) (*Response, error) {
	r, err := t.Peek(req)
	if r != nil {
		t.stats.add(func(s *Stats) { s.MemoHits++ })
	}
	return r, err
}

// Peek is Recall without counting.
func (t *Transport) Peek(req Request) (*Response, error) {
	_, r, err := t.peek(req)
	return r, err
}

// peek also returns the key to record an answer under.
func (t *Transport) peek(req Request) (to [32]byte, r *Response, err error) {
	if t.p.Name == Simulated || t.o.Memo == nil {
		return to, nil, nil
	}
	key, err := RequestKey(req, t.p.Name, t.p.Endpoint)
	if err != nil {
		return to, nil, &Error{Kind: KindInvalid, Provider: t.p.Name, Err: err}
	}
	r, to, err = t.lookup(key)
	return to, r, err
}

// recall finds the newest answer bought for a request and counts it as a hit, unless this
// run has paid for it. Without one, or when a refreshing run wants a newer one, it returns
// the key to record it under.
func (t *Transport) recall(key [32]byte) (*Response, [32]byte, error) {
	r, at, err := t.lookup(key)
	if r != nil && !t.batches.paid(at) {
		t.stats.add(func(s *Stats) { s.MemoHits++ })
	}
	return r, at, err
}

// lookup returns an answer and the key it stands under, or nil and the key for a new one.
func (t *Transport) lookup(key [32]byte) (*Response, [32]byte, error) {
	if t.o.Memo == nil {
		return nil, key, nil
	}
	var newest *memoEntry
	at, to := key, key
	for n := 0; ; n++ {
		k := generationKey(key, n)
		val, ok, err := t.o.Memo.Get(k)
		if err != nil {
			return nil, key, &Error{Kind: KindMemo, Provider: t.p.Name, Err: fmt.Errorf("reading the memo: %w", err)}
		}
		if to = k; !ok {
			break
		}
		e, ok := decodeMemo(val)
		if !ok {
			break
		}
		newest, at = e, k
	}
	if newest == nil || t.o.Refresh != "" && newest.Refresh != t.o.Refresh {
		return nil, to, nil
	}
	return &newest.Response, at, nil
}

// buy sends the request until it succeeds, cannot succeed, or runs out of attempts. It
// records the answer under key.
func (t *Transport) buy(ctx context.Context, req Request, key [32]byte) (*Response, error) {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = t.o.MinBackoff, t.o.MaxBackoff
	attempts, left := 0, max(t.o.MaxRetries, 0)
	for {
		if attempts++; attempts > 1 {
			t.stats.add(func(s *Stats) { s.Retries++ })
		}
		r, o, err := t.attempt(ctx, req, key)
		if err == nil {
			return r, nil
		}
		var e *Error
		if !errors.As(err, &e) {
			return nil, err
		}
		if o.waiting {
			continue // the gate holds the next attempt back until the pause is over
		}
		if left--; left < 0 || !e.Kind.Retryable() || e.RetryAfter > t.o.MaxWait {
			c := *e
			c.Attempts = attempts
			return nil, &c
		}
		wait := b.NextBackOff()
		if e.RetryAfter > 0 {
			// A little later than asked, each caller differently: all were told the same.
			wait = e.RetryAfter + time.Duration(t.o.Jitter()*float64(min(e.RetryAfter/10, time.Second)))
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

// attempt makes one call inside all limits and records its answer.
func (t *Transport) attempt(ctx context.Context, req Request, key [32]byte) (resp *Response, o outage, err error) {
	if err := t.gate.enter(ctx); err != nil {
		return nil, o, err
	}
	t.busy.Add(1)
	var wait time.Duration
	defer func() {
		t.busy.Add(-1)
		t.gate.leave(err, wait)
	}()

	if err := t.pace.wait(ctx); err != nil {
		return nil, o, err
	}
	guess := estimate(req)
	if err := t.tokens.take(ctx, guess); err != nil {
		return nil, o, err
	}
	worst := worstCase(req, t.o.Price)
	held, err := t.o.Budget.reserve(ctx, key, worst, t.o.Price)
	if err != nil {
		t.tokens.giveBack(guess, 0)
		return nil, o, err
	}
	if err := t.o.Hold(ctx); err != nil { // last, so that nothing is sent once the run is paused
		t.tokens.giveBack(guess, 0)
		if serr := t.o.Budget.settle(held, Charge{}, false); serr != nil {
			err = serr
		}
		return nil, o, err
	}
	t.stats.add(func(s *Stats) { s.Calls++ })
	resp, err = t.call(ctx, req)
	now := time.Now()
	cost := actual(worst, t.o.Price, resp, err)
	t.tokens.giveBack(guess, used(resp, err, guess))
	t.countAnswer(resp, err)
	t.pace.note(err, now)
	o = t.note(err, now)
	merr := t.record(req, key, resp)
	if serr := t.o.Budget.settle(held, cost, err == nil && merr == nil); merr == nil {
		merr = serr
	}
	var e *Error
	switch {
	case merr != nil:
		// Going on would buy answers that are lost at the next crash.
		return nil, o, &Error{Kind: KindMemo, Provider: t.p.Name, Err: merr}
	case o.down:
		return nil, o, downError(t.p.Name, o.since, now, err)
	case errors.As(err, &e) && e.RetryAfter <= t.o.MaxWait:
		wait = e.RetryAfter // with a longer one the call gives up; others find out for themselves
	}
	return resp, o, err
}

// record puts an answer, if there is one, into the memo.
func (t *Transport) record(req Request, key [32]byte, r *Response) error {
	if r == nil || t.o.Memo == nil {
		return nil
	}
	val, err := encodeMemo(r, t.o.Refresh, t.bill(req.Model, t.o.Price, r))
	if err == nil {
		err = t.o.Memo.Put(key, val)
	}
	if err != nil {
		return fmt.Errorf("recording a paid answer: %w", err)
	}
	return nil
}

// used is how many tokens the provider counted.
func used(resp *Response, err error, guess float64) float64 {
	switch u := usageOf(resp, err); {
	case u != (Usage{}):
		return float64(u.PromptTokens + u.CompletionTokens)
	case err == nil || mayBeBilled(err):
		return guess
	}
	return 0
}

// note tells the breaker and obeys it.
func (t *Transport) note(err error, now time.Time) outage {
	t.breaker.mu.Lock()
	was := t.breaker.pauses > 0
	t.breaker.mu.Unlock()
	o := t.breaker.note(err, now)
	switch {
	case !o.pause.IsZero():
		t.gate.pause(o.pause)
		t.stats.add(func(s *Stats) { s.PausedUntil = o.pause })
		t.o.Notify(fmt.Sprintf("%s is down (%v); paused until %s, for at most %s in all",
			t.p.Name, KindOf(err), o.pause.Format(time.TimeOnly), t.o.MaxOutage))
	case was && err == nil:
		t.stats.add(func(s *Stats) { s.PausedUntil = time.Time{} })
		t.o.Notify(t.p.Name + " is back; going on")
	}
	return o
}

// canceledError is a call that its caller gave up. Where one failed request ends all, the
// cause is the [Error] of that request: it says nothing about this call, and so it can
// be compared, but not taken for this call's own.
type canceledError struct{ cause error }

func (e *canceledError) Error() string        { return e.cause.Error() }
func (e *canceledError) Is(target error) bool { return errors.Is(e.cause, target) }

// call is one attempt with its own deadline; every failure but the caller's own
// cancellation leaves as an *Error.
func (t *Transport) call(ctx context.Context, req Request) (*Response, error) {
	actx := ctx
	if t.o.Timeout > 0 {
		var cancel context.CancelFunc
		actx, cancel = context.WithTimeout(ctx, t.o.Timeout)
		defer cancel()
	}
	resp, err := t.p.Client.Complete(actx, req)
	switch {
	case err == nil && resp == nil:
		return nil, &Error{Kind: KindMalformed, Provider: t.p.Name, Message: "the client returned no response"}
	case err == nil:
		if err := t.finished(resp); err != nil {
			return nil, err
		}
		return resp, nil
	case ctx.Err() != nil:
		return nil, &canceledError{context.Cause(ctx)}
	case actx.Err() != nil:
		return nil, &Error{Kind: KindTimeout, Provider: t.p.Name, Err: err,
			Message: fmt.Sprintf("no answer within %s; a longer timeout may help", t.o.Timeout)}
	}
	var e *Error
	if errors.As(err, &e) {
		c := *e
		c.Provider = t.p.Name
		return nil, &c
	}
	return nil, &Error{Kind: KindOf(err), Provider: t.p.Name, Err: err}
}

func (t *Transport) countAnswer(resp *Response, err error) {
	var gone *canceledError
	t.stats.add(func(s *Stats) {
		if err != nil && !errors.As(err, &gone) {
			s.Errors[KindOf(err)]++
			s.Example = RowError(err)
		}
	})
	if err == nil {
		t.countCost(resp, t.o.Price)
	}
}

func (t *Transport) countCost(resp *Response, price *Price) {
	t.stats.add(func(s *Stats) {
		s.PromptTokens += resp.Usage.PromptTokens
		s.CompletionTokens += resp.Usage.CompletionTokens
		s.ReasoningTokens += resp.Usage.ReasoningTokens
		s.USD += price.usd(resp.Usage)
	})
}
