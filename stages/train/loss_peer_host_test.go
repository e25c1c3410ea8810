package train

import (
	"math"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Peer teaching without a graph has the values and the gradients that it has with one, for
// every part of the student and for the projection.
func TestPeersWithoutGraph(t *testing.T) {
	for _, method := range []string{methodCorrected, methodPaper, methodOriginal} {
		cfg := smallConfig()
		cfg.Method, cfg.WarmupSteps = method, 0
		cfg.Peer.Variance, cfg.Peer.Covariance = new(1.0), new(0.5)
		var grads [2][][]float32
		var terms [2][]float64
		var trained weights.Set
		for i := range grads {
			p := cfg.plan()
			for k := range p.losses {
				if i == 1 {
					p.losses[k].Host = nil
				} else if k > 0 && p.losses[k].Host == nil {
					t.Fatalf("%s: %s wants a graph", method, p.losses[k].Name)
				}
			}
			tr, _, err := newTrainer(t.Context(), p, 1, openCPU, testPaths(t, 6))
			if err != nil {
				t.Fatal(err)
			}
			defer tr.close()
			r := &routed{paths: []int{0, 3, 1, 5, 2, 4}}
			if err := tr.decide(r, 0, tr.encodings(r.paths)); err != nil {
				t.Fatal(err)
			}
			if err := tr.forwardAll(r); err != nil {
				t.Fatal(err)
			}
			for s, st := range tr.students {
				rows := []int{0, 1, 2, 3, 4, 5}
				b, _, err := st.batches(trainInput{paths: pick(r.paths, rows), most: 6, ensemble: tr.ensemble(r, s, rows)})
				if err != nil {
					t.Fatal(err)
				}
				res, err := st.tuner.Gradients(b...)
				if err != nil {
					t.Fatal(err)
				}
				grads[i], terms[i] = append(grads[i], res.Grads...), append(terms[i], res.Terms...)
				trained = append(append(trained, st.params...), st.proj...)
			}
		}
		for k, want := range terms[1] {
			if math.Abs(terms[0][k]-want) > 1e-5*math.Abs(want) || want == 0 {
				t.Errorf("%s: term %d is %v, by a graph %v", method, k, terms[0][k], want)
			}
		}
		for k, want := range grads[1] {
			var off, size float64
			for j, v := range want {
				off, size = off+math.Pow(float64(grads[0][k][j]-v), 2), size+float64(v*v)
			}
			if math.Sqrt(off) > 2e-5*math.Sqrt(size) || size == 0 {
				t.Errorf("%s: the gradient of %s is off by %.2g of its size", method, trained[k].Name, math.Sqrt(off/size))
			}
		}
	}
}
