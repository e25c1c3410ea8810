package train

import (
	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// The learning gain of path i for student s is how fast a step on the path would lower the
// student's loss on held-out problems,
//
//	[l_dev(phi_s) - l_dev(phi_s - eps grad l_is)] / eps = <grad l_dev, grad l_is>
//
// for small eps. The product is the slope of l_is along the gradient of l_dev, so that one
// forward pass from a little further along it gives it for all paths of a step.

// gainRise is by how much the held-out loss is to rise on the way there, in nats per token:
// well above rounding, and small enough for the loss to be straight.
const gainRise = 0.01

// gainBatches is how many batches of held-out paths the gradient is taken over.
const gainBatches = 4

// gainHeld reports whether a held-out problem teaches the router and does not measure the
// dev loss: what routes must not choose the weights too.
func gainHeld(id string) bool { return held("gain/"+id, 0.5) }

// gains are the negative gains a[i][s], which the router minimises.
func (t *trainer) gains(r *routed, n int) ([][]float64, error) {
	heldOut, err := t.heldOut(gainBatches*t.plan.batch, n)
	if err != nil {
		return nil, err
	}
	a := make([][]float64, len(r.paths))
	for i := range a {
		a[i] = make([]float64, len(t.students))
	}
	var g parallel.Group
	for s, st := range t.students {
		g.Go(func() error {
			if n%t.plan.route.gainEvery == 0 || st.gain == nil {
				gain, err := st.lossGradient(heldOut, t.plan.batch)
				if err != nil {
					return err
				}
				st.gain = gain
			}
			slopes, err := st.slopes(r.paths, t.plan.batch)
			if err != nil {
				return err
			}
			for i, p := range r.paths {
				a[i][s] = -slopes(i, r.token[i][s]*float64(st.seqs[p].supervised())) / float64(len(t.paths[p].response))
			}
			return nil
		})
	}
	return a, g.Wait()
}

// lossGradient is the gradient of the mean loss per token on paths.
func (s *student) lossGradient(paths []int, most int) (weights.Set, error) {
	batches, _, err := s.batches(trainInput{paths: paths, most: most})
	if err != nil {
		return nil, err
	}
	for i := range batches {
		clear(batches[i].Weights[1:])
	}
	res, err := s.tuner.Gradients(batches...)
	if err != nil {
		return nil, err
	}
	out := s.params.Clone()
	for i := range out {
		copy(out[i].Data, res.Grads[i])
	}
	return out, nil
}

// slopes gives the slopes of the summed losses of paths along the held-out gradient, from
// what those losses are at the student's weights.
func (s *student) slopes(paths []int, most int) (func(i int, nll float64) float64, error) {
	grads := make([][]float32, len(s.gain))
	for i, x := range s.gain {
		grads[i] = x.Data
	}
	norm := optim.Norm(grads)
	if norm == 0 {
		return func(int, float64) float64 { return 0 }, nil
	}
	h := gainRise / (norm * norm)
	here := s.params.Clone()
	for i, x := range s.params {
		for j := range x.Data {
			x.Data[j] += float32(h * float64(grads[i][j]))
		}
	}
	there, _, err := s.forward(paths, most, 0)
	for i, x := range s.params {
		copy(x.Data, here[i].Data)
	}
	return func(i int, nll float64) float64 { return (there[i] - nll) / h }, err
}
