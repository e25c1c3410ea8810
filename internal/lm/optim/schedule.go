package optim

// Shapes of a learning-rate schedule after its warm-up.
const (
	ShapeCosine   = "cosine"   // half a cosine from the peak to the floor
	ShapeLinear   = "linear"   // a straight line from the peak to the floor
	ShapeConstant = "constant" // the peak throughout
)

// Schedule is a learning rate over the steps of a run: up in a line over Warmup
// steps, then down by its shape until Total.
type Schedule struct {
	Shape         string // ShapeCosine, ShapeLinear or ShapeConstant
	Warmup, Total int    // in optimizer steps; Total counts the warm-up
	Peak          float64
	Floor         float64 // what is left at the end, as a part of Peak
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
