package lora

import (
	"fmt"
	"math"
	"runtime"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Drift says how far merging moved one projection, and what of the move survived the
// rounding to the type that the sum W + s·B·A is stored in.
type Drift struct {
	Module string
	// Relative is |s·B·A| / |W| by Frobenius norms.
	Relative float64
	// Rounding is the norm of what rounding changed, relative to |s·B·A|; 0 where the
	// sum is stored as float32.
	Rounding float64
	// Kept is the part of s·B·A that the stored weights moved along it: 1 where nothing
	// is lost, 0 where every change was too small for the type.
	Kept float64

	was, moved, lost, along float64 // sums of squares, and the move's product with s·B·A
}

// finish computes the ratios.
func (d Drift) finish() Drift {
	d.Relative, d.Rounding, d.Kept = 0, 0, 1
	if d.was > 0 {
		d.Relative = math.Sqrt(d.moved / d.was)
	}
	if d.moved > 0 {
		d.Rounding, d.Kept = math.Sqrt(d.lost/d.moved), d.along/d.moved
	}
	return d
}

// Total is the drift of all projections together, as if they were one.
func Total(all []Drift) Drift {
	sum := Drift{Module: "all"}
	for _, d := range all {
		sum.was, sum.moved = sum.was+d.was, sum.moved+d.moved
		sum.lost, sum.along = sum.lost+d.lost, sum.along+d.along
	}
	return sum.finish()
}

// Pair is the adapter of one projection.
type Pair struct {
	Module string         // model.layers.3.self_attn.q_proj
	A, B   weights.Tensor // [r, in] and [out, r]
}

// Pairs finds the adapters in s, in the order of [Init], by the Hugging Face name of
// the weight that they change.
func (c Config) Pairs(s weights.Set) map[string]Pair {
	out := make(map[string]Pair, len(s)/2)
	for k := 0; k+1 < len(s); k += 2 {
		m := module(k/2/len(c.Targets), c.Targets[k/2%len(c.Targets)])
		out[m+".weight"] = Pair{m, s[k], s[k+1]}
	}
	return out
}

// AddTo adds an adapter to the weights w [out, in] of its projection, in place. round,
// when not nil, is what storing a weight does to it. The result does not depend on
// how many processors work on it.
func (c Config) AddTo(w []float32, p Pair, round func(float32) float32) (Drift, error) {
	out, in := p.B.Dims[0], p.A.Dims[1]
	if len(w) != out*in {
		return Drift{}, fmt.Errorf("lora: merge: %s has %d weights, the adapter is for %d x %d", p.Module, len(w), out, in)
	}
	scale := c.Scale()
	sums := make([]Drift, out)
	each := func(from, to int) {
		row := make([]float64, in)
		for o := from; o < to; o++ {
			clear(row)
			for r := range c.Rank {
				f := scale * float64(p.B.Data[o*c.Rank+r])
				for i, v := range p.A.Data[r*in : (r+1)*in] {
					row[i] += f * float64(v)
				}
			}
			sums[o] = addRow(w[o*in:(o+1)*in], row, round)
		}
	}
	var g parallel.Group
	workers := min(runtime.GOMAXPROCS(0), out)
	for k := range workers {
		g.Go(func() error { each(k*out/workers, (k+1)*out/workers); return nil })
	}
	if err := g.Wait(); err != nil {
		return Drift{}, err
	}
	d := Total(sums) // by row, so that the order of the additions is always the same
	d.Module = p.Module
	return d, nil
}

// addRow adds one row of s·B·A and sums up what it did.
func addRow(w []float32, delta []float64, round func(float32) float32) (d Drift) {
	for i, step := range delta {
		old := float64(w[i])
		sum := float32(old + step)
		if round != nil {
			sum = round(sum)
			off := float64(sum) - old
			d.lost += (off - step) * (off - step)
			d.along += off * step
		} else {
			d.along += step * step
		}
		w[i] = sum
		d.was, d.moved = d.was+old*old, d.moved+step*step
	}
	return d
}
