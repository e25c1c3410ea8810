package mathverify

// PercentPolicy says what a percent sign is worth when only one side has it.
type PercentPolicy int

const (
	// PercentLenient: 28% equals 28% and 0.28; a gold of 28% also equals a bare
	// 28, and a gold of 28 equals 28% (0.5 does not equal 0.5%).
	PercentLenient PercentPolicy = iota
	// PercentStrict: 28% is 0.28 and nothing else.
	PercentStrict
)

// UnitPolicy says how units and nouns after a number are treated.
type UnitPolicy int

const (
	// UnitsLenient: "5 cm" equals "5"; "1 m" equals "100 cm"; "5 cm" differs
	// from "5 m"; words that are not a known unit ("5 apples") are ignored.
	UnitsLenient UnitPolicy = iota
	// UnitsStrict: as UnitsLenient, but a unit must be present on both sides or
	// on none.
	UnitsStrict
	// UnitsIgnore: units are dropped: "5 cm" equals "5 m".
	UnitsIgnore
)

// Options are the policies of a comparison. The zero value is the default for
// every field.
type Options struct {
	// Percent: see PercentPolicy.
	Percent PercentPolicy
	// Units: see UnitPolicy.
	Units UnitPolicy
	// OrderedLists makes "1, 2" differ from "2, 1". By default a bare list is a
	// collection of solutions, so its order is free. Tuples are always ordered,
	// sets never.
	OrderedLists bool
	// StrictAssignment makes "x = 5" differ from "5". By default the name on
	// the left of an equation is dropped when the other side has none.
	StrictAssignment bool
	// StrictBase makes 52_8 differ from a bare 52. By default a gold written in
	// base n accepts the same digits without the subscript, because the
	// question has named the base.
	StrictBase bool
	// GoldDigits is the least number of significant digits a decimal gold must
	// state before it counts as a rounded value (gold 33.3 accepts 100/3).
	// 0 means 3; a negative number switches approximation of the gold off.
	GoldDigits int
	// PredDigits is the least number of significant digits a decimal
	// prediction must give to stand for an exact gold that has no finite
	// decimal (gold \sqrt{3} accepts 1.732). 0 means 4; a negative number
	// switches it off.
	PredDigits int
	// Tolerance is the largest relative error of a number that still counts; 0 means
	// none.
	Tolerance float64
	// Steps bounds the work of one call, in evaluated tree nodes weighted by
	// their cost: about half a microsecond each. 0 means 60000.
	Steps int
	// Bits bounds the size of exact numbers, in bits. 0 means 131072.
	Bits int
}

func (o Options) goldDigits() int { return pick(o.GoldDigits, 3) }
func (o Options) predDigits() int { return pick(o.PredDigits, 4) }
func (o Options) steps() int      { return pick(o.Steps, 60000) }
func (o Options) bits() int       { return pick(o.Bits, 1<<17) }

func pick(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}
