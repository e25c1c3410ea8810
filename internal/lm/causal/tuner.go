package causal

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/optim"
)

// Batch is one graph call's worth of sequences, padded on the right.
type Batch struct {
	Rows, Seq int
	IDs       []int32 // [Rows·Seq]
	// At lists the positions, as row·Seq + column, whose next token carries loss;
	// only they reach the output layer. Padded with any position of weight 0.
	At     []int32
	Labels []int32   // [len(At)] the next token
	Weight []float32 // [len(At)] what each one's loss is multiplied by
}

// lossRows is how many positions' logits exist at a time: with a vocabulary of 256
// thousand they take a quarter of a gigabyte in float32.
const lossRows = 256

// Tuner trains a model's adapters by cross-entropy. The frozen weights take no
// gradient. The optimizer runs on the host, in float32.
type Tuner struct {
	*Model
	Opt *optim.AdamW

	train, eval *Exec
}

// TunerOptions choose what is trained and how.
type TunerOptions struct {
	LoRA lora.Config // resolved
	Seed uint64      // of the adapters' first values
	// Recompute trades time for memory: activations between layers are computed again
	// in the backward pass.
	Recompute bool
}

// NewTuner gives m fresh adapters and compiles what trains them. m's previous
// adapters are forgotten.
func NewTuner(m *Model, o TunerOptions) (*Tuner, error) {
	s, err := lora.Init(m.Config, o.LoRA, o.Seed)
	if err != nil {
		return nil, err
	}
	own := *m
	own.LoRA, own.Adapters = &o.LoRA, s
	t := &Tuner{Model: &own}
	decays := make([]bool, len(s))
	for i := range decays {
		decays[i] = true
	}
	t.Opt = optim.NewAdamW(s, decays)
	nb, na := len(own.base.Args), len(s)
	// build: base, adapters, ids, at, ... -> the model and the hidden states that
	// reach the output layer.
	build := func(in []*Node, seed *Node, training bool) (*decoder.Model, *Node, []*Node) {
		adapters, rest := in[nb:nb+na], in[nb+na:]
		d := &decoder.Model{Config: own.Config, Recompute: training && o.Recompute, Delta: lora.Delta(o.LoRA, adapters, seed)}
		own.base.Bind(d, in[:nb])
		return d, Gather(d.Hidden(rest[0]), Reshape(rest[1], -1, 1)), rest
	}
	// train: ..., labels, weight, dropout seed -> loss, gradients.
	if t.train, err = NewExec(m.base.Device.Backend, func(in []*Node) []*Node {
		d, h, rest := build(in, in[len(in)-1], true)
		total, _ := d.ChunkedLoss(h, rest[2], rest[3], lossRows)
		return append([]*Node{total}, Gradient(total, in[nb:nb+na]...)...)
	}); err != nil {
		return nil, err
	}
	// eval: ..., labels, weight -> nll.
	t.eval, err = NewExec(m.base.Device.Backend, func(in []*Node) []*Node {
		d, h, rest := build(in, nil, false)
		return []*Node{d.ChunkedNLL(h, rest[2], lossRows)}
	})
	// Batches come in a few shapes, which the caller bounds.
	t.train.SetMaxCache(-1)
	if err == nil {
		t.eval.SetMaxCache(-1)
	}
	return t, err
}

func (t *Tuner) args(b Batch) []any {
	args := append([]any(nil), t.base.Args...)
	args = t.Adapters.Args(args)
	return append(args,
		tensors.FromFlatDataAndDimensions(b.IDs, b.Rows, b.Seq),
		tensors.FromFlatDataAndDimensions(b.At, len(b.At)),
		tensors.FromFlatDataAndDimensions(b.Labels, len(b.At)),
		tensors.FromFlatDataAndDimensions(b.Weight, len(b.At)))
}

// Gradients computes a batch's weighted loss in nats and its gradients, which it
// adds to sum ([adapter][element]; nil starts one). seed chooses what dropout drops.
func (t *Tuner) Gradients(b Batch, seed uint32, sum [][]float32) (loss float64, grads [][]float32, err error) {
	out, err := t.train.Call(append(t.args(b), seed)...)
	if err != nil {
		return 0, nil, fmt.Errorf("training step: %w", err)
	}
	loss = float64(tensors.ToScalar[float32](out[0]))
	for i, x := range out[1:] {
		g, err := tensors.CopyFlatData[float32](x)
		if err != nil {
			return 0, nil, err
		}
		if sum == nil {
			grads = append(grads, g)
			continue
		}
		for j, v := range g {
			sum[i][j] += v
		}
	}
	if sum != nil {
		grads = sum
	}
	return loss, grads, nil
}

// Losses are the losses in nats of a batch's supervised tokens, [len(b.At)], without
// dropout; b.Weight is not applied.
func (t *Tuner) Losses(b Batch) ([]float32, error) {
	out, err := t.eval.Call(t.args(b)...)
	if err != nil {
		return nil, fmt.Errorf("forward pass: %w", err)
	}
	return tensors.CopyFlatData[float32](out[0])
}

// Step applies gradients with a learning rate and returns their norm before
// clipping.
func (t *Tuner) Step(grads [][]float32, lr float64) (norm float64, err error) {
	return t.Opt.Step(t.Adapters, grads, lr)
}
