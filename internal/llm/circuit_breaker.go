package llm

import (
	"fmt"
	"sync"
	"time"
)

// Pauses of an open circuit: the first, and the longest after doubling.
const (
	firstPause   = 5 * time.Second
	longestPause = time.Minute
)

// breaker notices that a provider is down: a number of attempts in a row failed in a way
// that says nothing about the request. It then asks for pauses, each twice as long as the
// last, until an attempt succeeds or the outage has lasted for max.
type breaker struct {
	max       time.Duration // 0: no pauses; the run's failure policy decides alone
	threshold int

	mu     sync.Mutex
	fails  int
	since  time.Time // the first failure in a row
	until  time.Time // end of the present pause
	pauses int
}

// outage is what the breaker says about a failed attempt.
type outage struct {
	pause   time.Time // not zero: no new call before this
	waiting bool      // the circuit is open: the attempt does not count as one of its request's
	down    bool      // it has lasted too long
	since   time.Time
}

// note takes the outcome of an attempt.
func (b *breaker) note(err error, now time.Time) outage {
	if b.max <= 0 {
		return outage{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil || !KindOf(err).outage() {
		b.fails, b.pauses, b.since, b.until = 0, 0, time.Time{}, time.Time{}
		return outage{}
	}
	if b.fails == 0 {
		b.since = now
	}
	b.fails++
	o := outage{since: b.since}
	switch {
	case b.fails < b.threshold:
	case now.Sub(b.since) >= b.max:
		o.down = true
	case now.Before(b.until):
		o.waiting = true // sent before the pause began
	default:
		d := min(firstPause<<min(b.pauses, 10), longestPause, b.since.Add(b.max).Sub(now)+time.Millisecond)
		b.pauses++
		b.until = now.Add(d)
		o.pause, o.waiting = b.until, true
	}
	return o
}

func downError(provider string, since, now time.Time, err error) error {
	return &Error{Kind: KindDown, Provider: provider, Err: err, Message: fmt.Sprintf(
		"no answer since %s (%s), the last failure: %v; answers that were bought are kept; run again when the provider is back",
		since.Format(time.TimeOnly), now.Sub(since).Round(time.Second), err)}
}
