package llm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/time/rate"
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
	Concurrency int            // calls in flight at most; below 1 counts as 1
	RPM         float64        // requests a minute at most; 0: no limit
	Timeout     time.Duration  // per attempt; 0: none
	MaxRetries  int            // further attempts after the first
	MinBackoff  time.Duration  // first wait before a retry; 0: 500 ms
	MaxBackoff  time.Duration  // longest wait of the backoff; 0: 60 s
	MaxWait     time.Duration  // longest Retry-After worth waiting for; 0: 10 min
	Memo        Memo           // nil: nothing is remembered
	Budget      *Budget        // nil: no limit
	Price       *Price         // nil: Stats.USD stays 0
	Jitter      func() float64 // in [0,1); nil: math/rand/v2. Tests make it constant
}

// Transport is a Client that makes a Provider fit for many paid requests. Create it with
// NewTransport; it is safe for concurrent use and needs no closing.
type Transport struct {
	p       Provider
	o       Options
	gate    *gate
	limiter *rate.Limiter
	flight  flight
	stats   counters
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
	t := &Transport{p: p, o: o, gate: newGate(o.Concurrency)}
	if o.RPM > 0 {
		// A burst of one spreads requests evenly, so that a provider which counts in
		// windows shorter than a minute sees no peak.
		t.limiter = rate.NewLimiter(rate.Limit(o.RPM/60), 1)
	}
	return t
}

// Stats returns the counters so far.
func (t *Transport) Stats() Stats {
	s := t.stats.snapshot()
	s.InFlight, s.Concurrency = t.gate.state()
	return s
}

// Concurrency is the number of callers worth having.
func (t *Transport) Concurrency() int { return t.o.Concurrency }

// Complete returns the answer to req, from the memo if it was ever bought. A truncated or
// refused answer is an answer. Errors are *Error or *BudgetError values, or the
// cancellation of ctx.
//
// The hint of req reaches only the provider named "simulated"; that one costs nothing, is
// deterministic, and therefore passes by the memo: what it says depends on the gold answer,
// which is no part of a memo key.
func (t *Transport) Complete(ctx context.Context, req Request) (*Response, error) {
	var resp *Response
	var err error
	if t.p.Name == Simulated {
		resp, err = t.p.Client.Complete(ctx, req)
		t.stats.add(func(s *Stats) { s.Calls++ })
		t.countAnswer(resp, err)
	} else {
		req.Hint = nil
		resp, err = t.remembered(ctx, req)
	}
	t.stats.add(func(s *Stats) {
		s.Requests++
		if err != nil {
			s.Failed++
			return
		}
		s.Finish[resp.FinishReason]++
		if resp.Text == "" {
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
		if t.o.Memo != nil {
			val, ok, err := t.o.Memo.Get(key)
			if err != nil {
				return nil, &Error{Kind: KindMemo, Provider: t.p.Name, Err: fmt.Errorf("reading the memo: %w", err)}
			}
			if ok {
				if r, ok := decodeMemo(val); ok {
					t.stats.add(func(s *Stats) { s.MemoHits++ })
					return r, nil
				}
			}
		}
		r, err := t.buy(ctx, req)
		if err != nil || t.o.Memo == nil {
			return r, err
		}
		val, err := encodeMemo(r)
		if err == nil {
			err = t.o.Memo.Put(key, val)
		}
		if err != nil {
			// Going on would buy answers that are lost at the next crash.
			return nil, &Error{Kind: KindMemo, Provider: t.p.Name, Err: fmt.Errorf("recording a paid answer: %w", err)}
		}
		return r, nil
	})
	if shared && err == nil {
		t.stats.add(func(s *Stats) { s.Shared++ })
	}
	return resp, err
}

// buy sends the request until it succeeds, cannot succeed, or runs out of attempts.
func (t *Transport) buy(ctx context.Context, req Request) (*Response, error) {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = t.o.MinBackoff, t.o.MaxBackoff
	attempts := 0
	resp, err := backoff.Retry(ctx, func() (*Response, error) {
		attempts++
		if attempts > 1 {
			t.stats.add(func(s *Stats) { s.Retries++ })
		}
		r, err := t.attempt(ctx, req)
		if err == nil {
			return r, nil
		}
		var e *Error
		if !errors.As(err, &e) || !e.Kind.Retryable() || e.RetryAfter > t.o.MaxWait {
			return nil, backoff.Permanent(err)
		}
		if e.RetryAfter > 0 {
			// A little later than asked, each caller differently: all were told the same.
			d := e.RetryAfter + time.Duration(t.o.Jitter()*float64(min(e.RetryAfter/10, time.Second)))
			return nil, &delayed{error: err, after: backoff.RetryAfterError{Duration: d}}
		}
		return nil, err
	}, backoff.WithBackOff(b), backoff.WithMaxTries(uint(max(t.o.MaxRetries, 0))+1), backoff.WithMaxElapsedTime(0))
	if err == nil {
		return resp, nil
	}
	var d *delayed
	if errors.As(err, &d) {
		err = d.error
	}
	var e *Error
	if errors.As(err, &e) {
		c := *e
		c.Attempts = attempts
		return nil, &c
	}
	return nil, err
}

// delayed carries a provider's wish to wait to the backoff loop.
type delayed struct {
	error
	after backoff.RetryAfterError
}

func (d *delayed) Unwrap() []error { return []error{d.error, &d.after} }

// attempt makes one call inside all limits.
func (t *Transport) attempt(ctx context.Context, req Request) (*Response, error) {
	if err := t.gate.enter(ctx); err != nil {
		return nil, err
	}
	var callErr error
	var wait time.Duration
	defer func() { t.gate.leave(callErr, wait) }()

	if t.limiter != nil {
		if err := t.limiter.Wait(ctx); err != nil {
			if c := context.Cause(ctx); c != nil {
				err = c
			}
			callErr = err
			return nil, err
		}
	}
	held, err := t.o.Budget.reserve(ctx, req)
	if err != nil {
		callErr = err
		return nil, err
	}
	t.stats.add(func(s *Stats) { s.Calls++ })
	resp, err := t.call(ctx, req)
	t.o.Budget.settle(held, resp, err)
	t.countAnswer(resp, err)
	var e *Error
	if errors.As(err, &e) {
		wait = e.RetryAfter
		if wait > t.o.MaxWait {
			wait = 0 // the call gives up instead; others find out for themselves
		}
	}
	callErr = err
	return resp, err
}

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
		if resp.FinishReason == "" {
			resp.FinishReason = FinishStop
		}
		return resp, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
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
	t.stats.add(func(s *Stats) {
		if err != nil {
			s.Errors[KindOf(err)]++
			return
		}
		s.PromptTokens += resp.Usage.PromptTokens
		s.CompletionTokens += resp.Usage.CompletionTokens
		if t.o.Price != nil {
			s.USD += t.o.Price.usd(resp.Usage.PromptTokens, resp.Usage.CompletionTokens)
		}
	})
}
