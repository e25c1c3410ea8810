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

// membership is the part of one Transport in a limiter.
type membership struct {
	all *Limiters
	*limiter
	own *pacing
}

// join gives the limiter of a key.
func (l *Limiters) join(key limiterKey, p pacing) membership {
	if l == nil {
		l = &Limiters{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = map[limiterKey]*limiter{}
	}
	lim := l.m[key]
	if lim == nil {
		lim = newLimiter(p)
		l.m[key] = lim
	}
	m := membership{l, lim, &p}
	lim.members[m.own] = true
	lim.apply()
	return m
}

// leave ends the membership; it may be called twice.
func (m membership) leave() {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	delete(m.members, m.own)
	if len(m.members) == 0 {
		// What it has learnt of the provider stays for the next stage.
		return
	}
	m.apply()
}

// change sets what the Transport allows from now on.
func (m membership) change(f func(*pacing)) {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	f(m.own)
	if m.members[m.own] {
		m.apply()
	}
}

// allows is what the Transport allows, whatever the others do.
func (m membership) allows() pacing {
	m.all.mu.Lock()
	defer m.all.mu.Unlock()
	return *m.own
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
