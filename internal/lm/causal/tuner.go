package causal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/objective"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// queryBlocks is how many parts attention is cut into where a mask saves no work.
const queryBlocks = 4

// Batch is one graph call's worth of sequences, padded on the right.
type Batch struct {
	Rows, Seq int
	IDs       []int32 // [Rows·Seq]
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
	if b.At != nil {
		in = append(in, objective.Input{Name: inAt, Value: b.At})
	}
	if b.Positions != nil {
		in = append(in, objective.Input{Name: InPositions, Value: b.Positions, Dims: []int{len(b.Positions), 1}})
	}
	if !training {
		return in
	}
	weights := slices.DeleteFunc(slices.Clone(b.Weights), func(w float32) bool { return w == 0 })
	return append(append(in,
		objective.Input{Name: inSeed, Value: b.Seed},
		objective.Input{Name: InWeight, Value: b.Weight},
		objective.Input{Name: inWeights, Value: weights}), b.Inputs...)
}

// lossRows is how many positions' logits exist at a time: 128 MiB of them in float32,
// for softmax and gradient make several copies, and 64 positions at the least, for the
// output matrix is read for each part.
func lossRows(vocab int) int { return min(1024, max(64, 1<<25/vocab)) }

// CrossEntropy is the loss of a language model on the labels.
var CrossEntropy = objective.Term{Name: "loss", Reads: []string{InTokenLoss}, Loss: func(in objective.Nodes) *Node { return in.Get(InTokenLoss) }}

// Head makes something of the last hidden states for terms to read, with parameters of
// its own that are trained with the model's.
type Head struct {
	Params weights.Set
	// States gives z [K, Z] at positions [K, 1] of the hidden states [R·S, D].
	States func(hidden *Node, params []*Node, positions *Node) *Node
}

// Tuner trains a decoder by a list of terms: adapters on frozen weights, or all
// weights. It computes losses and gradients; steps are an optimizer's.
//
// With several bases, each the same weights on a device of its own, batches are
// shared out between the devices (data parallelism). A base may stand there several
// times, for devices whose graphs run on one core each.
type Tuner struct {
	// Trained are the adapters or, without LoRA, the decoder's weights. They live on
	// the host in float32 and may change between calls.
	Trained weights.Set

	o    TunerOptions
	devs []*graphs
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
}

// graphs are what one device has compiled, by what they compute and read.
type graphs struct {
	mu   sync.Mutex
	made map[string]*Exec
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
	for range o.Bases {
		t.devs = append(t.devs, &graphs{made: map[string]*Exec{}})
	}
	return t, nil
}

// graph is what computes the terms, with their gradients, or without terms the losses
// of tokens and the head's states, from inputs of these names.
func (t *Tuner) graph(dev int, names []string, terms []objective.Term) (*Exec, error) {
	key := strings.Join(names, " ") + ":"
	for _, x := range terms {
		key += " " + x.Name
	}
	g := t.devs[dev]
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.made[key]; e != nil {
		return e, nil
	}
	base := t.o.Bases[dev]
	e, err := NewExec(base.Device.Backend, func(in []*Node) []*Node {
		if terms == nil {
			return t.evalGraph(base, names, in)
		}
		return t.trainGraph(base, names, in, terms)
	})
	if err != nil {
		return nil, err
	}
	// Batches come in a few shapes, which the caller bounds.
	e.SetMaxCache(-1)
	g.made[key] = e
	return e, nil
}

// frozen are the arguments that a base adds to a call.
func (t *Tuner) frozen(b Base) []any {
	if t.o.LoRA == nil {
		return nil
	}
	return b.Args
}

// graphCall is a graph call under construction.
type graphCall struct {
	decoder *decoder.Model
	in      objective.Nodes
	params  []*Node // what is trained: the model's and, where it is asked, the head's
	at      *Node   // hidden states of the positions that are looked at
}

// begin takes apart the nodes of a call, which are those of frozen and trained
// parameters, of the head's, and of the inputs with these names; and computes the
// hidden states, in training with dropout.
func (t *Tuner) begin(b Base, names []string, in []*Node, training bool) graphCall {
	take := func(n int) (nodes []*Node) {
		nodes, in = in[:n], in[n:]
		return nodes
	}
	frozen, trained := take(len(t.frozen(b))), take(len(t.Trained))
	var head []*Node
	if t.o.Head != nil {
		head = take(len(t.o.Head.Params))
	}
	c := graphCall{
		decoder: &decoder.Model{Config: b.Config, Recompute: training && t.o.Recompute},
		in:      objective.NewNodes(names, in), params: trained,
	}
	d := c.decoder
	if !b.Device.IsXLA() && t.o.LoRA != nil {
		d.QueryBlocks = queryBlocks
	}
	if t.o.LoRA == nil {
		d.Params = trained
	} else {
		var seed *Node
		if training {
			seed = c.in.Get(inSeed)
		}
		b.Bind(d, frozen)
		d.Delta = lora.Delta(*t.o.LoRA, trained, seed)
	}
	h := d.Hidden(c.in.Get(InIDs))
	c.in.Set(InHidden, h)
	c.at = h
	if c.in.Has(inAt) {
		c.at = decoder.Select(h, c.in.Get(inAt))
	}
	if c.in.Has(InPositions) {
		c.params = slices.Concat(trained, head)
		c.in.Demand(InZ, func() *Node { return t.o.Head.States(h, head, c.in.Get(InPositions)) })
	}
	return c
}

// trainGraph gives the terms, not weighted, and the gradients of their weighted sum.
func (t *Tuner) trainGraph(b Base, names []string, in []*Node, terms []objective.Term) []*Node {
	c := t.begin(b, names, in, true)
	c.in.Demand(InLogits, func() *Node { return c.decoder.Logits(c.at) })
	c.in.Demand(InTokenLoss, func() (total *Node) {
		if t.o.LoRA == nil {
			total, _ = c.decoder.Loss(c.in.Get(InLogits), c.in.Get(InLabels), c.in.Get(InWeight))
		} else {
			total, _ = c.decoder.ChunkedLoss(c.at, c.in.Get(InLabels), c.in.Get(InWeight), lossRows(b.Config.Vocab))
		}
		return total
	})
	values, total := objective.Sum(terms, c.in, c.in.Get(inWeights))
	return append(values, Gradient(total, c.params...)...)
}

// evalGraph gives nll [N] and, with positions, z [K, Z].
func (t *Tuner) evalGraph(b Base, names []string, in []*Node) []*Node {
	c := t.begin(b, names, in, false)
	labels := c.in.Get(InLabels)
	var out []*Node
	if t.o.LoRA == nil {
		_, nll := c.decoder.Loss(c.decoder.Logits(c.at), labels, Zeros(labels.Graph(), shapes.Make(dtypes.Float32, labels.Shape().Dimensions...)))
		out = append(out, nll)
	} else {
		out = append(out, c.decoder.ChunkedNLL(c.at, labels, lossRows(b.Config.Vocab)))
	}
	if c.in.Has(InZ) {
		out = append(out, c.in.Get(InZ))
	}
	return out
}

// run computes terms, or without them losses, of a batch on a device. The caller
// finalizes what comes back.
func (t *Tuner) run(dev int, b Batch, terms []objective.Term) ([]*tensors.Tensor, error) {
	args := t.Trained.Args(slices.Clone(t.frozen(t.o.Bases[dev])))
	frozen := len(args) - len(t.Trained)
	if t.o.Head != nil {
		args = t.o.Head.Params.Args(args)
	}
	var names []string
	for _, in := range b.inputs(terms != nil) {
		names, args = append(names, in.Name), append(args, in.Arg())
	}
	e, err := t.graph(dev, names, terms)
	if err != nil {
		return nil, err
	}
	return call(e, args, frozen)
}

// call runs a graph. Arguments from index frozen on belong to this call alone: their
// memory on the device is given back at once, not when the garbage collector comes
// by, which knows nothing of that memory.
func call(e *Exec, args []any, frozen int) ([]*tensors.Tensor, error) {
	out, err := e.Call(args...)
	for _, a := range args[frozen:] {
		if t, ok := a.(*tensors.Tensor); ok {
			finalize([]*tensors.Tensor{t})
		}
	}
	return out, err
}

func finalize(ts []*tensors.Tensor) {
	for _, t := range ts {
		_ = t.FinalizeAll() // freed in any case
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
	for wave := range slices.Chunk(batches, len(t.devs)) {
		parts := make([]Result, len(wave))
		var g parallel.Group
		for i, b := range wave {
			g.Go(func() (err error) {
				parts[i], err = t.gradients(i, b)
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

func (t *Tuner) gradients(dev int, b Batch) (r Result, err error) {
	if b.Weights == nil {
		b.Weights = slices.Repeat([]float32{1}, len(t.o.Terms))
	}
	var terms []objective.Term
	for i, x := range t.o.Terms {
		if b.Weights[i] != 0 {
			terms = append(terms, x)
		}
	}
	if terms == nil {
		return r, errors.New("every term of the loss has weight 0")
	}
	out, err := t.run(dev, b, terms)
	if err != nil {
		return r, err
	}
	defer finalize(out)
	for _, w := range b.Weights {
		if w == 0 {
			r.Terms = append(r.Terms, 0)
			continue
		}
		r.Terms = append(r.Terms, float64(w*tensors.ToScalar[float32](out[0])))
		out = out[1:]
	}
	for _, x := range out {
		g, err := tensors.CopyFlatData[float32](x)
		if err != nil {
			return r, err
		}
		r.Grads = append(r.Grads, g)
	}
	return r, nil
}

// Losses are for each batch the losses in nats of the tokens that it looks at,
// without dropout and not weighted, and of the head the states z, flat.
func (t *Tuner) Losses(batches ...Batch) (nll, z [][]float32, err error) {
	nll, z = make([][]float32, len(batches)), make([][]float32, len(batches))
	for lo := 0; lo < len(batches); lo += len(t.devs) {
		var g parallel.Group
		for i, b := range batches[lo:min(len(batches), lo+len(t.devs))] {
			g.Go(func() (err error) {
				nll[lo+i], z[lo+i], err = t.losses(i, b)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, nil, fmt.Errorf("forward pass: %w", err)
		}
	}
	return nll, z, nil
}

func (t *Tuner) losses(dev int, b Batch) (nll, z []float32, err error) {
	out, err := t.run(dev, b, nil)
	if err != nil {
		return nil, nil, err
	}
	defer finalize(out)
	if nll, err = tensors.CopyFlatData[float32](out[0]); err == nil && len(out) > 1 {
		z, err = tensors.CopyFlatData[float32](out[1])
	}
	return nll, z, err
}
