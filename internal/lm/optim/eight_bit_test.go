package optim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Twenty steps give what bitsandbytes' AdamW8bit gives (tools/oracle/nf4/make.py).
// Moments are rounded to 8 bits at every step, so a difference in the last place of
// float32 may choose a neighbouring level here and there; a thousandth of the
// learning rate leaves room for that.
func TestEightBitEqualsBitsandbytes(t *testing.T) {
	set, err := checkpoint.ReadFile(filepath.Join("testdata", "adamw8bit.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	get := func(name string) []float32 {
		i := set.Find(name)
		if i < 0 {
			t.Fatalf("golden has no %q", name)
		}
		return set[i].Data
	}
	const rate = 1e-2
	start := set[set.Find("matrix.start")]
	p := weights.Set{{Name: "matrix", Dims: start.Dims, Data: append([]float32(nil), start.Data...)}}
	a := NewAdamW(p, []bool{true})
	a.Beta1, a.Beta2, a.Eps, a.Decay, a.Clip = 0.9, 0.98, 1e-8, 0.01, 0
	a.UseEightBit(p, 0)
	if got, most := a.StateBytes(), int64(2.1*float64(p.Count())); got > most {
		t.Errorf("moments take %d bytes, want at most %d", got, most)
	}
	for step := range 20 {
		if _, err := a.Step(p, [][]float32{get(fmt.Sprintf("matrix.grad%d", step))}, rate); err != nil {
			t.Fatal(err)
		}
		i := set.Find(fmt.Sprintf("matrix.after%d", step))
		if i < 0 {
			continue
		}
		var sum, worst float64
		for j, want := range set[i].Data {
			d := math.Abs(float64(p[0].Data[j]-want)) / rate
			sum, worst = sum+d, max(worst, d)
		}
		mean := sum / float64(len(p[0].Data))
		t.Logf("step %d: %.2g of the learning rate off on average, at most %.2g", step, mean, worst)
		if worst > 1e-3 || mean > 1e-5 {
			t.Errorf("step %d: weights are %.3g of the learning rate off on average, at most %.3g", step, mean, worst)
		}
	}
	s := a.small[0]
	for name, got := range map[string][]uint8{"m_codes": s.m, "v_codes": s.v} {
		diff := 0
		for i, want := range get("matrix." + name) {
			if float32(got[i]) != want {
				diff++
			}
		}
		if diff > len(got)/1000 {
			t.Errorf("%s: %d of %d differ from bitsandbytes'", name, diff, len(got))
		}
	}
	// The golden's own distance from exact Adam shows that 8 bits matter here.
	var far float64
	for i, v := range get("matrix.exact") {
		far = max(far, math.Abs(float64(v-p[0].Data[i]))/rate)
	}
	if far < 0.01 {
		t.Errorf("8-bit moments end within %.3g of exact ones: the golden shows nothing", far)
	}
}

func trained(t *testing.T, eight bool, steps int) (weights.Set, *AdamW, func()) {
	t.Helper()
	p := weights.Set{weights.Normal(1, 1, "a", 30, 20), weights.Normal(1, 1, "b", 7)}
	a := NewAdamW(p, []bool{true, false})
	if eight {
		a.UseEightBit(p, 100)
	}
	r := rand.New(rand.NewPCG(3, 4))
	step := func() {
		g := make([][]float32, len(p))
		for i := range p {
			for range p[i].Data {
				g[i] = append(g[i], float32(r.NormFloat64()))
			}
		}
		if _, err := a.Step(p, g, 0.01); err != nil {
			t.Fatal(err)
		}
	}
	for range steps {
		step()
	}
	return p, a, step
}

func TestStateRoundTrip(t *testing.T) {
	for _, eight := range []bool{false, true} {
		p, a, step := trained(t, eight, 5)
		data, err := a.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		// The same run, interrupted: parameters and state go to a fresh optimizer.
		q, b, again := trained(t, eight, 5)
		fresh := NewAdamW(q, []bool{true, false})
		if eight {
			fresh.UseEightBit(q, 100)
		}
		*b = *fresh
		if err := b.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		step()
		again()
		if p.Hash() != q.Hash() || b.T != 6 {
			t.Errorf("8 bit %v: the resumed run differs", eight)
		}
		for cut := 0; cut < len(data); cut += max(1, len(data)/50) {
			if err := b.UnmarshalBinary(data[:cut]); err == nil {
				t.Fatalf("8 bit %v: state cut to %d of %d bytes was accepted", eight, cut, len(data))
			}
		}
		if err := b.UnmarshalBinary(append(data, 0)); err == nil {
			t.Error("a state with a byte too many was accepted")
		}
		_, other, _ := trained(t, !eight, 0)
		if err := other.UnmarshalBinary(data); err == nil || !strings.Contains(err.Error(), "bits") {
			t.Errorf("a state of other bits: error %v", err)
		}
		if other.T != 0 {
			t.Error("a refused state left traces")
		}
	}
}

func TestSchedule(t *testing.T) {
	for _, c := range []struct {
		s    Schedule
		step int
		want float64
	}{
		{Schedule{Shape: ShapeLinear, Warmup: 2, Total: 12, Peak: 1, Floor: 0.1}, 0, 0.5},
		{Schedule{Shape: ShapeLinear, Warmup: 2, Total: 12, Peak: 1, Floor: 0.1}, 7, 0.55},
		{Schedule{Shape: ShapeLinear, Warmup: 2, Total: 12, Peak: 1, Floor: 0.1}, 40, 0.1},
		{Schedule{Shape: ShapeConstant, Warmup: 4, Total: 12, Peak: 2}, 1, 1},
		{Schedule{Shape: ShapeConstant, Warmup: 4, Total: 12, Peak: 2}, 11, 2},
		{Schedule{Shape: ShapeCosine, Warmup: 2, Total: 12, Peak: 1, Floor: 0.1}, 7, 0.55},
		{Schedule{Shape: ShapeLinear, Peak: 3}, 5, 3},
	} {
		if got := c.s.At(c.step); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v at %d: %v, want %v", c.s, c.step, got, c.want)
		}
	}
}
