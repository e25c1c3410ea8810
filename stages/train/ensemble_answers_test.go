package train

import (
	"math"
	"math/rand/v2"
	"testing"
)

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
	if got := calibrate(ids, test, dev).picks(test); got[0] != 0 || got[1] != 1 {
		t.Errorf("picks %v: want 0 for the first, 1 where student 0 says nothing", got)
	}
}
