package train

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Student is what the routed step needs of a language model in training. The one
// here is trained whole and from scratch; one that trains adapters on a frozen
// checkpoint, or that lives on another device, implements the same four methods.
//
// Router and students exchange numbers, never gradients: each loss stops the
// gradient at the other's outputs. That is why they can be separate graphs.
type Student interface {
	Name() string
	Tokenizer() tokenizer.Tokenizer
	// Forward computes, without changing anything, each row's summed loss in nats
	// and the projected states at its aligned positions.
	Forward(b batchRows, align *alignment) (nll []float32, z []float32, err error)
	// Train takes one optimizer step. Rows with weight 0 in b.mask carry no loss.
	Train(b batchRows, o stepInput) (stepResult, error)
}

// stepInput is one training step's input besides the rows.
type stepInput struct {
	lr     float64
	weight []float32  // [rows·seq] cross-entropy weight of each position
	peers  *peerInput // nil: cross-entropy only
	// probe asks for the gradient norms of both losses apart, at the price of a
	// second pass.
	probe bool
}

// stepResult is what one training step reports.
type stepResult struct {
	loss               float64   // weighted cross-entropy
	nll                []float32 // per row, summed over supervised positions
	peer, vary, covary float64   // peer terms, unweighted
	gradNorm           float64   // before clipping
	ceNorm, peerNorm   float64   // with probe: norms of the two gradients on the trunk
}

// scratchStudent is a decoder whose every weight is trained.
type scratchStudent struct {
	name   string
	dev    *device.Device
	config decoder.Config
	tok    tokenizer.Tokenizer
	zdim   int

	params weights.Set // the decoder
	proj   weights.Set // the projection to the common space; not part of the model
	opt    *optim.AdamW
	projOp *optim.AdamW

	forward, trainCE, trainPeers *Exec
}

func newScratchStudent(name string, dev *device.Device, c decoder.Config, tok tokenizer.Tokenizer, zdim int, seed uint64) (*scratchStudent, error) {
	params, err := decoder.Init(c, seed)
	if err != nil {
		return nil, fmt.Errorf("student %s: %w", name, err)
	}
	s := &scratchStudent{name: name, dev: dev, config: c, tok: tok, zdim: zdim, params: params}
	s.proj = weights.Set{weights.Normal(seed, 0.2, "peer.proj.weight", zdim, c.Dim)}
	s.opt = optim.NewAdamW(params, decoder.Decays(params))
	s.opt.Rates = decoder.Rates(c, params)
	s.projOp = optim.NewAdamW(s.proj, nil)
	for _, g := range []struct {
		e    **Exec
		name string
		f    func([]*Node) []*Node
	}{
		{&s.forward, "forward", s.forwardGraph},
		{&s.trainCE, "train", func(in []*Node) []*Node { return s.trainGraph(in, false) }},
		{&s.trainPeers, "train-peers", func(in []*Node) []*Node { return s.trainGraph(in, true) }},
	} {
		if *g.e, err = NewExec(dev.Backend, g.f); err != nil {
			return nil, fmt.Errorf("student %s: %s graph: %w", name, g.name, err)
		}
		// Batches come in a few lengths and row counts, each its own graph; the trainer
		// bounds their number.
		(*g.e).SetMaxCache(-1)
	}
	return s, nil
}

func (s *scratchStudent) Name() string                   { return s.name }
func (s *scratchStudent) Tokenizer() tokenizer.Tokenizer { return s.tok }

// model takes the decoder's parameters off the front of a graph's inputs.
func (s *scratchStudent) model(in []*Node) (*decoder.Model, []*Node) {
	n := len(s.params)
	return &decoder.Model{Config: s.config, Params: in[:n]}, in[n:]
}

// forwardGraph: params, proj, ids [R,S], labels [R·S], mask [R·S] and, with peers,
// positions [R·A, 1] -> summed loss per row [R] and z [R·A, Z].
func (s *scratchStudent) forwardGraph(in []*Node) []*Node {
	m, in := s.model(in)
	proj, ids, labels, mask := in[0], in[1], in[2], in[3]
	rows := ids.Shape().Dimensions[0]
	h := m.Hidden(ids)
	_, nll := m.Loss(m.Logits(h), labels, mask)
	out := []*Node{ReduceSum(Reshape(Mul(nll, mask), rows, -1), -1)}
	if len(in) > 4 {
		out = append(out, project(h, proj, in[4]))
	}
	return out
}

// trainGraph: params, proj, ids, labels, weight, mask and, with peers, positions
// [R·A, 1], their mask [R·A, 1], the target [R·A, Z] and the three coefficients
// -> losses, summed loss per row, gradients.
func (s *scratchStudent) trainGraph(in []*Node, peers bool) []*Node {
	m, in := s.model(in)
	proj, ids, labels, weight, mask := in[0], in[1], in[2], in[3], in[4]
	rows := ids.Shape().Dimensions[0]
	h := m.Hidden(ids)
	total, nll := m.Loss(m.Logits(h), labels, weight)
	out := []*Node{total, ReduceSum(Reshape(Mul(nll, mask), rows, -1), -1)}
	trained := m.Params
	if peers {
		in = in[5:]
		peer, vary, covary := peerLosses(project(h, proj, in[0]), in[1], in[2])
		out = append(out, peer, vary, covary)
		total = Add(total, Add(Mul(peer, in[3]), Add(Mul(vary, in[4]), Mul(covary, in[5]))))
		trained = append(append([]*Node(nil), m.Params...), proj)
	}
	return append(out, Gradient(total, trained...)...)
}

func (s *scratchStudent) args(b batchRows) []any {
	args := s.proj.Args(s.params.Args(nil))
	return append(args,
		tensors.FromFlatDataAndDimensions(b.ids, b.rows, b.seq),
		tensors.FromFlatDataAndDimensions(b.labels, b.rows*b.seq))
}

// Forward implements [Student].
func (s *scratchStudent) Forward(b batchRows, align *alignment) (nll, z []float32, err error) {
	args := append(s.args(b), tensors.FromFlatDataAndDimensions(b.mask, b.rows*b.seq))
	if align != nil {
		args = append(args, tensors.FromFlatDataAndDimensions(align.positions, len(align.positions), 1))
	}
	out, err := s.forward.Call(args...)
	if err != nil {
		return nil, nil, fmt.Errorf("student %s: forward: %w", s.name, err)
	}
	if nll, err = tensors.CopyFlatData[float32](out[0]); err != nil {
		return nil, nil, err
	}
	if align != nil {
		z, err = tensors.CopyFlatData[float32](out[1])
	}
	return nll, z, err
}

// Train implements [Student].
func (s *scratchStudent) Train(b batchRows, o stepInput) (r stepResult, err error) {
	if o.peers == nil {
		grads, err := s.gradients(b, o, &r, 1)
		if err != nil {
			return r, err
		}
		r.gradNorm, err = s.opt.Step(s.params, grads, o.lr)
		return r, s.wrap(err)
	}
	grads, err := s.gradients(b, o, &r, 1)
	if err != nil {
		return r, err
	}
	n := len(s.params)
	if o.probe {
		var unused stepResult
		ce, err := s.gradients(b, o, &unused, 0)
		if err != nil {
			return r, err
		}
		peer := make([][]float32, n)
		for i := range peer {
			peer[i] = make([]float32, len(grads[i]))
			for j := range peer[i] {
				peer[i][j] = grads[i][j] - ce[i][j]
			}
		}
		r.ceNorm, r.peerNorm = optim.Norm(ce[:n]), optim.Norm(peer)
	}
	if r.gradNorm, err = s.opt.Step(s.params, grads[:n], o.lr); err != nil {
		return r, s.wrap(err)
	}
	_, err = s.projOp.Step(s.proj, grads[n:], o.peers.lr)
	return r, s.wrap(err)
}

func (s *scratchStudent) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("student %s: %w", s.name, err)
}

// gradients runs a training graph; scale multiplies the peer terms.
func (s *scratchStudent) gradients(b batchRows, o stepInput, r *stepResult, scale float32) ([][]float32, error) {
	args := append(s.args(b),
		tensors.FromFlatDataAndDimensions(o.weight, b.rows*b.seq),
		tensors.FromFlatDataAndDimensions(b.mask, b.rows*b.seq))
	exec, first := s.trainCE, 2
	if p := o.peers; p != nil {
		exec, first = s.trainPeers, 5
		a := len(p.align.positions)
		args = append(args,
			tensors.FromFlatDataAndDimensions(p.align.positions, a, 1),
			tensors.FromFlatDataAndDimensions(p.align.mask, a, 1),
			tensors.FromFlatDataAndDimensions(p.target, a, s.zdim),
			scale*p.lambda, scale*p.varWeight, scale*p.covWeight)
	}
	out, err := exec.Call(args...)
	if err != nil {
		return nil, fmt.Errorf("student %s: training step: %w", s.name, err)
	}
	r.loss = float64(tensors.ToScalar[float32](out[0]))
	if r.nll, err = tensors.CopyFlatData[float32](out[1]); err != nil {
		return nil, err
	}
	if o.peers != nil {
		r.peer = float64(tensors.ToScalar[float32](out[2]))
		r.vary = float64(tensors.ToScalar[float32](out[3]))
		r.covary = float64(tensors.ToScalar[float32](out[4]))
	}
	grads := make([][]float32, 0, len(out)-first)
	for _, t := range out[first:] {
		g, err := tensors.CopyFlatData[float32](t)
		if err != nil {
			return nil, err
		}
		grads = append(grads, g)
	}
	return grads, nil
}
