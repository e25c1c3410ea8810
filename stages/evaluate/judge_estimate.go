package evaluate

import (
	"context"
	"errors"
	"fmt"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm/providers"
	"github.com/distillflow/distillflow/schema"
)

// Estimate implements [stage.Estimator]. Every vote on every correct path is a request;
// each is looked up in the memo. It needs no API key and sends nothing.
func (c judgeConfig) Estimate(ctx context.Context, q stage.Question) (stage.Estimate, error) {
	rows := q.Rows("rows")
	e := stage.Estimate{Rows: map[string]*stage.Range{"valid": rows.Times(0, 1), "invalid": rows.Times(0, 1)}}
	from := q.Inputs["rows"]
	if len(from) != 1 || from[0].Path == "" || rows == nil {
		return e, nil
	}
	caller, err := c.OpenToExpect(string(c.PriceFile), q.Memo)
	if err != nil {
		return e, err
	}
	j := &judging{cfg: c, caller: caller}
	t := providers.NewTally(caller)
	judged, whole, err := j.expect(ctx, from[0].Path, t)
	if err = errors.Join(err, caller.Close()); err != nil {
		return e, err
	}
	if whole { // a row without a correct path is in neither output
		e.Rows["valid"] = &stage.Range{Max: float64(judged)}
		e.Rows["invalid"] = &stage.Range{Max: float64(judged)}
	}
	s := t.Totals(rows.Max)
	e.MemoHits, e.Requests = (*stage.Range)(s.MemoHits), (*stage.Range)(s.Requests)
	e.Tokens, e.USD = (*stage.Range)(s.Tokens), (*stage.Range)(s.USD)
	e.Seconds = (*stage.Range)(c.Seconds(s))
	return e, nil
}

// expect adds up the requests of a file of rows, and counts the rows that have any; whole
// tells whether all of them were looked at.
func (j *judging) expect(ctx context.Context, path string, t *providers.Tally) (judged int, whole bool, err error) {
	for row, err := range stage.RowsFrom[schema.Problem](path, "rows").All() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return judged, false, fmt.Errorf("reading the rows: %w", err)
		}
		if !t.Row() {
			return judged, false, nil
		}
		some := false
		for _, p := range row.Paths {
			if !p.IsCorrect() {
				continue
			}
			some = true
			prompt := judgePrompt(j.cfg.Instructions, row, p)
			for k := range j.cfg.Votes {
				if err := t.Add(j.request(prompt, k)); err != nil {
					return judged, false, err
				}
			}
		}
		if some {
			judged++
		}
	}
	return judged, true, nil
}
