package providers

import (
	"context"
	"iter"

	"github.com/distillflow/distillflow/internal/llm"
)

// How requests reach the first model.
const (
	ModeSync  = "sync"  // each in a call of its own
	ModeBatch = "batch" // through the provider's batch API
	ModeAuto  = "auto"  // in batches where there are many
)

// BatchOptions are the config fields of the provider's batch API. They say how an answer
// is fetched and never which, so that none of them counts for a result.
type BatchOptions struct {
	Mode       string   `json:"mode" default:"sync" choices:"sync|batch|auto" semantic:"false" doc:"How model is asked: sync sends one call per prompt; batch uses the provider's batch API, which takes hours and usually costs half; auto uses batches from batch_min prompts on. Fallbacks get calls. The answers go to the same memo."`
	BatchMin   int      `json:"batch_min" default:"1000" min:"1" semantic:"false" doc:"mode: auto uses batches when at least this many answers are missing."`
	BatchMax   int      `json:"batch_max" default:"0" min:"0" semantic:"false" doc:"Most prompts in one batch; 0: as many as the provider accepts. Accounts have a limit on the tokens that wait in batches."`
	PollMin    float64  `json:"poll_min" default:"10" min:"0.001" semantic:"false" doc:"Seconds between two queries about a batch, at first."`
	PollMax    float64  `json:"poll_max" default:"300" min:"0.001" semantic:"false" doc:"Most seconds between two queries about a batch; never less than poll_min."`
	BatchWait  float64  `json:"batch_wait" default:"93600" min:"0" semantic:"false" doc:"Seconds that one run waits for batches; 0: for ever. After that the stage ends incomplete, the batches stay, and the next run collects them. Providers end a batch after 24 hours."`
	PriceBatch *float64 `json:"price_batch" min:"0" max:"1" semantic:"false" doc:"Factor on the prices of prompts in batches. Default: that of the price table, and 1 for prices that are set here."`
}

// transportOptions gives what the transport needs.
func (o BatchOptions) transportOptions() llm.BatchOptions {
	return llm.BatchOptions{MaxRequests: o.BatchMax, MinPoll: seconds(o.PollMin), MaxPoll: seconds(o.PollMax), MaxWait: seconds(o.BatchWait)}
}

// openBatches prepares what Fetch needs. A first model without a batch API that costs nothing
// (the simulated one) is asked by calls whatever the mode: recipes are tried with it. In
// mode sync only what an earlier run has in flight is fetched.
func (c *Caller) openBatches(s Settings, svc Services) error {
	k := c.links[0]
	_, can := k.provider.Client.(llm.BatchClient)
	o := s.Batches
	o.Fault, o.Price = svc.Fault, k.price.InBatch()
	switch s.Mode {
	case ModeBatch:
	case ModeAuto:
		o.AutoBelow = max(s.BatchMin, 1)
	default:
		if c.ledger == nil || c.ledger.Held() == 0 {
			return nil
		}
		o.OnlyResume = true
	}
	if !can || svc.Memo == nil {
		return nil
	}
	var err error
	c.batches, err = k.transport.NewBatches(o)
	return err
}

// Fetch buys through the provider's batch API, where the mode says so, what the requests
// of seq still need; Complete then gives the answers. seq is read more than once, and each
// of its requests is one that Complete will be asked. It waits for as long as that takes,
// and returns an error only for what would fail every request.
func (c *Caller) Fetch(ctx context.Context, seq iter.Seq2[llm.Request, error]) error {
	if c.batches == nil || llm.Intercepted(ctx) { // who intercepts is asked one by one
		return nil
	}
	k := c.links[0]
	return c.batches.Fetch(ctx, func(yield func(llm.Request, error) bool) {
		for req, err := range seq {
			if err != nil {
				yield(req, err)
				return
			}
			req.Hint = nil
			if known, err := c.elsewhere(req); known || err != nil {
				if err != nil {
					yield(req, err)
					return
				}
				continue
			}
			req = c.to(k, req)
			if !yield(req, nil) {
				return
			}
			if len(c.settings.RetryOn) == 0 {
				continue
			}
			r, err := k.transport.Peek(req)
			if err == nil && (r == nil || !c.settings.again(c.sign(k, r))) {
				continue
			}
			req.Try = 1
			if !yield(req, err) || err != nil {
				return
			}
		}
	})
}

// elsewhere reports whether a fallback has answered a request before.
func (c *Caller) elsewhere(req llm.Request) (bool, error) {
	for _, k := range c.links[1:] {
		if r, err := k.transport.Peek(c.to(k, req)); r != nil || err != nil {
			return r != nil, err
		}
	}
	return false, nil
}
