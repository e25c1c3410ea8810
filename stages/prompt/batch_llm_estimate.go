package prompt

import (
	"context"
	"errors"
	"fmt"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm/providers"
	"github.com/distillflow/distillflow/schema"
)

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
		return e, errors.Join(err, caller.Close())
	}
	t := providers.NewTally(caller)
	if err := errors.Join(b.expect(ctx, from[0].Path, t), caller.Close()); err != nil {
		return e, err
	}
	s := t.Totals(rows.Max)
	e.MemoHits, e.Requests = (*stage.Range)(s.MemoHits), (*stage.Range)(s.Requests)
	e.Tokens, e.USD = (*stage.Range)(s.Tokens), (*stage.Range)(s.USD)
	e.Seconds = (*stage.Range)(c.Seconds(s))
	return e, nil
}

// expect adds up the requests of a file of prompts.
func (b *batch) expect(ctx context.Context, path string, t *providers.Tally) error {
	for row, err := range stage.RowsFrom[schema.Problem](path, "prompts").All() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("reading the prompts: %w", err)
		}
		if !t.Row() {
			return nil
		}
		for _, p := range b.replicate(row.Paths) {
			if p.Prompt == "" || p.Answered() {
				continue
			}
			if err := t.Add(b.request(&p)); err != nil {
				return err
			}
		}
	}
	return nil
}
