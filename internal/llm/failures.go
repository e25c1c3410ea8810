package llm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// down is how many answers in a row may fail, each after all its retries, before the
// provider counts as down. Going on would take hours to collect one error per row.
const down = 25

// judgeAfter is how many requests must have ended before a share of failures is judged.
const judgeAfter = 100

// Policy says which failures of single requests end a run.
type Policy struct {
	FailFast  bool    // the first one does
	Threshold float64 // a larger share of failures does; 0: no share does
}

// ParseThreshold reads a share: "2%", or "0.02". An empty text is 0, no threshold.
func ParseThreshold(s string) (float64, error) {
	if s = strings.TrimSpace(s); s == "" {
		return 0, nil
	}
	number, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v > 0 && v < 1) { // false for NaN too
		return 0, fmt.Errorf("%q is not a share between 0 and 100%%: write for example 2%%", s)
	}
	return v, nil
}

// Failures decides for a run of many requests which errors end it and which are kept
// beside their row. It is safe for concurrent use.
type Failures struct {
	policy Policy

	mu      sync.Mutex
	inARow  int
	ended   int
	total   int
	missing int // failures that a later run may mend
	first   error
}

// NewFailures starts counting under a policy.
func NewFailures(p Policy) *Failures { return &Failures{policy: p} }

// Note takes the outcome of one request. It returns nil if the run should go on, and
// otherwise the error to end it with: for the first failure of a run that fails fast, for
// what would fail every other request too (a wrong key, an empty budget), for
// cancellation, when too great a share failed, and when the provider seems to be down.
func (f *Failures) Note(ctx context.Context, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.ended++
		f.inARow = 0
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	kind := KindOf(err)
	if f.policy.FailFast || kind.Fatal() {
		return err
	}
	f.ended++
	f.total++
	if f.first == nil {
		f.first = err
	}
	if f.ended >= judgeAfter {
		if err := f.tooMany(); err != nil {
			return err
		}
	}
	if kind == KindInvalid {
		f.inARow = 0 // the provider is there, it refuses this one
		return nil
	}
	f.missing++
	if kind == KindBatch {
		return nil // one batch may leave thousands of answers out, and they come in a row
	}
	f.inARow++
	if f.inARow >= down {
		return fmt.Errorf("%d requests in a row failed: the provider seems to be down; answers that were bought are kept: %w", f.inARow, err)
	}
	return nil
}

// End judges the share of failures when all requests have ended.
func (f *Failures) End() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tooMany()
}

func (f *Failures) tooMany() error {
	if f.policy.Threshold <= 0 || float64(f.total) <= f.policy.Threshold*float64(f.ended) {
		return nil
	}
	return fmt.Errorf("%d of %d requests failed, more than the threshold of %g%%; answers that were bought are kept; the first failure: %w",
		f.total, f.ended, 100*f.policy.Threshold, f.first)
}

// Total is the number of failures kept so far.
func (f *Failures) Total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

// Missing says why the result is incomplete, or "" when every failure is final.
func (f *Failures) Missing() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.missing == 0 {
		return ""
	}
	return fmt.Sprintf("%d requests failed and may succeed later; the first: %v", f.missing, f.first)
}

// RowError is the text of a failure as a row keeps it: without the number of attempts,
// which says nothing about the row.
func RowError(err error) string {
	var e *Error
	if errors.As(err, &e) {
		c := *e
		c.Attempts = 0
		return c.Error()
	}
	return err.Error()
}
