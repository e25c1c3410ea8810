package llm

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Limits bounds what one run of a stage may buy. A zero field is unlimited. Answers from
// the memo are free.
type Limits struct {
	Requests int
	Tokens   int
	USD      float64
}

// Price is what a provider charges, in US dollars per million tokens.
type Price struct {
	Input  float64 `json:"input"`
	Output float64 `json:"output"`
}

func (p Price) usd(prompt, completion int) float64 {
	return (float64(prompt)*p.Input + float64(completion)*p.Output) / 1e6
}

// BudgetError says that the next call could cross a limit. Everything bought so far is
// kept; a higher limit continues from there.
type BudgetError struct {
	What  string // "requests", "tokens" or "usd"
	Limit float64
	Spent float64
	Next  float64 // the worst case of the call that was not made
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("budget_%s %g is used up: %g spent, and the next call may need %g; raise it and run again, answers already bought are kept",
		e.What, e.Limit, e.Spent, e.Next)
}

// Budget keeps the sum of what is spent and what calls in flight may still cost below its
// limits. It is safe for concurrent use. A nil *Budget allows everything.
type Budget struct {
	limits Limits
	price  *Price

	mu       sync.Mutex
	spent    charge
	reserved charge
	settled  chan struct{} // closed and replaced at every settlement
}

type charge struct {
	requests int
	tokens   int
	usd      float64
}

// NewBudget returns a budget, or nil when no limit is set. price may be nil unless there
// is a dollar limit.
func NewBudget(l Limits, price *Price) (*Budget, error) {
	if l == (Limits{}) {
		return nil, nil
	}
	if l.Requests < 0 || l.Tokens < 0 || l.USD < 0 {
		return nil, fmt.Errorf("budget: a limit is negative")
	}
	if l.USD > 0 && price == nil {
		return nil, fmt.Errorf("budget_usd needs the price of the model: set price_input and price_output in dollars per million tokens")
	}
	return &Budget{limits: l, price: price, settled: make(chan struct{})}, nil
}

// worstCase bounds the cost of one attempt. No byte-level tokenizer makes more tokens than
// there are bytes; 16 a message covers the chat template.
func (b *Budget) worstCase(req Request) charge {
	prompt := req.PromptBytes() + 16*len(req.Messages)
	c := charge{requests: 1, tokens: prompt + req.MaxTokens}
	if b.price != nil {
		c.usd = b.price.usd(prompt, req.MaxTokens)
	}
	return c
}

// reserve holds the worst case of one attempt. When only calls in flight stand in the way
// it waits for them: most cost less than their worst case. It fails with a *BudgetError
// when nothing in flight can make room.
func (b *Budget) reserve(ctx context.Context, req Request) (charge, error) {
	if b == nil {
		return charge{}, nil
	}
	want := b.worstCase(req)
	for {
		b.mu.Lock()
		err := b.over(want)
		if err == nil {
			b.reserved = b.reserved.plus(want, 1)
			b.mu.Unlock()
			return want, nil
		}
		wait, inFlight := b.settled, b.reserved.requests > 0
		b.mu.Unlock()
		if !inFlight {
			return charge{}, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return charge{}, context.Cause(ctx)
		}
	}
}

func (b *Budget) over(want charge) error {
	l := b.limits
	if n := b.spent.requests + b.reserved.requests + want.requests; l.Requests > 0 && n > l.Requests {
		return &BudgetError{"requests", float64(l.Requests), float64(b.spent.requests), 1}
	}
	if n := b.spent.tokens + b.reserved.tokens + want.tokens; l.Tokens > 0 && n > l.Tokens {
		return &BudgetError{"tokens", float64(l.Tokens), float64(b.spent.tokens), float64(want.tokens)}
	}
	if n := b.spent.usd + b.reserved.usd + want.usd; l.USD > 0 && n > l.USD {
		return &BudgetError{"usd", l.USD, b.spent.usd, want.usd}
	}
	return nil
}

// settle replaces a reservation by what the attempt cost. An attempt that may have been
// billed though its answer was lost (a timeout, a cut connection, an unreadable body)
// counts with its whole reservation.
func (b *Budget) settle(held charge, resp *Response, err error) {
	if b == nil {
		return
	}
	actual := charge{requests: 1}
	switch {
	case err == nil && resp.Usage != (Usage{}):
		actual.tokens = resp.Usage.PromptTokens + resp.Usage.CompletionTokens
		if b.price != nil {
			actual.usd = b.price.usd(resp.Usage.PromptTokens, resp.Usage.CompletionTokens)
		}
	case err == nil, mayBeBilled(err):
		actual = held
	}
	b.mu.Lock()
	b.reserved = b.reserved.plus(held, -1)
	b.spent = b.spent.plus(actual, 1)
	close(b.settled)
	b.settled = make(chan struct{})
	b.mu.Unlock()
}

func mayBeBilled(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return true // the caller went away while the provider was at work
	}
	switch e.Kind {
	case KindTimeout, KindNetwork, KindMalformed:
		return true
	}
	return false
}

func (c charge) plus(d charge, sign int) charge {
	return charge{c.requests + sign*d.requests, c.tokens + sign*d.tokens, c.usd + float64(sign)*d.usd}
}
