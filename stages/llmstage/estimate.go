package llmstage

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/providers"
)

// Estimate tells what the rows of an input port, asked as [Run] asks, will take; its Rows
// are left to the stage. Each request is looked up in the memo; none is sent, and no API
// key is needed. asking is the number of rows that ask anything, nil where not all rows
// were looked at.
func Estimate[R stage.Record](ctx context.Context, q stage.Question, o Options, port string, work func(R) Work) (e stage.Estimate, asking *stage.Range, err error) {
	rows, from := q.Rows(port), q.Inputs[port]
	if len(from) != 1 || from[0].Path == "" || rows == nil {
		return e, nil, nil
	}
	caller, err := o.OpenToExpect(ctx, string(o.PriceFile), q.Memo)
	if err != nil {
		return e, nil, err
	}
	defer func() { err = errors.Join(err, caller.Close()) }()
	var s sums
	some := 0
	for row, err := range stage.RowsFrom[R](from[0].Path, port).All() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return e, nil, fmt.Errorf("reading the %s: %w", port, err)
		}
		if s.looked >= maxLookups {
			s.cut = true
			break
		}
		s.rows++
		calls := work(row).Calls
		if len(calls) > 0 {
			some++
		}
		for _, c := range calls {
			x, err := caller.Expect(c.Request)
			if err != nil {
				return e, nil, err
			}
			s.add(x)
		}
	}
	if !s.cut {
		asking = stage.Exactly(float64(some))
	}
	e = s.estimate(rows.Max, caller.Priced())
	e.Seconds = seconds(o, e)
	return e, asking, nil
}

// maxLookups is how many requests an estimate looks up: an estimate must be quick. Of the
// rest it only tells that they may be in the memo or not.
const maxLookups = 100_000

// sums adds up what requests are expected to take.
type sums struct {
	rows, looked, hits int
	least, most        llm.Charge
	open               bool // an answer without a limit
	cut                bool // rows that were not looked at
}

func (s *sums) add(x llm.Expectation) {
	s.looked++
	if x.Remembered {
		s.hits++
	}
	s.least, s.most = s.least.Plus(x.Least), s.most.Plus(x.Most)
	s.open = s.open || x.Open
}

// estimate gives the sums for that many rows. Requests that were not looked up cost as much
// as the others did, or nothing, if their answers are in the memo.
func (s *sums) estimate(rows float64, priced bool) stage.Estimate {
	misses, rest := float64(s.looked-s.hits), 0.0
	if s.cut && s.rows > 0 {
		rest = float64(s.looked) * max(0, rows/float64(s.rows)-1)
	}
	e := stage.Estimate{MemoHits: &stage.Range{Min: float64(s.hits), Max: float64(s.hits) + rest}}
	scale := 1.0 // from what misses cost to what all may cost
	switch {
	case rest > 0 && misses == 0: // nothing to go by
		e.Requests = &stage.Range{Max: rest}
		return e
	case rest > 0:
		scale = (misses + rest) / misses
	}
	e.Requests = &stage.Range{Min: float64(s.least.Requests), Max: float64(s.most.Requests) * scale}
	if s.open {
		return e
	}
	e.Tokens = &stage.Range{Min: float64(s.least.Tokens), Max: float64(s.most.Tokens) * scale}
	if priced {
		e.USD = &stage.Range{Min: s.least.USD, Max: s.most.USD * scale}
	}
	return e
}

// What one call takes, in seconds, where nothing else is known: a short answer of a fast
// model, and a long one of a slow model.
const (
	shortCall = 0.3
	longCall  = 60
	// A batch is done within a day, as the providers promise.
	longestBatch = 24 * 3600
)

// seconds bounds the time that the requests and tokens of an estimate take. Up to
// concurrency of them run at a time, and no limit a minute is crossed. Under mode: batch
// the bounds are those of a batch. It is nil where there is nothing to go by: without a
// limit a minute the time depends on the model alone, of which the last run tells more.
func seconds(o Options, e stage.Estimate) *stage.Range {
	if !o.Paid() || e.Requests == nil || e.Requests.Max <= 0 {
		return nil
	}
	var tokens stage.Range
	if e.Tokens != nil {
		tokens = *e.Tokens
	}
	least, most, n := e.Requests.Min, e.Requests.Max, float64(max(o.Concurrency, 1))
	batch := o.Mode == providers.ModeBatch || o.Mode == providers.ModeAuto && most >= float64(o.BatchMin)
	if !batch && o.RPM <= 0 && o.TPM <= 0 {
		return nil
	}
	if o.Mode == providers.ModeBatch || o.Mode == providers.ModeAuto && least >= float64(o.BatchMin) {
		return &stage.Range{Max: longestBatch}
	}
	minutes := func(amount, limit float64) float64 {
		if limit <= 0 {
			return 0
		}
		return amount / limit * 60
	}
	from := max(least*shortCall/n, minutes(least, o.RPM), minutes(tokens.Min, o.TPM))
	to := max(most*longCall/n, minutes(most, o.RPM), minutes(tokens.Max, o.TPM), from)
	if batch { // it may come to that
		to = max(to, longestBatch)
	}
	return &stage.Range{Min: math.Round(from), Max: math.Ceil(to)}
}
