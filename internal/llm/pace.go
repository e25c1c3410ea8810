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
// limit, up to the limit. A nil *pace does not wait.
type pace struct {
	max     float64 // requests a second
	limiter *rate.Limiter

	mu      sync.Mutex
	lowered time.Time
}

func newPace(rpm float64) *pace {
	if rpm <= 0 {
		return nil
	}
	r := rpm * (1 - rpmMargin) / 60
	// A burst of one spreads requests evenly, so that a provider which counts in windows
	// shorter than a minute sees no peak.
	return &pace{max: r, limiter: rate.NewLimiter(rate.Limit(r), 1)}
}

func (p *pace) wait(ctx context.Context) error {
	if p == nil {
		return nil
	}
	err := p.limiter.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (p *pace) note(err error, now time.Time) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
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
// before, so that its estimate is taken first and the difference given back after. A nil
// *tokens does not wait.
type tokens struct {
	perSecond float64
	size      float64

	mu      sync.Mutex
	level   float64 // may fall below zero: then the next call waits
	at      time.Time
	changed chan struct{} // closed and replaced when something is given back
}

// tpmSeconds is how many seconds' worth of tokens may be used at once.
const tpmSeconds = 6

func newTokens(tpm float64) *tokens {
	if tpm <= 0 {
		return nil
	}
	r := tpm * (1 - rpmMargin) / 60
	return &tokens{perSecond: r, size: r * tpmSeconds, level: r * tpmSeconds, at: time.Now(), changed: make(chan struct{})}
}

// estimate is what a provider will count for a request: about four bytes a token, and the
// whole of the allowed answer.
func estimate(req Request) float64 {
	answer := req.MaxTokens
	if answer == 0 {
		answer = 1024
	}
	return float64(req.PromptBytes()/4 + 16*len(req.Messages) + answer)
}

// take waits until n tokens are free. One request larger than the bucket waits for a full
// bucket and leaves a debt.
func (b *tokens) take(ctx context.Context, n float64) error {
	if b == nil {
		return nil
	}
	for {
		b.mu.Lock()
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
	if b == nil || taken == used {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.level = min(b.size, b.level+taken-used)
	if taken > used {
		close(b.changed)
		b.changed = make(chan struct{})
	}
}
