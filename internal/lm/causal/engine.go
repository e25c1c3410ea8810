package causal

import (
	"github.com/distillflow/distillflow/internal/lm/objective"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// engine computes batches with one base. One goroutine at a time calls it.
type engine interface {
	// gradients gives the values of terms, none of them weighted, and the gradients of their
	// sum, each times its element of b.Weights: of what is trained and then, where the batch
	// has positions, of the head's parameters.
	gradients(b Batch, terms []objective.Term) (values []float64, grads [][]float32, err error)
	// losses gives nll [N], without dropout and not weighted, and with positions z [K, Z].
	losses(b Batch) (nll, z []float32, err error)
	// surprisals gives nll as losses does, and rank [N], a label's place among the tokens.
	surprisals(b Batch) (nll, rank []float32, err error)
	close()
}

func newEngine(b Base, trained weights.Set, o TunerOptions) (engine, error) {
	if o.graphs || b.Device.IsXLA() {
		return &graphEngine{base: b, trained: trained, o: o, made: graphs{}}, nil
	}
	return newHostEngine(b, trained, o)
}
