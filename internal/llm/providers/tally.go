package providers

import "github.com/distillflow/distillflow/internal/llm"

// maxLookups is how many requests an estimate looks up: an estimate must be quick. Of the
// rest it only tells that they may be in the memo or not.
const maxLookups = 100_000

// Tally adds up what the requests of a stage are expected to take, row by row.
type Tally struct {
	caller             *Caller
	rows, looked, hits int
	least, most        llm.Charge
	open               bool // an answer without a limit
	cut                bool // rows that were not looked at
}

// Bounds is a figure that is not known exactly.
type Bounds struct{ Min, Max float64 }

// Totals is what a [Tally] comes to. Nil is unknown.
type Totals struct{ MemoHits, Requests, Tokens, USD *Bounds }

// NewTally starts adding. The caller is one of [Options.OpenToExpect].
func NewTally(c *Caller) *Tally { return &Tally{caller: c} }

// Row begins the next row. False means that enough was looked up.
func (t *Tally) Row() bool {
	if t.looked >= maxLookups {
		t.cut = true
		return false
	}
	t.rows++
	return true
}

// Add looks a request of the row up.
func (t *Tally) Add(req llm.Request) error {
	x, err := t.caller.Expect(req)
	if err != nil {
		return err
	}
	t.looked++
	if x.Remembered {
		t.hits++
	}
	t.least, t.most = t.least.Plus(x.Least), t.most.Plus(x.Most)
	t.open = t.open || x.Open
	return nil
}

// Totals gives the sums for that many rows. Requests that were not looked up cost as much
// as the others did, or nothing, if their answers are in the memo.
func (t *Tally) Totals(rows float64) Totals {
	misses, rest := float64(t.looked-t.hits), 0.0
	if t.cut && t.rows > 0 {
		rest = float64(t.looked) * max(0, rows/float64(t.rows)-1)
	}
	s := Totals{MemoHits: &Bounds{float64(t.hits), float64(t.hits) + rest}}
	scale := 1.0 // from what misses cost to what all may cost
	switch {
	case rest > 0 && misses == 0: // nothing to go by
		s.Requests = &Bounds{0, rest}
		return s
	case rest > 0:
		scale = (misses + rest) / misses
	}
	s.Requests = &Bounds{float64(t.least.Requests), float64(t.most.Requests) * scale}
	if t.open {
		return s
	}
	s.Tokens = &Bounds{float64(t.least.Tokens), float64(t.most.Tokens) * scale}
	if t.caller.Priced() {
		s.USD = &Bounds{t.least.USD, t.most.USD * scale}
	}
	return s
}

// Seconds is how long the calls take, as [Options.CallSeconds] bounds them, or nil.
func (o Options) Seconds(s Totals) *Bounds {
	if s.Requests == nil {
		return nil
	}
	var tokens Bounds
	if s.Tokens != nil {
		tokens = *s.Tokens
	}
	from, to, ok := o.CallSeconds(s.Requests.Min, s.Requests.Max, tokens.Min, tokens.Max)
	if !ok {
		return nil
	}
	return &Bounds{from, to}
}
