package providers

import (
	"context"

	"github.com/distillflow/distillflow/internal/llm"
)

// OpenToExpect builds a caller that serves only [Caller.Expect]: it needs no API
// key, carries no budget and sends nothing.
func (o Options) OpenToExpect(ctx context.Context, priceFile string, memo llm.Memo) (*Caller, error) {
	s := o.Settings("", priceFile)
	s.Limits = llm.Limits{}
	svc := Services{Memo: memo, Getenv: func(name string) string {
		if name == OfflineEnv {
			return ""
		}
		return "none" // in place of a key, which is never sent
	}}
	if o.Refresh {
		svc.Refresh = "expected" // the name of no run: what was bought before does not count
	}
	return New(ctx, s, svc)
}

// Priced reports whether dollars can be told: the price of the first model is known.
func (c *Caller) Priced() bool { return c.links[0].price != nil }

// Expect tells what [Caller.Complete] would take for req, if the first model
// answers.
func (c *Caller) Expect(req llm.Request) (llm.Expectation, error) {
	var first llm.Expectation
	for i, k := range c.links {
		x, err := k.transport.Expect(c.to(k, req))
		if err != nil || x.Remembered {
			return x, err
		}
		if i == 0 {
			first = c.inBatch(x, k.price)
		}
	}
	if len(c.settings.RetryOn) > 0 {
		first.Most = first.Most.Plus(first.Most)
	}
	return first, nil
}

// inBatch is what a call takes under the mode.
func (c *Caller) inBatch(x llm.Expectation, p *llm.Price) llm.Expectation {
	if p == nil || p.Batch <= 0 {
		return x
	}
	switch c.settings.Mode {
	case ModeBatch:
		x.Least.USD *= p.Batch
		x.Most.USD *= p.Batch
	case ModeAuto:
		x.Least.USD *= p.Batch
	}
	return x
}
