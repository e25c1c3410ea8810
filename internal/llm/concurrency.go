package llm

import (
	"context"
	"sync"
	"time"
)

// gate bounds the calls in flight and adapts the bound to the provider: additive increase
// and multiplicative decrease (AIMD, Chiu and Jain 1989). A rate answer halves the bound,
// at most once per round of calls; a round of good answers raises it by one, up to the
// maximum. A Retry-After holds back every new call, not only the one that received it.
type gate struct {
	mu      sync.Mutex
	max     int
	limit   int
	busy    int
	good    int       // good answers since the bound last moved
	grace   int       // answers still to come from before the last decrease
	until   time.Time // no new call before this
	changed chan struct{}
}

func newGate(limit int) *gate {
	return &gate{max: limit, limit: limit, changed: make(chan struct{})}
}

// enter waits for a place. Every successful enter is paired with one leave.
func (g *gate) enter(ctx context.Context) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		g.mu.Lock()
		wait := time.Until(g.until)
		if g.busy < g.limit && wait <= 0 {
			g.busy++
			g.mu.Unlock()
			return nil
		}
		changed := g.changed
		g.mu.Unlock()

		var timer <-chan time.Time
		if wait > 0 {
			t := time.NewTimer(wait)
			defer t.Stop()
			timer = t.C
		}
		select {
		case <-changed:
		case <-timer:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leave gives the place back and learns from the call's outcome.
func (g *gate) leave(err error, retryAfter time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	before := g.grace > 0 // it was sent before the last decrease
	if before {
		g.grace--
	}
	switch {
	case err == nil:
		g.good++
		if g.good >= g.limit && g.limit < g.max {
			g.limit++
			g.good = 0
		}
	case KindOf(err) == KindRate:
		if !before {
			g.limit = max(1, g.limit/2)
			g.grace = g.busy
		}
		g.good = 0
		if t := time.Now().Add(retryAfter); retryAfter > 0 && t.After(g.until) {
			g.until = t
		}
	}
	close(g.changed)
	g.changed = make(chan struct{})
}

// pause lets no new call begin before until, and then one at a time at first.
func (g *gate) pause(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until.After(g.until) {
		g.until = until
	}
	g.limit, g.good, g.grace = 1, 0, 0
	close(g.changed)
	g.changed = make(chan struct{})
}

// resize changes the greatest bound. A bound that had not been lowered follows it.
func (g *gate) resize(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limit == g.max || g.limit > limit {
		g.limit = limit
	}
	g.max = limit
	close(g.changed)
	g.changed = make(chan struct{})
}

// state returns the calls in flight and the present bound.
func (g *gate) state() (busy, limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy, g.limit
}
