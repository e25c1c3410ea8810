package providers

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/llm"
)

// Caller asks one model, and others in turn for what it cannot answer. It is safe for
// concurrent use.
type Caller struct {
	settings Settings
	start    time.Time
	links    []*link
	budget   *llm.Budget
	ledger   *llm.Ledger
	batches  *llm.Batches // of the first link; nil: none
	notify   func(string)

	fallbacks atomic.Int64 // answers that a later link gave
	again     atomic.Int64 // further tries that retry_on bought

	offline    bool         // nobody may be called
	unanswered atomic.Int64 // further tries that failed and may succeed later
}

// link is one model of the chain.
type link struct {
	Fallback
	provider  llm.Provider
	model     string // name at the provider; "" for the simulated one
	name      string // provider/model, as records name who answered
	price     *llm.Price
	transport *llm.Transport
	here      bool        // it answers in this process
	out       atomic.Bool // it failed in a way that every request would
}

// account opens what the links share: the ledger of earlier runs and the budget. The
// simulated model has no account.
func (c *Caller) account(s Settings, svc Services) error {
	if c.links[0].provider.Name == llm.Simulated {
		return nil
	}
	var err error
	if svc.Memo != nil && svc.Scope != "" {
		if c.ledger, err = llm.OpenLedger(svc.Memo, svc.Scope); err != nil {
			return err
		}
	}
	c.budget, err = llm.NewBudget(s.Limits, c.ledger)
	return err
}

// Name is the first model as "provider/model".
func (c *Caller) Name() string { return c.links[0].name }

// Close records what was spent.
func (c *Caller) Close() error {
	for _, k := range c.links {
		k.transport.Close()
	}
	return c.ledger.Close()
}

// Concurrency is the number of callers worth having.
func (c *Caller) Concurrency() int {
	n := 0
	for _, k := range c.links {
		n = max(n, k.transport.Concurrency())
	}
	return n
}

// Steered are the fields of [Options] that [Caller.Set] changes.
var Steered = []string{"concurrency", "rpm", "budget_usd"}

// Set changes a field while answers are bought: concurrency and rpm of the first model, or
// budget_usd. The value is one that [Options.Validate] finds good.
func (c *Caller) Set(field string, v float64) error {
	switch field {
	case "concurrency":
		c.links[0].transport.SetConcurrency(int(v))
	case "rpm":
		c.links[0].transport.SetRPM(v)
	case "budget_usd":
		for _, k := range c.links {
			if k.price == nil && v > 0 {
				return fmt.Errorf("budget_usd: %w", unknownPrice(k.Fallback))
			}
		}
		c.budget.SetUSD(v)
	}
	return nil
}

// Complete returns the answer to req, whose Model and Thinking the caller fills in. An answer that was
// ever bought from any of the models is taken before one is bought. The response names its
// provider. When the further try that retry_on buys fails, the first answer stays.
func (c *Caller) Complete(ctx context.Context, req llm.Request) (*llm.Response, error) {
	r, err := c.chain(ctx, req)
	if err != nil || req.Try != 0 || !c.settings.again(r) {
		return r, err
	}
	c.again.Add(1)
	req.Try = 1
	second, err := c.chain(ctx, req)
	switch kind := llm.KindOf(err); {
	case err == nil && !c.settings.again(second):
		return second, nil
	case err == nil, c.offline:
	case ctx.Err() != nil || kind.Fatal():
		return nil, err
	case kind != llm.KindInvalid:
		c.unanswered.Add(1)
	}
	return r, nil
}

func (c *Caller) chain(ctx context.Context, req llm.Request) (*llm.Response, error) {
	if len(c.links) > 1 {
		for _, k := range c.links {
			r, err := k.transport.Recall(c.to(k, req))
			if err != nil {
				return nil, err
			}
			if r != nil {
				return c.sign(k, r), nil
			}
		}
	}
	var last error
	for i, k := range c.links {
		if k.out.Load() && i < len(c.links)-1 {
			continue
		}
		r, err := k.transport.Complete(ctx, c.to(k, req))
		if err == nil {
			if i > 0 {
				c.fallbacks.Add(1)
			}
			return c.sign(k, r), nil
		}
		last = err
		kind := llm.KindOf(err)
		if ctx.Err() != nil || kind == llm.KindBudget || kind == llm.KindMemo || kind == llm.KindInternal {
			return nil, err
		}
		if kind.Fatal() && i < len(c.links)-1 && !k.out.Swap(true) {
			c.notify(fmt.Sprintf("%s is not asked again in this run (%v); %s is asked in its place", k.name, err, c.links[i+1].name))
		}
	}
	return nil, last
}

// sign says who answered and sets thoughts apart, in a copy: callers that share one call
// share its response.
func (c *Caller) sign(k *link, r *llm.Response) *llm.Response {
	s := *r
	s.Provider = k.name
	splitThoughts(&s, c.settings.ThoughtTags)
	return &s
}

// Stats adds up the counters of all models.
func (c *Caller) Stats() llm.Stats {
	s := c.links[0].transport.Stats()
	for _, k := range c.links[1:] {
		s = s.Plus(k.transport.Stats())
	}
	return s
}

// Figures is what the run's record keeps: the counters by name, without zeros.
func (c *Caller) Figures() map[string]float64 {
	f := c.Stats().Figures()
	if d := time.Since(c.start).Seconds(); f["calls"] > 0 && d > 0 {
		f["calls_per_second"] = f["calls"] / d
	}
	if n := c.fallbacks.Load(); n > 0 {
		f["fallbacks"] = float64(n)
	}
	if n := c.again.Load(); n > 0 {
		f["retries_on_answer"] = float64(n)
	}
	if v := c.batches.View(); v.Batches > 0 {
		f["batches"] = float64(v.Batches)
		if v.Expired > 0 {
			f["batch_unanswered"] = float64(v.Expired)
		}
	}
	if c.ledger != nil {
		t := c.ledger.Totals()
		if n := t.Held.Requests; n > 0 {
			f["batch_held"] = float64(n)
		}
		if t.Lost.Requests > 0 {
			f["lost_calls"] = float64(t.Lost.Requests)
		}
		if spent := c.budget.Spent().USD; spent > 0 {
			f["usd_all_runs"] = spent
		}
	}
	return f
}

// Missing says why a later run may give better answers, or "".
func (c *Caller) Missing() string {
	if n := c.unanswered.Load(); n > 0 {
		return fmt.Sprintf("%s of retry_on failed and may succeed later", text.Plural(int(n), "further try"))
	}
	return ""
}

// Spent is what this run and the earlier ones it goes on from have spent.
func (c *Caller) Spent() llm.Charge { return c.budget.Spent() }
