package llm

import (
	"math"
	"sync"
)

// Limiters shares the limits of providers among the Transports of a process: a provider
// counts requests, tokens and calls in flight by account and model, whichever stage they
// come from. The zero value is ready; a nil *Limiters shares nothing.
type Limiters struct {
	mu sync.Mutex
	m  map[limiterKey]*limiter
}

type limiterKey struct{ provider, endpoint, model string }

// pacing is what one Transport allows.
type pacing struct {
	concurrency int
	rpm, tpm    float64 // 0: no limit
}

// limiter is the state that Transports with the same key share. Where their settings
// differ the lowest limit applies to all, for as long as its Transport is open.
type limiter struct {
	gate   *gate
	pace   *pace
	tokens *tokens

	members map[*pacing]bool
	now     pacing // in force
}

// join gives the limiter of a key. leave ends the membership and may be called twice.
func (l *Limiters) join(key limiterKey, p pacing) (lim *limiter, leave func()) {
	if l == nil {
		return newLimiter(p), func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = map[limiterKey]*limiter{}
	}
	lim = l.m[key]
	if lim == nil {
		lim = newLimiter(p)
		l.m[key] = lim
	}
	me := &p
	lim.members[me] = true
	lim.apply()
	return lim, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(lim.members, me)
		if len(lim.members) == 0 {
			// What it has learnt of the provider stays for the next stage.
			return
		}
		lim.apply()
	}
}

func newLimiter(p pacing) *limiter {
	return &limiter{gate: newGate(p.concurrency), pace: newPace(p.rpm), tokens: newTokens(p.tpm), members: map[*pacing]bool{}, now: p}
}

// apply puts the lowest limits into force.
func (l *limiter) apply() {
	all := pacing{concurrency: math.MaxInt, rpm: math.Inf(1), tpm: math.Inf(1)}
	for m := range l.members {
		all.concurrency = min(all.concurrency, m.concurrency)
		if m.rpm > 0 {
			all.rpm = min(all.rpm, m.rpm)
		}
		if m.tpm > 0 {
			all.tpm = min(all.tpm, m.tpm)
		}
	}
	if math.IsInf(all.rpm, 1) {
		all.rpm = 0
	}
	if math.IsInf(all.tpm, 1) {
		all.tpm = 0
	}
	if l.now == all {
		return // what the limiter has learnt stays
	}
	l.now = all
	l.gate.resize(all.concurrency)
	l.pace.set(all.rpm)
	l.tokens.set(all.tpm)
}
