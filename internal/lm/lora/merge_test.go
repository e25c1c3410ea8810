package lora

import (
	"math"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// The share of the change that bfloat16 keeps falls with its size, and the report
// says so.
func TestDriftOfSmallChanges(t *testing.T) {
	c := Config{Rank: 1, Alpha: 1, Targets: []string{"q_proj"}}
	const n = 64
	one := func(v float32, dims ...int) weights.Tensor {
		x := weights.Const(v, "", dims...)
		return x
	}
	ratio := func(size float32) Drift {
		w := weights.Normal(1, 1, "w", n, n)
		round := safetensors.Rounder(safetensors.BF16)
		for i, v := range w.Data {
			w.Data[i] = round(v)
		}
		p := Pair{Module: "m", A: one(size, 1, n), B: one(1, n, 1)}
		d, err := c.AddTo(w.Data, p, round)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	large, small, tiny := ratio(0.5), ratio(1e-3), ratio(1e-9)
	if !(large.Rounding < 0.02 && large.Kept > 0.99 && large.Kept < 1.01) {
		t.Errorf("a large change: %+v", large)
	}
	if !(small.Rounding > 0.25 && small.Rounding < 10) {
		t.Errorf("a small change: %+v", small)
	}
	if tiny.Kept > 0.5 || tiny.Rounding < 0.5 {
		t.Errorf("a change that vanishes: %+v", tiny)
	}
	if math.Abs(large.Relative-0.5) > 0.05 {
		t.Errorf("moved by %v of weights of size 1", large.Relative)
	}
	if total := Total([]Drift{large, large}); math.Abs(total.Rounding-large.Rounding) > 1e-12 {
		t.Errorf("twice the same is %+v", total)
	}
	if exact := func() Drift {
		w := weights.Normal(1, 1, "w", n, n)
		d, err := c.AddTo(w.Data, Pair{Module: "m", A: one(1, 1, n), B: one(1, n, 1)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}(); exact.Rounding != 0 || exact.Kept != 1 {
		t.Errorf("in float32: %+v", exact)
	}
	if _, err := c.AddTo(make([]float32, 3), Pair{Module: "m", A: one(1, 1, n), B: one(1, n, 1)}, nil); err == nil || !strings.Contains(err.Error(), "m has 3") {
		t.Errorf("wrong size: %v", err)
	}
}
