package optim

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Shapes of a learning-rate schedule after its warm-up.
const (
	ShapeCosine   = "cosine"   // half a cosine from the peak to the floor
	ShapeLinear   = "linear"   // a straight line from the peak to the floor
	ShapeConstant = "constant" // the peak throughout
)

// Shapes lists the schedules there are.
var Shapes = []string{ShapeConstant, ShapeCosine, ShapeLinear}

// Schedule is a learning rate over the steps of a run: up in a line over Warmup
// steps, then down by its shape until Total.
type Schedule struct {
	Shape         string // one of [Shapes]
	Warmup, Total int    // in optimizer steps; Total counts the warm-up
	Peak          float64
	Floor         float64 // what is left at the end, as a part of Peak
}

// Validate says what is wrong with s.
func (s Schedule) Validate() error {
	switch {
	case !slices.Contains(Shapes, s.Shape):
		return fmt.Errorf("schedule %q: there are %s", s.Shape, strings.Join(Shapes, ", "))
	case s.Warmup < 0 || s.Total < 0:
		return fmt.Errorf("schedule: %d warm-up steps of %d: neither may be negative", s.Warmup, s.Total)
	case !(s.Peak >= 0) || math.IsInf(s.Peak, 0):
		return fmt.Errorf("schedule: learning rate %v must be a number of at least 0", s.Peak)
	case !(s.Floor >= 0 && s.Floor <= 1):
		return fmt.Errorf("schedule: floor %v is a part of the learning rate, from 0 to 1", s.Floor)
	}
	return nil
}

// At is the learning rate of step (0-based). Steps from Total on have the floor's.
func (s Schedule) At(step int) float64 {
	switch {
	case s.Shape == ShapeCosine:
		return Cosine(step, s.Warmup, s.Total, s.Peak, s.Floor)
	case step < s.Warmup:
		return s.Peak * float64(step+1) / float64(s.Warmup)
	case s.Shape == ShapeConstant || s.Total <= s.Warmup:
		return s.Peak
	}
	x := min(1, float64(step-s.Warmup)/float64(s.Total-s.Warmup))
	return s.Peak * (1 - (1-s.Floor)*x)
}
