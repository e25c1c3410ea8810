package llm

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// down is how many answers in a row may fail, each after all its retries, before the
// provider counts as down. Going on would take hours to collect one error per row.
const down = 25

// Failures decides for a run of many requests which errors end it and which are kept
// beside their row. It is safe for concurrent use.
type Failures struct {
	keep bool

	mu      sync.Mutex
	inARow  int
	total   int
	missing int // failures that a later run may mend
	first   error
}

// NewFailures returns a policy: with keep, a request that failed for itself is recorded
// and the run goes on; without, the first failure ends the run.
func NewFailures(keep bool) *Failures { return &Failures{keep: keep} }

// Note takes the outcome of one request. It returns nil if the run should go on, and
// otherwise the error to end it with: for every failure of a run that does not keep any,
// for what would fail every other request too (a wrong key, an empty budget), for
// cancellation, and when the provider seems to be down.
func (f *Failures) Note(ctx context.Context, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.inARow = 0
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	kind := KindOf(err)
	if !f.keep || kind.Fatal() {
		return err
	}
	f.total++
	if f.first == nil {
		f.first = err
	}
	if kind == KindInvalid {
		f.inARow = 0 // the provider is there, it refuses this one
		return nil
	}
	f.missing++
	f.inARow++
	if f.inARow >= down {
		return fmt.Errorf("%d requests in a row failed, the provider seems to be down; answers already bought are kept: %w", f.inARow, err)
	}
	return nil
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
