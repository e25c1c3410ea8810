package exec

import (
	"errors"
	"time"

	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
)

// ShortageError is a task that was ended because it took more than it was given.
type ShortageError struct {
	Of  Shortage
	Had stage.Needs // what it was given; zero where that is not known
	Msg string      // what happened and what to raise
}

// Shortage is what a task ran out of.
type Shortage string

// The shortages.
const (
	OfMemory Shortage = "memory"
	OfTime   Shortage = "time"
)

// Error implements error.
func (e *ShortageError) Error() string { return e.Msg }

// grow gives the next try of a task more of what the last one ran out of, as the
// recipe's `retry:` says. It reports what, for the warning.
func grow(needs *stage.Needs, err error, by recipe.Growth) string {
	var s *ShortageError
	var late *TimeoutError
	switch {
	case errors.As(err, &late):
		s = &ShortageError{Of: OfTime}
	case !errors.As(err, &s):
		return ""
	}
	switch {
	case s.Of == OfMemory && by.Memory > 1:
		had := max(needs.Memory, s.Had.Memory)
		needs.Memory = int64(float64(had) * by.Memory)
		return " with more memory"
	case s.Of == OfTime && by.Time > 1:
		had := max(needs.Time, s.Had.Time)
		needs.Time = time.Duration(float64(had) * by.Time)
		return " with more time"
	}
	return ""
}
