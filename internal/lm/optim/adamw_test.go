package optim

import (
	"math"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/weights"
)

func TestStepMatchesFormula(t *testing.T) {
	p := weights.Set{{Name: "w", Dims: []int{2, 1}, Data: []float32{1, -2}}, {Name: "b", Dims: []int{1}, Data: []float32{3}}}
	a := NewAdamW(p, []bool{true, false})
	a.Clip = 0
	norm, err := a.Step(p, [][]float32{{3, -4}, {0}}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(norm-5) > 1e-12 {
		t.Errorf("norm %v, want 5", norm)
	}
	// The first Adam step is lr times the sign; decay is lr·0.01·w besides.
	want := []float64{1 - 0.1 - 0.001, -2 + 0.1 + 0.002}
	for i, w := range want {
		if math.Abs(float64(p[0].Data[i])-w) > 1e-6 {
			t.Errorf("w[%d] = %v, want %v", i, p[0].Data[i], w)
		}
	}
	if p[1].Data[0] != 3 {
		t.Errorf("a zero gradient without decay moved b to %v", p[1].Data[0])
	}
}

func TestClipBoundsTheMoments(t *testing.T) {
	p := weights.Set{{Name: "w", Dims: []int{1}, Data: []float32{0}}}
	a := NewAdamW(p, nil)
	if _, err := a.Step(p, [][]float32{{1000}}, 0.1); err != nil {
		t.Fatal(err)
	}
	if got := a.M[0].Data[0]; math.Abs(float64(got)-0.1) > 1e-6 {
		t.Errorf("first moment %v, want 0.1 (clipped to norm 1)", got)
	}
}

func TestNotFiniteChangesNothing(t *testing.T) {
	p := weights.Set{{Name: "w", Dims: []int{1}, Data: []float32{1}}}
	a := NewAdamW(p, nil)
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
		if _, err := a.Step(p, [][]float32{{bad}}, 0.1); err == nil {
			t.Errorf("%v accepted", bad)
		}
	}
	if p[0].Data[0] != 1 || a.T != 0 || a.M[0].Data[0] != 0 {
		t.Error("a bad gradient left traces")
	}
}

func TestMinimisesAQuadratic(t *testing.T) {
	p := weights.Set{{Name: "w", Dims: []int{2}, Data: []float32{5, -3}}}
	a := NewAdamW(p, nil)
	for s := range 400 {
		g := []float32{2 * p[0].Data[0], 20 * p[0].Data[1]}
		if _, err := a.Step(p, [][]float32{g}, Cosine(s, 10, 400, 0.2, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for i, w := range p[0].Data {
		if math.Abs(float64(w)) > 0.05 {
			t.Errorf("w[%d] = %v, want about 0", i, w)
		}
	}
}

func TestCosine(t *testing.T) {
	for _, c := range []struct {
		step int
		want float64
	}{{0, 0.5}, {1, 1}, {2, 1}, {7, 0.55}, {12, 0.1}, {99, 0.1}} {
		if got := Cosine(c.step, 2, 12, 1, 0.1); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("step %d: %v, want %v", c.step, got, c.want)
		}
	}
}
