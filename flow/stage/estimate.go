package stage

import "context"

// Range is a figure that is not known exactly.
type Range struct {
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

// Exactly is a range of one value.
func Exactly(v float64) *Range { return &Range{v, v} }

// Times is the range multiplied by factors from lo to hi, none of them negative.
// A nil range stays nil.
func (r *Range) Times(lo, hi float64) *Range {
	if r == nil {
		return nil
	}
	return &Range{r.Min * lo, r.Max * hi}
}

// Plus adds two ranges; nil, which is unknown, makes the sum unknown.
func (r *Range) Plus(o *Range) *Range {
	if r == nil || o == nil {
		return nil
	}
	return &Range{r.Min + o.Min, r.Max + o.Max}
}

// Estimate is what a stage expects of a run of it. Nil is unknown.
type Estimate struct {
	Rows     map[string]*Range // by output port
	MemoHits *Range            // answers that are paid for already
	Requests *Range            // paid calls still to be made
	Tokens   *Range            // of those calls, in and out
	USD      *Range
	Seconds  *Range
}

// Expected is what is known of one source of an input port before a run.
type Expected struct {
	Path string // the file with its rows, if that is in the store already; else ""
	Rows *Range // nil if unknown
}

// Question is what a stage's estimate may go by.
type Question struct {
	Inputs map[string][]Expected // by port, one for each source
	// Memo tells which answers are paid for; it is never nil. An estimate only
	// reads it.
	Memo Memo
	// Getenv reads the user's environment, as [Env.Getenv] does.
	Getenv func(string) string
}

// Rows is the sum of the rows of an input port's sources, or nil.
func (q Question) Rows(port string) *Range {
	sum := Exactly(0)
	for _, e := range q.Inputs[port] {
		sum = sum.Plus(e.Rows)
	}
	return sum
}

// Estimator is implemented by configs whose stage can say before a run what that
// will take. It must be quick, must not write, and must not call anything that
// costs. A part that cannot be told stays nil.
type Estimator interface {
	Estimate(ctx context.Context, q Question) (Estimate, error)
}

// Estimates reports whether the stage can tell anything; see [Estimator].
func (c *Config) Estimates() bool {
	_, ok := c.v.Interface().(Estimator)
	return ok
}

// Estimate asks the stage. It is empty for one that cannot tell.
func (c *Config) Estimate(ctx context.Context, q Question) (Estimate, error) {
	est, ok := c.v.Interface().(Estimator)
	if !ok {
		return Estimate{}, nil
	}
	if q.Memo == nil {
		q.Memo = noMemo{}
	}
	if q.Getenv == nil {
		q.Getenv = func(string) string { return "" }
	}
	return est.Estimate(ctx, q)
}
