package lora

import (
	"fmt"
	"math"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Drift says how far merging moved one projection.
type Drift struct {
	Module string
	// Relative is |s·B·A| / |W| by Frobenius norms.
	Relative float64
	// Rounding is the part of s·B·A that rounding the sum to the base's type loses,
	// by norm; 0 where the base is float32.
	Rounding float64
}

// Merge adds adapters into the weights of their base, in place, and reports what
// each projection's weights moved by. base is as [decoder.Pack] orders it; round,
// when not nil, is what storing a weight does to it.
func Merge(d decoder.Config, base weights.Set, c Config, s weights.Set, round func(float32) float32) ([]Drift, error) {
	if err := Check(d, c, s); err != nil {
		return nil, err
	}
	flat, err := decoder.Unpack(d, base) // shares base's memory
	if err != nil {
		return nil, fmt.Errorf("lora: merge: %w", err)
	}
	at := make(map[string][]float32, len(flat))
	for _, t := range flat {
		at[t.Name] = t.Data
	}
	var report []Drift
	scale := c.Scale()
	for k := 0; k < len(s); k += 2 {
		layer, target := k/2/len(c.Targets), c.Targets[k/2%len(c.Targets)]
		a, b := s[k], s[k+1]
		w := at[module(layer, target)+".weight"]
		out, in := b.Dims[0], a.Dims[1]
		if len(w) != out*in {
			return nil, fmt.Errorf("lora: merge: %s has %d weights, the adapter %d", module(layer, target), len(w), out*in)
		}
		var was, moved, lost float64
		row := make([]float64, in)
		for o := range out {
			clear(row)
			for r := range c.Rank {
				f := scale * float64(b.Data[o*c.Rank+r])
				for i, v := range a.Data[r*in : (r+1)*in] {
					row[i] += f * float64(v)
				}
			}
			for i, delta := range row {
				old := float64(w[o*in+i])
				sum := float32(old + delta)
				if round != nil {
					sum = round(sum)
				}
				w[o*in+i] = sum
				was, moved = was+old*old, moved+delta*delta
				lost += math.Pow(float64(sum)-old-delta, 2)
			}
		}
		drift := Drift{Module: module(layer, target), Relative: math.Sqrt(moved / was)}
		if moved > 0 && round != nil {
			drift.Rounding = math.Sqrt(lost / moved)
		}
		report = append(report, drift)
	}
	slices.SortFunc(report, func(x, y Drift) int { return slices.Compare([]byte(x.Module), []byte(y.Module)) })
	return report, nil
}
