package causal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/lora"
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
	// Extra are the inputs of the tuner's head, nil to leave it out.
	Extra *ExtraInput
	Seed  uint32 // chooses what dropout drops
}

// lossRows is how many positions' logits exist at a time: 128 MiB of them in float32,
// for softmax and gradient make several copies, and 64 positions at the least, for the
// output matrix is read for each part.
func lossRows(vocab int) int { return min(1024, max(64, 1<<25/vocab)) }

// Extra is a second loss on the last hidden states, with parameters of its own that
// are trained with the model's.
type Extra struct {
	Params weights.Set
	// States gives z [K, Z] at positions [K, 1] of the hidden states [R·S, D].
	States func(hidden *Node, params []*Node, positions *Node) *Node
	// Loss gives from z the terms of the loss, scalars, each multiplied by its weight.
	Loss func(z, mask, target *Node) []*Node
}

// ExtraInput is a batch's part of [Extra].
type ExtraInput struct {
	Positions []int32   // [K] of the flattened [Rows·Seq] states
	Mask      []float32 // [K] 1 where the position counts; only for training
	Target    []float32 // [K·Z]; only for training
	Weights   []float32 // of the terms; only for training
}

// Tuner trains a decoder by cross-entropy: adapters on frozen weights, or all
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
	devs []graphs
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
	Extra     *Extra // nil for none
}

// graphs are what one device has compiled.
type graphs struct{ train, trainExtra, eval, evalExtra *Exec }

// NewTuner trains trained, which it shares.
func NewTuner(trained weights.Set, o TunerOptions) (*Tuner, error) {
	if len(o.Bases) == 0 {
		return nil, errors.New("no device to train on")
	}
	t := &Tuner{Trained: trained, o: o}
	for i := range o.Bases {
		var g graphs
		for _, x := range []struct {
			exec  **Exec
			build func(base Base, in []*Node, extra bool) []*Node
			extra bool
		}{{&g.train, t.trainGraph, false}, {&g.eval, t.evalGraph, false}, {&g.trainExtra, t.trainGraph, true}, {&g.evalExtra, t.evalGraph, true}} {
			if x.extra && o.Extra == nil {
				continue
			}
			base := o.Bases[i]
			e, err := NewExec(base.Device.Backend, func(in []*Node) []*Node { return x.build(base, in, x.extra) })
			if err != nil {
				return nil, err
			}
			// Batches come in a few shapes, which the caller bounds.
			e.SetMaxCache(-1)
			*x.exec = e
		}
		t.devs = append(t.devs, g)
	}
	return t, nil
}

// frozen are the arguments that a base adds to a call.
func (t *Tuner) frozen(b Base) []any {
	if t.o.LoRA == nil {
		return nil
	}
	return b.Args
}

// hidden takes frozen and trained parameters, those of the head and the ids off in,
// and computes the hidden states [R·S, D]. With a seed node dropout is on.
func (t *Tuner) hidden(b Base, in []*Node, seed *Node, training bool) (d *decoder.Model, h *Node, head, rest []*Node) {
	nb, nt := len(t.frozen(b)), len(t.Trained)
	d = &decoder.Model{Config: b.Config, Recompute: training && t.o.Recompute}
	if !b.Device.IsXLA() && t.o.LoRA != nil {
		d.QueryBlocks = queryBlocks
	}
	if t.o.LoRA == nil {
		d.Params = in[:nt]
	} else {
		b.Bind(d, in[:nb])
		d.Delta = lora.Delta(*t.o.LoRA, in[nb:nb+nt], seed)
	}
	in = in[nb+nt:]
	if x := t.o.Extra; x != nil {
		head, in = in[:len(x.Params)], in[len(x.Params):]
	}
	return d, d.Hidden(in[0]), head, in[1:]
}

// supervised narrows hidden states to the positions that are looked at, which an
// input names unless there are none.
func supervised(h *Node, at []*Node) *Node {
	if len(at) == 0 {
		return h
	}
	return decoder.Select(h, at[0])
}

// trainGraph: parameters, ids [R, S], dropout seed, labels [N], weight [N], with extra
// positions [K, 1], mask [K, 1], target [K, Z], weights of the terms; and, unless all
// positions are looked at, at [N] -> loss, the extra's terms, gradients.
func (t *Tuner) trainGraph(b Base, in []*Node, extra bool) []*Node {
	seed := in[len(t.frozen(b))+len(t.Trained)+t.headParams()+1]
	d, h, head, rest := t.hidden(b, in, seed, true)
	labels, w := rest[1], rest[2]
	at := rest[3:]
	if extra {
		at = rest[7:]
	}
	var total *Node
	if s := supervised(h, at); t.o.LoRA == nil {
		total, _ = d.Loss(d.Logits(s), labels, w)
	} else {
		total, _ = d.ChunkedLoss(s, labels, w, lossRows(b.Config.Vocab))
	}
	out := []*Node{total}
	nb := len(t.frozen(b))
	trained := in[nb : nb+len(t.Trained)]
	if extra {
		z := t.o.Extra.States(h, head, rest[3])
		for i, term := range t.o.Extra.Loss(z, rest[4], rest[5]) {
			term = Mul(term, Reshape(Slice(rest[6], AxisElem(i))))
			out, total = append(out, term), Add(total, term)
		}
		trained = slices.Concat(trained, head)
	}
	return append(out, Gradient(total, trained...)...)
}

// evalGraph: parameters, ids, labels, with extra positions, and at as for trainGraph
// -> nll [N], z [K, Z].
func (t *Tuner) evalGraph(b Base, in []*Node, extra bool) []*Node {
	d, h, head, rest := t.hidden(b, in, nil, false)
	at := rest[1:]
	if extra {
		at = rest[2:]
	}
	var out []*Node
	if s := supervised(h, at); t.o.LoRA == nil {
		_, nll := d.Loss(d.Logits(s), rest[0], Zeros(h.Graph(), shapes.Make(dtypes.Float32, rest[0].Shape().Dimensions...)))
		out = append(out, nll)
	} else {
		out = append(out, d.ChunkedNLL(s, rest[0], lossRows(b.Config.Vocab)))
	}
	if extra {
		out = append(out, t.o.Extra.States(h, head, rest[1]))
	}
	return out
}

func (t *Tuner) headParams() int {
	if t.o.Extra == nil {
		return 0
	}
	return len(t.o.Extra.Params)
}

func (t *Tuner) args(dev int, b Batch) []any {
	args := t.Trained.Args(append([]any(nil), t.frozen(t.o.Bases[dev])...))
	if t.o.Extra != nil {
		args = t.o.Extra.Params.Args(args)
	}
	return append(args, tensors.FromFlatDataAndDimensions(b.IDs, b.Rows, b.Seq))
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

func flat[T int32 | float32](v []T) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(v, len(v))
}

func column[T int32 | float32](v []T) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(v, len(v), 1)
}

// Result is what a training pass computes.
type Result struct {
	Loss  float64   // weighted cross-entropy in nats
	Terms []float64 // of the head, times their weights
	// Grads are [tensor][element]: of Trained and then, with a head, of its parameters.
	Grads [][]float32
}

// Gradients adds up the batches' losses and gradients, always in their order. Each
// batch holds an Extra, or none does.
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
	r.Loss += p.Loss
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
	args := append(t.args(dev, b), b.Seed, flat(b.Labels), flat(b.Weight))
	exec := t.devs[dev].train
	terms := 0
	if x := b.Extra; x != nil {
		k := len(x.Positions)
		exec, terms = t.devs[dev].trainExtra, len(x.Weights)
		args = append(args, column(x.Positions), column(x.Mask),
			tensors.FromFlatDataAndDimensions(x.Target, k, len(x.Target)/k), flat(x.Weights))
	}
	if b.At != nil {
		args = append(args, flat(b.At))
	}
	out, err := call(exec, args, len(t.frozen(t.o.Bases[dev])))
	if err != nil {
		return r, err
	}
	defer finalize(out)
	r.Loss = float64(tensors.ToScalar[float32](out[0]))
	for _, x := range out[1 : 1+terms] {
		r.Terms = append(r.Terms, float64(tensors.ToScalar[float32](x)))
	}
	for _, x := range out[1+terms:] {
		g, err := tensors.CopyFlatData[float32](x)
		if err != nil {
			return r, err
		}
		r.Grads = append(r.Grads, g)
	}
	return r, nil
}

// Losses are for each batch the losses in nats of the tokens that it looks at,
// without dropout and not weighted, and with Extra the states z, flat.
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
	args := append(t.args(dev, b), flat(b.Labels))
	exec := t.devs[dev].eval
	if b.Extra != nil {
		exec = t.devs[dev].evalExtra
		args = append(args, column(b.Extra.Positions))
	}
	if b.At != nil {
		args = append(args, flat(b.At))
	}
	out, err := call(exec, args, len(t.frozen(t.o.Bases[dev])))
	if err != nil {
		return nil, nil, err
	}
	defer finalize(out)
	if nll, err = tensors.CopyFlatData[float32](out[0]); err == nil && len(out) > 1 {
		z, err = tensors.CopyFlatData[float32](out[1])
	}
	return nll, z, err
}
