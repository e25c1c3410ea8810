package mathverify

import "errors"

var (
	// errBudget: the step or bit budget of the call is used up.
	errBudget = errors.New("budget of the comparison is used up")
	// errUndefined: the expression has no value here (division by zero, log 0).
	errUndefined = errors.New("expression has no value")
	// errPrecision: an enclosure is too wide to continue (a divisor that may be
	// zero); more precision may help.
	errPrecision = errors.New("enclosure too wide")
	// errNoValue: the node is not a number (text, set, unknown function).
	errNoValue = errors.New("not a number")
)

// budget bounds one call. It is not shared between goroutines.
type budget struct {
	steps int
	bits  int
}

func newBudget(o Options) *budget { return &budget{steps: o.steps(), bits: o.bits()} }

// spend takes n steps and reports errBudget when none are left.
func (b *budget) spend(n int) error {
	b.steps -= n
	if b.steps < 0 {
		return errBudget
	}
	return nil
}
