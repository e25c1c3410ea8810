package llm

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Limits bounds what a stage may buy, over all runs that work on the same result. A zero
// field is unlimited. Answers from the memo are free.
type Limits struct {
	Requests int
	Tokens   int
	USD      float64
}

// BudgetError says that the next call could cross a limit. Everything bought so far is
// kept; a higher limit continues from there.
type BudgetError struct {
	What  string // "requests", "tokens" or "usd"
	Limit float64
	Spent float64 // by this run and the earlier ones that it goes on from
	Next  float64 // the worst case of the call that was not made
}

func (e *BudgetError) Error() string {
	return fmt.Sprintf("budget_%s %g is used up: %g spent, and the next call may need %g; raise it and run again: answers that were bought are kept",
		e.What, e.Limit, e.Spent, e.Next)
}

// Permanent reports that another try of the stage changes nothing.
func (e *BudgetError) Permanent() bool { return true }

// BudgetSpent marks the error wherever it gets, also as a worker's message.
func (e *BudgetError) BudgetSpent() {}

// Budget keeps the sum of what is spent and what calls in flight may still cost below its
// limits, and writes both into a Ledger. It is safe for concurrent use, and several
// Transports may share one. A nil *Budget allows everything.
type Budget struct {
	limits Limits
	ledger *Ledger

	mu       sync.Mutex
	spent    Charge
	reserved Charge
	batches  Charge        // reserved for batches, which no call of this process waits for
	settled  chan struct{} // closed and replaced at every settlement
}

// NewBudget returns a budget that goes on from what the ledger says was spent. Without a
// ledger (nil) it starts from nothing.
func NewBudget(l Limits, ledger *Ledger) (*Budget, error) {
	if l.Requests < 0 || l.Tokens < 0 || l.USD < 0 {
		return nil, errors.New("budget: a limit is negative")
	}
	b := &Budget{limits: l, ledger: ledger, settled: make(chan struct{})}
	if ledger != nil {
		t := ledger.Totals()
		b.spent, b.batches = t.Settled.plus(t.Lost, 1), t.Held
	}
	return b, nil
}

// SetUSD changes the limit in dollars; 0: no limit.
func (b *Budget) SetUSD(usd float64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limits.USD = usd
	close(b.settled) // whoever waits for room looks again
	b.settled = make(chan struct{})
}

// hold is one reservation.
type hold struct {
	worst Charge
	id    int // in the ledger
}

// reserve holds the worst case of one attempt for the answer that key will name. When only
// calls in flight stand in the way it waits for them: most cost less than their worst
// case. It fails with a *BudgetError when nothing in flight can make room. When it returns,
// the reservation would survive a crash.
func (b *Budget) reserve(ctx context.Context, key [32]byte, want Charge, price *Price) (hold, error) {
	if b == nil {
		return hold{}, nil
	}
	for {
		b.mu.Lock()
		err := b.over(want)
		if err == nil {
			b.reserved = b.reserved.plus(want, 1)
			b.mu.Unlock()
			break
		}
		wait, inFlight := b.settled, b.reserved.Requests > 0
		b.mu.Unlock()
		if !inFlight {
			return hold{}, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return hold{}, context.Cause(ctx)
		}
	}
	h := hold{worst: want}
	if b.ledger != nil {
		var err error
		if h.id, err = b.ledger.reserve(key, want, price); err != nil {
			b.free(want, Charge{})
			return hold{}, err
		}
	}
	return h, nil
}

func (b *Budget) over(want Charge) error {
	l := b.limits
	all := b.spent.plus(b.reserved, 1).plus(b.batches, 1).plus(want, 1)
	spent := b.spent.plus(b.batches, 1)
	if l.Requests > 0 && all.Requests > l.Requests {
		return &BudgetError{"requests", float64(l.Requests), float64(spent.Requests), float64(want.Requests)}
	}
	if l.Tokens > 0 && all.Tokens > l.Tokens {
		return &BudgetError{"tokens", float64(l.Tokens), float64(spent.Tokens), float64(want.Tokens)}
	}
	if l.USD > 0 && all.USD > l.USD {
		return &BudgetError{"usd", l.USD, spent.USD, want.USD}
	}
	return nil
}

// settle replaces a reservation by what the attempt cost. answered says that the answer
// stands in the memo.
func (b *Budget) settle(h hold, cost Charge, answered bool) error {
	if b == nil {
		return nil
	}
	b.free(h.worst, cost)
	if b.ledger == nil {
		return nil
	}
	return b.ledger.settle(h.id, cost, answered)
}

func (b *Budget) free(held, cost Charge) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reserved = b.reserved.plus(held, -1)
	b.spent = b.spent.plus(cost, 1)
	close(b.settled)
	b.settled = make(chan struct{})
}

// Spent is what this run and the earlier ones it goes on from have spent.
func (b *Budget) Spent() Charge {
	if b == nil {
		return Charge{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent
}

func mayBeBilled(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return true // the caller went away while the provider was at work
	}
	if e.Status >= 200 && e.Status < 300 {
		return true // a generation that failed
	}
	switch e.Kind {
	case KindTimeout, KindNetwork, KindMalformed:
		return true
	}
	return false
}
