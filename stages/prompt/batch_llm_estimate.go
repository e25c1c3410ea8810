package prompt

import (
	"context"
	"errors"
	"fmt"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/schema"
)

// maxLookups is how many requests an estimate looks up: an estimate must be
// quick. Of the rest it only tells that they may be in the memo or not.
const maxLookups = 100_000

// Estimate implements [stage.Estimator]. It makes the requests of every row and
// looks each of them up in the memo; it needs no API key and sends nothing.
func (c batchConfig) Estimate(ctx context.Context, q stage.Question) (stage.Estimate, error) {
	rows := q.Rows("prompts")
	e := stage.Estimate{Rows: map[string]*stage.Range{"replies": rows, "errors": rows.Times(0, 1)}}
	from := q.Inputs["prompts"]
	if len(from) != 1 || from[0].Path == "" || rows == nil {
		return e, nil
	}
	caller, err := c.OpenToExpect(string(c.PriceFile), q.Memo)
	if err != nil {
		return e, err
	}
	b := &batch{cfg: c, caller: caller}
	if err := b.prepare(); err != nil {
		return e, err
	}
	t, err := b.expect(ctx, from[0].Path)
	if err != nil {
		return e, errors.Join(err, caller.Close())
	}
	t.into(&e, rows.Max, caller.Priced())
	e.Seconds = c.seconds(e)
	return e, caller.Close()
}

// tally adds up what requests are expected to take.
type tally struct {
	rows, looked, hits int
	least, most        llm.Charge
	open, cut          bool // an answer without a limit; rows that were not looked at
}

func (b *batch) expect(ctx context.Context, path string) (t tally, err error) {
	for row, err := range stage.RowsFrom[schema.Problem](path, "prompts").All() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return t, fmt.Errorf("reading the prompts: %w", err)
		}
		if t.looked >= maxLookups {
			t.cut = true
			return t, nil
		}
		t.rows++
		for _, p := range b.replicate(row.Paths) {
			if p.Prompt == "" || p.Answered() {
				continue
			}
			x, err := b.caller.Expect(b.request(&p))
			if err != nil {
				return t, err
			}
			t.looked++
			if x.Remembered {
				t.hits++
			}
			t.least, t.most = t.least.Plus(x.Least), t.most.Plus(x.Most)
			t.open = t.open || x.Open
		}
	}
	return t, nil
}

// into writes the figures. Requests that were not looked up cost as much as the
// others did, or nothing, if their answers are in the memo.
func (t tally) into(e *stage.Estimate, rows float64, priced bool) {
	misses, rest := float64(t.looked-t.hits), 0.0
	if t.cut && t.rows > 0 {
		rest = float64(t.looked) * max(0, rows/float64(t.rows)-1)
	}
	e.MemoHits = &stage.Range{Min: float64(t.hits), Max: float64(t.hits) + rest}
	scale := 1.0 // from what misses cost to what all may cost
	switch {
	case rest > 0 && misses == 0: // nothing to go by
		e.Requests = &stage.Range{Max: rest}
		return
	case rest > 0:
		scale = (misses + rest) / misses
	}
	e.Requests = &stage.Range{Min: float64(t.least.Requests), Max: float64(t.most.Requests) * scale}
	if t.open {
		return
	}
	e.Tokens = &stage.Range{Min: float64(t.least.Tokens), Max: float64(t.most.Tokens) * scale}
	if priced {
		e.USD = &stage.Range{Min: t.least.USD, Max: t.most.USD * scale}
	}
}

// seconds is how long the calls of an estimate take, or nil.
func (c batchConfig) seconds(e stage.Estimate) *stage.Range {
	if e.Requests == nil {
		return nil
	}
	var tokens stage.Range
	if e.Tokens != nil {
		tokens = *e.Tokens
	}
	from, to, ok := c.CallSeconds(e.Requests.Min, e.Requests.Max, tokens.Min, tokens.Max)
	if !ok {
		return nil
	}
	return &stage.Range{Min: from, Max: to}
}
