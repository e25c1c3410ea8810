package train

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/optim"
)

func testRouter(t *testing.T, students int, terms ...term) *router {
	t.Helper()
	dev, err := device.Open(device.CPU)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRouter(dev, terms, students, 6, 5, 4, 11)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// testInput draws a router step with P paths.
func testInput(r *router, paths int, seed uint64) routerInput {
	rng := rand.New(rand.NewPCG(seed, 1))
	in := routerInput{tau: 0.7, lr: 0.01, gammaLR: 0.01}
	draw := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(rng.NormFloat64())
		}
		return v
	}
	in.enc = draw(paths * 6)
	in.noise, in.adv, in.cost = draw(paths*r.students), draw(paths*r.students), draw(paths*r.students)
	in.states = draw(paths * r.students * r.zdim)
	in.hard = make([]float32, paths*r.students)
	for i := range paths {
		in.hard[i*r.students+rng.IntN(r.students)] = 1
	}
	return in
}

// The gradient of the routing loss is known in closed form:
// dL/dl_k = y_k (a_k - sum_s y_s a_s) / (P tau). The last layer's bias adds to l
// itself, so its gradient is that, summed over paths.
func TestRouteGradientMatchesFormula(t *testing.T) {
	for _, students := range []int{2, 3} {
		r := testRouter(t, students, route())
		const paths = 5
		in := testInput(r, paths, 3)
		scores, err := r.Scores(in.enc, paths)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]float64, students)
		for i, l := range scores {
			y := make([]float64, students)
			for s := range y {
				y[s] = (l[s] + float64(in.noise[i*students+s])) / float64(in.tau)
			}
			softmaxInPlace(y)
			var mean float64
			for s := range y {
				mean += y[s] * float64(in.adv[i*students+s])
			}
			for s := range y {
				want[s] += y[s] * (float64(in.adv[i*students+s]) - mean) / (paths * float64(in.tau))
			}
		}
		grads, res, err := r.gradients(in)
		if err != nil {
			t.Fatal(err)
		}
		for s := range want {
			if math.Abs(float64(grads[rB2][s])-want[s]) > 1e-5 {
				t.Errorf("%d students: dL/dl_%d = %v, want %v", students, s, grads[rB2][s], want[s])
			}
		}
		if res.gradNorm < 1e-3 {
			t.Errorf("%d students: the router's gradient norm is %v", students, res.gradNorm)
		}
		// The value of the loss is that of the hard gates.
		var loss float64
		for i, h := range in.hard {
			loss += float64(h*in.adv[i]) / paths
		}
		if math.Abs(res.terms[0]-loss) > 1e-5 {
			t.Errorf("%d students: loss %v, want %v", students, res.terms[0], loss)
		}
	}
}

// Balance: the value is that of the exponential mean, the gradient that of this
// batch, at full weight.
func TestBalance(t *testing.T) {
	r := testRouter(t, 2, balance(1))
	in := testInput(r, 4, 5)
	r.meanP = []float64{0.9, 0.1}
	grads, res, err := r.gradients(in)
	if err != nil {
		t.Fatal(err)
	}
	want := math.Log(2) - entropy([]float64{0.9, 0.1})
	if math.Abs(res.terms[0]-want) > 1e-5 {
		t.Errorf("balance %v, want %v", res.terms[0], want)
	}
	// Student 0 has too much, so its score must fall: the gradient is positive.
	if g := grads[rB2]; g[0] <= 0 || math.Abs(float64(g[0]+g[1])) > 1e-6 {
		t.Errorf("gradient %v: want the first positive and the sum zero", g)
	}
	r.meanP = []float64{0.5, 0.5}
	grads, res, err = r.gradients(in)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(res.terms[0]) > 1e-5 || optim.Norm(grads) > 1e-4 {
		t.Errorf("even shares: loss %v, gradient %v", res.terms[0], optim.Norm(grads))
	}
}

// The ensemble's weights learn which student is more likely to be right.
func TestGammaLearns(t *testing.T) {
	r := testRouter(t, 2, gamma(1, 0.2))
	in := testInput(r, 8, 7)
	for i := range 8 {
		in.cost[2*i], in.cost[2*i+1] = 0.1, 0.9 // student 0 is always better
		for d := range r.zdim {
			in.states[(2*i)*r.zdim+d], in.states[(2*i+1)*r.zdim+d] = 1, -1
		}
	}
	before := append([]float32(nil), r.params[rGamma].Data...)
	var first, last float64
	for step := range 60 {
		res, err := r.Step(in)
		if err != nil {
			t.Fatal(err)
		}
		if step == 0 {
			first = res.terms[0]
			if res.gammaNorm < 1e-3 {
				t.Errorf("the ensemble's gradient norm is %v", res.gammaNorm)
			}
		}
		last = res.terms[0]
	}
	if last > first/2 {
		t.Errorf("KL went from %v to %v", first, last)
	}
	same := true
	for i, v := range r.params[rGamma].Data {
		same = same && v == before[i]
	}
	if same {
		t.Error("the ensemble's weights did not move")
	}
}

func TestGatesAreOneHotAndFollowScores(t *testing.T) {
	scores := make([][]float64, 4000)
	for i := range scores {
		scores[i] = []float64{math.Log(0.8), math.Log(0.2)}
	}
	noise, chosen := gates(scores, rand.New(rand.NewPCG(1, 2)))
	if len(noise) != 2*len(scores) || len(chosen) != len(scores) {
		t.Fatalf("%d noises, %d gates", len(noise), len(chosen))
	}
	first := 0
	for i, c := range chosen {
		a, b := float32(scores[i][0])+noise[2*i], float32(scores[i][1])+noise[2*i+1]
		if (c == 0) != (a > b) {
			t.Fatalf("path %d: gate %d, perturbed scores %v and %v", i, c, a, b)
		}
		if c == 0 {
			first++
		}
	}
	// Gumbel noise makes the argmax a draw from the softmax: 3200 ± 4 sigma.
	if first < 3100 || first > 3300 {
		t.Errorf("student 0 was chosen %d of 4000 times, want about 3200", first)
	}
}

func TestLossSignal(t *testing.T) {
	s := newLossSignal()
	a := s.Advantages([][]float64{{1, 3}, {2, 5}})
	if a[0][0] != -0.5 || a[1][1] != 1 {
		t.Errorf("first batch: %v", a)
	}
	// A student that is worse everywhere by a constant is not the worse choice.
	b := s.Advantages([][]float64{{1.5, 4}})
	if math.Abs(b[0][0]) > 1e-12 || math.Abs(b[0][1]) > 1e-12 {
		t.Errorf("average path: %v, want no preference", b)
	}
	other := newLossSignal()
	other.Restore(s.State())
	c := [][]float64{{0.3, 2}}
	x, y := s.Advantages(c), other.Advantages(c)
	if x[0][0] != y[0][0] || x[0][1] != y[0][1] {
		t.Errorf("after restoring: %v, want %v", y, x)
	}
}
