package llm

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rpmMargin keeps the pace this much below the limit: the network squeezes requests
// together, and a provider counts when they arrive, not when they leave.
const rpmMargin = 0.015

// pace spreads requests evenly over time and adapts: a rate answer lowers the pace by a
// quarter, at most once a second; each good answer raises it by a two-hundredth of the
// limit, up to the limit.
type pace struct {
	mu      sync.Mutex
	limiter *rate.Limiter
	max     float64 // requests a second; 0: no limit
	lowered time.Time
	changed chan struct{} // closed and replaced when the limit is set
}

func newPace(rpm float64) *pace {
	p := &pace{changed: make(chan struct{})}
	p.set(rpm)
	return p
}

// set changes the limit, also for those that wait for their turn already.
func (p *pace) set(rpm float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.max = max(rpm, 0) * (1 - rpmMargin) / 60
	limit := rate.Limit(p.max)
	if p.max == 0 {
		limit = rate.Inf
	}
	// A burst of one spreads requests evenly, so that a provider which counts in windows
	// shorter than a minute sees no peak.
	p.limiter = rate.NewLimiter(limit, 1)
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait waits for the next turn, or until the context ends. (rate.Limiter.Wait would
// refuse at once when the turn comes after a deadline, which fails the row.)
func (p *pace) wait(ctx context.Context) error {
	for {
		p.mu.Lock()
		turn, changed := p.limiter.Reserve(), p.changed
		p.mu.Unlock()
		timer := time.NewTimer(turn.Delay())
		select {
		case <-timer.C:
			return nil
		case <-changed: // the turns of before no longer count
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			turn.Cancel() // the next one takes it
			return context.Cause(ctx)
		}
	}
}

func (p *pace) note(err error, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.max == 0 {
		return
	}
	r := float64(p.limiter.Limit())
	switch {
	case err == nil && r < p.max:
		p.limiter.SetLimit(rate.Limit(min(p.max, r+p.max/200)))
	case err != nil && KindOf(err) == KindRate && now.Sub(p.lowered) >= time.Second:
		p.lowered = now
		p.limiter.SetLimit(rate.Limit(max(p.max/20, r*0.75)))
	}
}

// tokens is a bucket for a limit of tokens a minute. What a call will use is not known
// before, so that its estimate is taken first and the difference given back after.
type tokens struct {
	mu        sync.Mutex
	perSecond float64 // 0: no limit
	size      float64
	level     float64 // may fall below zero: then the next call waits
	at        time.Time
	changed   chan struct{} // closed and replaced when something is given back
}

// tpmSeconds is how many seconds' worth of tokens may be used at once.
const tpmSeconds = 6

func newTokens(tpm float64) *tokens {
	b := &tokens{changed: make(chan struct{})}
	b.set(tpm)
	return b
}

// set changes the limit. A bucket that becomes smaller keeps its debt.
func (b *tokens) set(tpm float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.size
	b.perSecond = max(tpm, 0) * (1 - rpmMargin) / 60
	b.size = b.perSecond * tpmSeconds
	if old == 0 {
		b.level, b.at = b.size, time.Now()
	}
	b.level = min(b.level, b.size)
	close(b.changed)
	b.changed = make(chan struct{})
}

// estimate is what a provider will count for a request: about four bytes a token, and the
// whole of the allowed answer.
func estimate(req Request) float64 {
	answer := req.MaxTokens
	if answer == 0 {
		answer = 1024
	}
	return float64(req.sentBytes()/4 + 16*len(req.Messages) + answer)
}

// take waits until n tokens are free. One request larger than the bucket waits for a full
// bucket and leaves a debt.
func (b *tokens) take(ctx context.Context, n float64) error {
	for {
		b.mu.Lock()
		if b.perSecond == 0 {
			b.mu.Unlock()
			return nil
		}
		now := time.Now()
		b.level = min(b.size, b.level+now.Sub(b.at).Seconds()*b.perSecond)
		b.at = now
		need := min(n, b.size)
		if b.level >= need-1e-9 {
			b.level -= n
			b.mu.Unlock()
			return nil
		}
		wait := time.Duration((need-b.level)/b.perSecond*float64(time.Second)) + time.Microsecond
		changed := b.changed
		b.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-changed:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
		t.Stop()
	}
}

// giveBack corrects an estimate when the answer says what was used.
func (b *tokens) giveBack(taken, used float64) {
	if taken == used {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.perSecond == 0 {
		return
	}
	b.level = min(b.size, b.level+taken-used)
	if taken > used {
		close(b.changed)
		b.changed = make(chan struct{})
	}
}
