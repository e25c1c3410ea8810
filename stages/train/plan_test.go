package train

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestEpochBatchesCoverEverything(t *testing.T) {
	lengths := make([]int, 101)
	for i := range lengths {
		lengths[i] = 10 + (i*37)%20
	}
	batches := epochBatches(lengths, 4, rand.New(rand.NewPCG(1, 1)))
	if len(batches) != batchesPerEpoch(101, 4) {
		t.Errorf("%d batches, want %d", len(batches), batchesPerEpoch(101, 4))
	}
	all := slices.Concat(batches...)
	slices.Sort(all)
	for i, v := range all {
		if v != i {
			t.Fatalf("path %d is missing or comes twice", i)
		}
	}
	spread := 0
	for _, b := range batches[:8] {
		lo, hi := math.MaxInt, 0
		for _, i := range b {
			lo, hi = min(lo, lengths[i]), max(hi, lengths[i])
		}
		spread += hi - lo
	}
	if spread > 8*8 {
		t.Errorf("batches of a window span %d lengths on average, want like lengths together", spread/8)
	}
}

// A step's batch depends on the step alone, not on the steps before it.
func TestOrderIsRandomAccess(t *testing.T) {
	lengths := make([]int, 50)
	a := order{seed: 3, stream: "x", lengths: lengths, batch: 8}
	var want [][]int
	for s := range 20 {
		b, epoch := a.at(s)
		if epoch != s/7 {
			t.Fatalf("step %d: epoch %d", s, epoch)
		}
		want = append(want, slices.Clone(b))
	}
	b := order{seed: 3, stream: "x", lengths: lengths, batch: 8}
	for _, s := range []int{13, 2, 19, 0} {
		if got, _ := b.at(s); !slices.Equal(got, want[s]) {
			t.Errorf("step %d: %v, want %v", s, got, want[s])
		}
	}
	if slices.Equal(want[0], want[7]) {
		t.Error("two epochs have the same order")
	}
}

func TestCalibration(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var x []float64
	var right []bool
	for range 4000 {
		v := rng.NormFloat64()
		x = append(x, v)
		right = append(right, rng.Float64() < 1/(1+math.Exp(-(0.5+2*v))))
	}
	c := fitCalibration(x, right)
	if math.Abs(c.a-0.5) > 0.2 || math.Abs(c.b-2) > 0.3 {
		t.Errorf("a %v, b %v: want about 0.5 and 2", c.a, c.b)
	}
	for name, r := range map[string][]bool{"all": {true, true, true}, "none": {false, false, false}, "separated": {false, true, true}} {
		c := fitCalibration([]float64{-3, 1, 2}, r)
		if p := c.apply(0); math.IsNaN(p) || p < 0 || p > 1 {
			t.Errorf("%s right: p = %v", name, p)
		}
	}
}

func TestEnsemblePicksTheSurerStudentAndNeverNothing(t *testing.T) {
	ids := []string{"p1", "p2", "p3"}
	dev := [][]answered{nil, nil}
	for i := range 40 {
		// Student 0 is right when its log-probability is high; student 1 never is.
		v := -1 + float64(i%2)*0.9
		dev[0] = append(dev[0], answered{perByte: v, correct: i%2 == 1})
		dev[1] = append(dev[1], answered{perByte: -0.01})
	}
	test := [][]answered{
		{{pred: "1", perByte: -0.1}, {pred: "", perByte: -0.1}, {pred: "3", perByte: -1}},
		{{pred: "2", perByte: -0.01}, {pred: "2", perByte: -0.01}, {pred: "2", perByte: -0.01}},
	}
	if got := ensemblePicks(ids, test, dev); got[0] != 0 || got[1] != 1 {
		t.Errorf("picks %v: want 0 for the first, 1 where student 0 says nothing", got)
	}
}
