package causal

import (
	"slices"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/objective"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// lossRows is how many positions' logits exist at a time in a graph: 128 MiB of them in float32,
// for softmax and gradient make several copies, and 64 positions at the least, for the
// output matrix is read for each part.
func lossRows(vocab int) int { return min(1024, max(64, 1<<25/vocab)) }

// graphEngine computes batches by graphs of the whole decoder: on XLA and, as the oracle
// of tests, on the pure-Go backend.
type graphEngine struct {
	base    Base
	trained weights.Set
	o       TunerOptions
	made    graphs
}

// graphs are what one backend has compiled, by what they compute and read.
type graphs map[string]*Exec

// get is the graph of terms that read inputs of these names, which build makes.
func (g graphs) get(backend compute.Backend, names []string, terms []objective.Term, build func(in []*Node) []*Node) (*Exec, error) {
	key := strings.Join(names, " ") + ":"
	for _, x := range terms {
		key += " " + x.Name
	}
	if e := g[key]; e != nil {
		return e, nil
	}
	e, err := NewExec(backend, build)
	if err != nil {
		return nil, err
	}
	// Batches come in a few shapes, which the caller bounds.
	e.SetMaxCache(-1)
	g[key] = e
	return e, nil
}

func (g graphs) close() {
	for _, e := range g {
		e.Finalize()
	}
	clear(g)
}

func (e *graphEngine) close() { e.made.close() }

// frozen are the arguments that the base adds to a call.
func (e *graphEngine) frozen() []any {
	if e.o.LoRA == nil {
		return nil
	}
	return e.base.args()
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
func (e *graphEngine) begin(names []string, in []*Node, training bool) graphCall {
	take := func(n int) (nodes []*Node) {
		nodes, in = in[:n], in[n:]
		return nodes
	}
	frozen, trained := take(len(e.frozen())), take(len(e.trained))
	var head []*Node
	if e.o.Head != nil {
		head = take(len(e.o.Head.Params))
	}
	c := graphCall{
		decoder: &decoder.Model{Config: e.base.Config, Recompute: training && e.o.Recompute},
		in:      objective.NewNodes(names, in), params: trained,
	}
	d := c.decoder
	if e.o.LoRA == nil {
		d.Params = trained
	} else {
		var seed *Node
		if training {
			seed = c.in.Get(inSeed)
		}
		e.base.Bind(d, frozen)
		d.Delta = lora.Delta(*e.o.LoRA, trained, seed)
	}
	if c.in.Has(inStarts) {
		d.Starts = c.in.Get(inStarts)
	}
	h := d.Hidden(c.in.Get(InIDs))
	c.in.Set(InHidden, h)
	c.at = h
	if c.in.Has(inAt) {
		c.at = decoder.Select(h, c.in.Get(inAt))
	}
	if c.in.Has(InPositions) {
		c.params = slices.Concat(trained, head)
		c.in.Demand(InZ, func() *Node { return e.o.Head.States(Gather(h, c.in.Get(InPositions)), head) })
	}
	return c
}

// trainGraph gives the terms, not weighted, and the gradients of their weighted sum.
func (e *graphEngine) trainGraph(names []string, in []*Node, terms []objective.Term) []*Node {
	c := e.begin(names, in, true)
	c.in.Demand(InLogits, func() *Node { return c.decoder.Logits(c.at) })
	c.in.Demand(InTokenLoss, func() (total *Node) {
		if e.o.LoRA == nil {
			total, _ = c.decoder.Loss(c.in.Get(InLogits), c.in.Get(InLabels), c.in.Get(InWeight))
		} else {
			total, _ = c.decoder.ChunkedLoss(c.at, c.in.Get(InLabels), c.in.Get(InWeight), lossRows(e.base.Config.Vocab))
		}
		return total
	})
	values, total := objective.Sum(terms, c.in, c.in.Get(inWeights))
	return append(values, Gradient(total, c.params...)...)
}

// evalGraph gives nll [N] and, with positions, z [K, Z].
func (e *graphEngine) evalGraph(names []string, in []*Node) []*Node {
	c := e.begin(names, in, false)
	labels := c.in.Get(InLabels)
	var out []*Node
	if e.o.LoRA == nil {
		_, nll := c.decoder.Loss(c.decoder.Logits(c.at), labels, Zeros(labels.Graph(), shapes.Make(dtypes.Float32, labels.Shape().Dimensions...)))
		out = append(out, nll)
	} else {
		out = append(out, c.decoder.ChunkedNLL(c.at, labels, lossRows(e.base.Config.Vocab)))
	}
	if c.in.Has(InZ) {
		out = append(out, c.in.Get(InZ))
	}
	return out
}

// surprisalGraph gives nll [N] and rank [N].
func (e *graphEngine) surprisalGraph(names []string, in []*Node) []*Node {
	c := e.begin(names, in, false)
	nll, rank := c.decoder.ChunkedSurprisals(c.at, c.in.Get(InLabels), lossRows(e.base.Config.Vocab))
	return []*Node{nll, rank}
}

// run runs the graph of a batch that build makes; terms tell it from others. The caller
// finalizes what comes back.
func (e *graphEngine) run(b Batch, training bool, terms []objective.Term, build func(names []string, in []*Node) []*Node) ([]*tensors.Tensor, error) {
	args := e.trained.Args(slices.Clone(e.frozen()))
	frozen := len(args) - len(e.trained)
	if e.o.Head != nil {
		args = e.o.Head.Params.Args(args)
	}
	var names []string
	for _, in := range b.inputs(training) {
		names, args = append(names, in.Name), append(args, in.Arg())
	}
	g, err := e.made.get(e.base.Device.Backend, names, terms, func(in []*Node) []*Node {
		return build(names, in)
	})
	if err != nil {
		return nil, err
	}
	return call(g, args, frozen)
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

func (e *graphEngine) gradients(b Batch, terms []objective.Term) (values []float64, grads [][]float32, err error) {
	out, err := e.run(b, true, terms, func(names []string, in []*Node) []*Node { return e.trainGraph(names, in, terms) })
	if err != nil {
		return nil, nil, err
	}
	defer finalize(out)
	return results(out, len(terms))
}

// results takes apart what a graph of terms gives: their values, and gradients.
func results(out []*tensors.Tensor, terms int) (values []float64, grads [][]float32, err error) {
	for _, x := range out[:terms] {
		values = append(values, float64(tensors.ToScalar[float32](x)))
	}
	for _, x := range out[terms:] {
		g, err := tensors.CopyFlatData[float32](x)
		if err != nil {
			return nil, nil, err
		}
		grads = append(grads, g)
	}
	return values, grads, nil
}

func (e *graphEngine) losses(b Batch) (nll, z []float32, err error) {
	out, err := e.run(b, false, nil, e.evalGraph)
	if err != nil {
		return nil, nil, err
	}
	defer finalize(out)
	if nll, err = tensors.CopyFlatData[float32](out[0]); err == nil && len(out) > 1 {
		z, err = tensors.CopyFlatData[float32](out[1])
	}
	return nll, z, err
}

func (e *graphEngine) surprisals(b Batch) (nll, rank []float32, err error) {
	b.Positions = nil
	out, err := e.run(b, false, []objective.Term{{Name: "surprisals"}}, e.surprisalGraph)
	if err != nil {
		return nil, nil, err
	}
	defer finalize(out)
	if nll, err = tensors.CopyFlatData[float32](out[0]); err == nil {
		rank, err = tensors.CopyFlatData[float32](out[1])
	}
	return nll, rank, err
}
