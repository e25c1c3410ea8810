package causal

import (
	"errors"
	"fmt"
	"slices"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/objective"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Batch is one pass's worth of sequences, padded on the right.
type Batch struct {
	Rows, Seq int
	IDs       []int32 // [Rows·Seq]
	// Lengths are how many positions of each row are no padding; nil means Seq for each. What
	// an engine computes beyond is of no meaning, and may be zeros.
	Lengths []int
	// Starts [Rows·Seq] are the columns where the examples begin that share rows, each for all
	// of its positions; padding begins where it stands. nil: a row is an example. Only graphs
	// read it: without them rows have no padding to share.
	Starts []int32
	// At lists the positions, as row·Seq + column, whose next token is looked at; only
	// they reach the output layer. nil means all of them, which suits vocabularies so
	// small that choosing costs more.
	At     []int32
	Labels []int32   // [len(At)] the next token
	Weight []float32 // [len(At)] what each one's loss is multiplied by; only for training
	Seed   uint32    // chooses what dropout drops; only for training
	// Positions [K] of the flattened [Rows·Seq] states are where the tuner's head looks;
	// nil leaves the head out.
	Positions []int32
	// Inputs are what terms read besides; only for training.
	Inputs []objective.Input
	// Weights are of the tuner's terms, in their order. A term of weight 0 is left out.
	// nil means 1 for each. Only for training.
	Weights []float32
}

// Names of what terms may read, besides the batch's own inputs. N is the number of
// positions looked at, V the vocabulary's size and D the width of hidden states.
const (
	InIDs       = "ids"        // [R, S]
	InLabels    = "labels"     // [N]
	InWeight    = "weight"     // [N]
	InPositions = "positions"  // [K, 1] where the head looks
	InHidden    = "hidden"     // [R·S, D] the last hidden states
	InLogits    = "logits"     // [N, V], all at once: mind the memory
	InTokenLoss = "token_loss" // the sum of weight times -log p(label), computed in pieces
	InZ         = "z"          // [K, Z] what the head makes of the hidden states
)

const (
	inStarts  = "starts"  // [R, S]
	inSeed    = "seed"    // of dropout
	inAt      = "at"      // [N]
	inWeights = "weights" // of the terms that are not left out
)

// inputs are what a batch adds to a call, by name: the one place that says which.
func (b Batch) inputs(training bool) []objective.Input {
	in := []objective.Input{
		{Name: InIDs, Value: b.IDs, Dims: []int{b.Rows, b.Seq}},
		{Name: InLabels, Value: b.Labels},
	}
	if b.Starts != nil {
		in = append(in, objective.Input{Name: inStarts, Value: b.Starts, Dims: []int{b.Rows, b.Seq}})
	}
	if b.At != nil {
		in = append(in, objective.Input{Name: inAt, Value: b.At})
	}
	if b.Positions != nil {
		in = append(in, objective.Input{Name: InPositions, Value: b.Positions, Dims: []int{len(b.Positions), 1}})
	}
	if !training {
		return in
	}
	return append(append(in,
		objective.Input{Name: inSeed, Value: b.Seed},
		objective.Input{Name: InWeight, Value: b.Weight},
		objective.Input{Name: inWeights, Value: b.Weights}), b.Inputs...)
}

// CrossEntropy is the loss of a language model on the labels.
var CrossEntropy = objective.Term{Name: "loss", Reads: []string{InTokenLoss}}

// Head makes something of the last hidden states for terms to read, with parameters of
// its own that are trained with the model's.
type Head struct {
	Params weights.Set
	// States gives z [K, Z] of the hidden states [K, D] at the batch's positions.
	States func(hidden *Node, params []*Node) *Node
	// Host is States without a graph, and back: it adds the gradients of the parameters to
	// grads, in their order, and gives that of the hidden states, from that of z. nil where
	// there is none.
	Host func(hidden []float32) (z []float32, back func(dz []float32, grads [][]float32) []float32)
}

// Tuner trains a decoder by a list of terms: adapters on frozen weights, or all
// weights. It computes losses and gradients; steps are an optimizer's.
//
// With several bases, each the same weights on a device of its own, batches are
// shared out between the devices (data parallelism).
//
// On XLA a pass is a graph; on the pure-Go device it is [decoder.HostTrainer].
type Tuner struct {
	// Trained are the adapters or, without LoRA, the decoder's weights. They live on
	// the host in float32 and may change between calls.
	Trained weights.Set

	o       TunerOptions
	engines []engine
}

// TunerOptions say what is trained and how.
type TunerOptions struct {
	// Bases hold the frozen weights, one for each device. Without LoRA their Args and
	// Bind are not looked at.
	Bases []Base
	LoRA  *lora.Config // resolved; nil trains all weights
	// Recompute trades time for memory: activations between layers are computed again
	// in the backward pass.
	Recompute bool
	Head      *Head            // nil for none
	Terms     []objective.Term // of the loss; nil is [CrossEntropy] alone

	graphs bool // on the pure-Go device too: the oracle of tests
}

// NewTuner trains trained, which it shares.
func NewTuner(trained weights.Set, o TunerOptions) (*Tuner, error) {
	if len(o.Bases) == 0 {
		return nil, errors.New("no device to train on")
	}
	if o.Terms == nil {
		o.Terms = []objective.Term{CrossEntropy}
	}
	t := &Tuner{Trained: trained, o: o}
	for _, b := range o.Bases {
		e, err := newEngine(b, trained, o)
		if err != nil {
			t.Close()
			return nil, err
		}
		t.engines = append(t.engines, e)
	}
	return t, nil
}

// Close lets go of what the tuner holds besides the parameters.
func (t *Tuner) Close() {
	for _, e := range t.engines {
		e.close()
	}
}

// Result is what a training pass computes.
type Result struct {
	Terms []float64 // of the loss, in the tuner's order, times their weights; 0 where left out
	// Grads are [tensor][element]: of Trained and then, where the head looked somewhere,
	// of its parameters.
	Grads [][]float32
}

// Gradients adds up the batches' losses and gradients, always in their order. The head
// looks at each batch, or at none.
func (t *Tuner) Gradients(batches ...Batch) (r Result, err error) {
	for wave := range slices.Chunk(batches, len(t.engines)) {
		parts := make([]Result, len(wave))
		var g parallel.Group
		for i, b := range wave {
			g.Go(func() (err error) {
				parts[i], err = t.gradients(t.engines[i], b)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return r, fmt.Errorf("training step: %w", err)
		}
		for _, p := range parts {
			r.add(p)
		}
	}
	return r, nil
}

func (r *Result) add(p Result) {
	if r.Grads == nil {
		r.Terms, r.Grads = p.Terms, p.Grads
		return
	}
	for i, v := range p.Terms {
		r.Terms[i] += v
	}
	for i, g := range p.Grads {
		for j, v := range g {
			r.Grads[i][j] += v
		}
	}
}

func (t *Tuner) gradients(e engine, b Batch) (r Result, err error) {
	if b.Weights == nil {
		b.Weights = slices.Repeat([]float32{1}, len(t.o.Terms))
	}
	var terms []objective.Term
	var weights []float32
	for i, w := range b.Weights {
		if w != 0 {
			terms, weights = append(terms, t.o.Terms[i]), append(weights, w)
		}
	}
	if terms == nil {
		return r, errors.New("every term of the loss has weight 0")
	}
	all := b.Weights
	b.Weights = weights
	values, grads, err := e.gradients(b, terms)
	if err != nil {
		return r, err
	}
	r.Grads = grads
	for _, w := range all {
		if w == 0 {
			r.Terms = append(r.Terms, 0)
			continue
		}
		r.Terms = append(r.Terms, float64(w)*values[0])
		values = values[1:]
	}
	return r, nil
}

// Losses are for each batch the losses in nats of the tokens that it looks at,
// without dropout and not weighted, and of the head the states z, flat.
func (t *Tuner) Losses(batches ...Batch) (nll, z [][]float32, err error) {
	return t.forward(engine.losses, batches)
}

// Surprisals are for each batch the losses of the tokens that it looks at, as [Tuner.Losses]
// gives them, and each one's place among the vocabulary's tokens, 1 for the most probable.
func (t *Tuner) Surprisals(batches ...Batch) (nll, rank [][]float32, err error) {
	return t.forward(engine.surprisals, batches)
}

func (t *Tuner) forward(pass func(e engine, b Batch) (x, y []float32, err error), batches []Batch) (x, y [][]float32, err error) {
	x, y = make([][]float32, len(batches)), make([][]float32, len(batches))
	for lo := 0; lo < len(batches); lo += len(t.engines) {
		var g parallel.Group
		for i, b := range batches[lo:min(len(batches), lo+len(t.engines))] {
			g.Go(func() (err error) {
				x[lo+i], y[lo+i], err = pass(t.engines[i], b)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, nil, fmt.Errorf("forward pass: %w", err)
		}
	}
	return x, y, nil
}
