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

// A step stands for about half a microsecond of work: one node of a tree at low
// precision. Work that depends on the precision or on the size of numbers is
// weighted accordingly, so that the steps of a call bound its time.

// spendAt takes the steps of an elementary function at precision p: base steps and
// one more for every div units of p squared.
func (b *budget) spendAt(p uint, base, div int) error { return b.spend(base + int(p*p)/div) }

// sizeCost is the number of steps that reducing a fraction of so many bits takes.
func sizeCost(bits int) int { return bits/512 + (bits/128)*(bits/128)/80 }

// spend takes n steps and reports errBudget when none are left.
func (b *budget) spend(n int) error {
	b.steps -= n
	if b.steps < 0 {
		return errBudget
	}
	return nil
}
