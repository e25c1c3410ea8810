package causal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/objective"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// hostEngine computes batches without a graph of the decoder. Only what terms make of the
// decoder's results, other than the loss of tokens itself, is a graph, and not even that
// where all of them, and the head, can do without.
type hostEngine struct {
	trainer *decoder.HostTrainer
	trained weights.Set
	tail    tail
	dim     int
	vocab   int
}

func newHostEngine(b Base, trained weights.Set, o TunerOptions) (*hostEngine, error) {
	opts := decoder.HostTrainOptions{Recompute: o.Recompute}
	if o.LoRA != nil {
		opts.Adapters = o.LoRA.Host()
		var err error
		if opts.Base, err = b.hostParams(); err != nil {
			return nil, err
		}
	}
	t, err := decoder.NewHostTrainer(b.Config, trained, opts)
	if err != nil {
		return nil, err
	}
	return &hostEngine{trainer: t, trained: trained, tail: tail{b.Device.Backend, o.Head, graphs{}}, dim: b.Config.Dim, vocab: b.Config.Vocab}, nil
}

func (e *hostEngine) close() {
	e.trainer.Stop()
	e.tail.made.close()
}

// hostBatch is a batch whose rows stand one after another without padding.
type hostBatch struct {
	Batch
	pass decoder.HostPass
	at   []int32 // [Rows·Seq] where a position stands now; -1 for padding
	// Of the positions that are looked at, those that are no padding: where they stand,
	// their labels, and their places in Labels.
	seen, labels, places []int32
}

func pack(b Batch) (hostBatch, error) {
	if b.Starts != nil {
		return hostBatch{}, errors.New("rows that examples share are for graphs: give each example a row and its length")
	}
	p := hostBatch{Batch: b, at: make([]int32, b.Rows*b.Seq)}
	p.pass = decoder.HostPass{Lengths: b.Lengths, Seq: b.Seq, Seed: b.Seed}
	if b.Lengths == nil {
		p.pass.Lengths = slices.Repeat([]int{b.Seq}, b.Rows)
	}
	if len(p.pass.Lengths) != b.Rows || len(b.IDs) != b.Rows*b.Seq {
		return p, fmt.Errorf("a batch of %d x %d has %d lengths and %d tokens", b.Rows, b.Seq, len(p.pass.Lengths), len(b.IDs))
	}
	for r, n := range p.pass.Lengths {
		if n < 0 || n > b.Seq {
			return p, fmt.Errorf("row %d of a batch of %d x %d has the length %d", r, b.Rows, b.Seq, n)
		}
		for c := range b.Seq {
			p.at[r*b.Seq+c] = -1
			if c < n {
				p.at[r*b.Seq+c] = int32(len(p.pass.IDs) + c)
			}
		}
		p.pass.IDs = append(p.pass.IDs, b.IDs[r*b.Seq:][:n]...)
	}
	for i, l := range b.Labels {
		at := i
		if b.At != nil {
			at = int(b.At[i])
		}
		if at = int(p.at[at]); at >= 0 {
			p.seen, p.labels, p.places = append(p.seen, int32(at)), append(p.labels, l), append(p.places, int32(i))
		}
	}
	return p, nil
}

// spread puts rows [n, width] at places of rows [size, width] of zeros.
func spread(rows []float32, width int, places []int32, size int) []float32 {
	out := make([]float32, size*width)
	for i, k := range places {
		copy(out[int(k)*width:][:width], rows[i*width:])
	}
	return out
}

// gather takes the rows [width] at places, of which those below 0 are zeros.
func gather(rows []float32, width int, places []int32) []float32 {
	out := make([]float32, len(places)*width)
	for i, k := range places {
		if k >= 0 {
			copy(out[i*width:][:width], rows[int(k)*width:])
		}
	}
	return out
}

// scatter adds rows [width] to those at places, of which those below 0 are left out.
func scatter(to, rows []float32, width int, places []int32) {
	for i, k := range places {
		if k < 0 {
			continue
		}
		y := to[int(k)*width:][:width]
		for j, v := range rows[i*width:][:width] {
			y[j] += v
		}
	}
}

// looks are where the head looks.
func (p *hostBatch) looks() []int32 {
	out := make([]int32, len(p.Positions))
	for i, k := range p.Positions {
		out[i] = p.at[k]
	}
	return out
}

// leaf is what terms read of the decoder's results, and what becomes of the gradient of
// the loss with respect to it.
type leaf struct {
	objective.Input
	back func(d []float32) error
}

func (e *hostEngine) gradients(b Batch, terms []objective.Term) (values []float64, grads [][]float32, err error) {
	p, err := pack(b)
	if err != nil {
		return nil, nil, err
	}
	p.pass.Training = true
	hidden, err := e.trainer.Forward(p.pass)
	if err != nil {
		return nil, nil, err
	}
	for _, x := range e.trained {
		grads = append(grads, make([]float32, len(x.Data)))
	}
	var tokenLoss float64
	if reads(terms, InTokenLoss) {
		if tokenLoss, err = e.trainer.TokenLoss(p.seen, p.labels, gather(b.Weight, 1, p.places), grads); err != nil {
			return nil, nil, err
		}
	}
	// Terms that are the loss of tokens itself need no graph. slope is the gradient of the
	// sum of terms with respect to that loss.
	var slope float32
	var rest []objective.Term
	var weights []float32
	for i, t := range terms {
		if isTokenLoss(t) {
			slope += b.Weights[i]
			continue
		}
		rest, weights = append(rest, t), append(weights, b.Weights[i])
	}
	if p.Positions != nil && e.headAlone(rest) {
		return e.besideHead(&p, terms, rest, weights, hidden, tokenLoss, slope, grads)
	}
	leaves, err := e.leaves(&p, rest, hidden, tokenLoss, grads)
	if err != nil {
		return nil, nil, err
	}
	others, slopes, err := e.behind(b, rest, weights, leaves)
	if err != nil {
		return nil, nil, err
	}
	for i, l := range leaves {
		if l.Name == InTokenLoss {
			slope += slopes[i][0]
		}
	}
	scale(slope, e.trainer.HiddenGradient()) // both hold what TokenLoss added and nothing else
	scale(slope, grads...)
	for i, l := range leaves {
		if l.back == nil {
			continue
		}
		if err := l.back(slopes[i]); err != nil {
			return nil, nil, err
		}
	}
	e.trainer.Backward(grads)
	values = merged(terms, tokenLoss, others)
	if b.Positions == nil {
		return values, grads, nil
	}
	if reads(rest, InZ) {
		return values, append(grads, slopes[len(leaves):]...), nil
	}
	for _, x := range e.tail.head.Params {
		grads = append(grads, make([]float32, len(x.Data)))
	}
	return values, grads, nil
}

// merged are the values of terms, of which the loss of tokens is known.
func merged(terms []objective.Term, tokenLoss float64, others []float64) (values []float64) {
	for _, t := range terms {
		if isTokenLoss(t) {
			values = append(values, tokenLoss)
			continue
		}
		values, others = append(values, others[0]), others[1:]
	}
	return values
}

// headAlone reports whether terms read z and the batch's own inputs alone, and they and the
// head can do without a graph.
func (e *hostEngine) headAlone(terms []objective.Term) bool {
	return e.tail.head.Host != nil && !slices.ContainsFunc(terms, func(t objective.Term) bool { return t.Host == nil || t.Reads[0] != InZ })
}

// besideHead ends gradients where [hostEngine.headAlone]: slope is the gradient by the loss
// of tokens, weights are those of rest, the other terms.
func (e *hostEngine) besideHead(p *hostBatch, terms, rest []objective.Term, weights []float32, hidden []float32, tokenLoss float64, slope float32, grads [][]float32) ([]float64, [][]float32, error) {
	looks := p.looks()
	z, back := e.tail.head.Host(gather(hidden, e.dim, looks))
	read := func(name string) []float32 {
		if name == InZ {
			return z
		}
		for _, x := range p.Inputs {
			if v, ok := x.Value.([]float32); ok && x.Name == name {
				return v
			}
		}
		return nil
	}
	dz, others := make([]float32, len(z)), make([]float64, len(rest))
	for i, t := range rest {
		for _, name := range t.Reads {
			if read(name) == nil {
				return nil, nil, fmt.Errorf("term %s reads %q, which is not there", t.Name, name)
			}
		}
		others[i] = t.Host(read, weights[i], dz)
	}
	of := make([][]float32, len(e.tail.head.Params))
	for i, x := range e.tail.head.Params {
		of[i] = make([]float32, len(x.Data))
	}
	scale(slope, e.trainer.HiddenGradient()) // both hold what TokenLoss added and nothing else
	scale(slope, grads...)
	if len(rest) > 0 {
		scatter(e.trainer.HiddenGradient(), back(dz, of), e.dim, looks)
	}
	e.trainer.Backward(grads)
	return merged(terms, tokenLoss, others), append(grads, of...), nil
}

func reads(terms []objective.Term, name string) bool {
	return slices.ContainsFunc(terms, func(t objective.Term) bool { return slices.Contains(t.Reads, name) })
}

func isTokenLoss(t objective.Term) bool { return t.Loss == nil && t.Reads[0] == InTokenLoss }

func scale(by float32, xs ...[]float32) {
	if by == 1 {
		return
	}
	for _, x := range xs {
		for i := range x {
			x[i] *= by
		}
	}
}

// leaves are what terms read of a pass, which gave hidden.
func (e *hostEngine) leaves(p *hostBatch, terms []objective.Term, hidden []float32, tokenLoss float64, grads [][]float32) (out []leaf, err error) {
	add := func(name string, value any, back func(d []float32) error, dims ...int) {
		out = append(out, leaf{objective.Input{Name: name, Value: value, Dims: dims}, back})
	}
	rows := func(name string, places []int32) {
		add(name, gather(hidden, e.dim, places), func(d []float32) error {
			scatter(e.trainer.HiddenGradient(), d, e.dim, places)
			return nil
		}, len(places), e.dim)
	}
	if reads(terms, InTokenLoss) {
		add(InTokenLoss, float32(tokenLoss), nil)
	}
	if reads(terms, InHidden) {
		rows(InHidden, p.at)
	}
	if reads(terms, InZ) && p.Positions != nil {
		rows(inSeen, p.looks())
	}
	if reads(terms, InLogits) {
		logits := make([]float32, len(p.seen)*e.vocab)
		if err := e.trainer.Logits(logits, p.seen); err != nil {
			return nil, err
		}
		add(InLogits, spread(logits, e.vocab, p.places, len(p.Labels)), func(d []float32) error {
			return e.trainer.LogitsBack(gather(d, e.vocab, p.places), logits, p.seen, grads)
		}, len(p.Labels), e.vocab)
	}
	return out, nil
}

// behind computes terms of a batch from leaves: their values, and the gradients of their
// weighted sum with respect to the leaves and, where the head looks, to its parameters.
func (e *hostEngine) behind(b Batch, terms []objective.Term, weights []float32, leaves []leaf) (values []float64, grads [][]float32, err error) {
	if len(terms) == 0 {
		return nil, nil, nil
	}
	var wrt, in []objective.Input
	for _, l := range leaves {
		wrt = append(wrt, l.Input)
	}
	for _, x := range b.inputs(true) {
		if reads(terms, x.Name) {
			in = append(in, x)
		}
	}
	return e.tail.gradients(terms, weights, wrt, in)
}

func (e *hostEngine) losses(b Batch) (nll, z []float32, err error) {
	p, err := pack(b)
	if err != nil {
		return nil, nil, err
	}
	hidden, err := e.trainer.Forward(p.pass)
	if err != nil {
		return nil, nil, err
	}
	seen := make([]float32, len(p.seen))
	if err := e.trainer.NLL(seen, p.seen, p.labels); err != nil {
		return nil, nil, err
	}
	nll = spread(seen, 1, p.places, len(b.Labels))
	if b.Positions != nil {
		looks := p.looks()
		if e.tail.head.Host != nil {
			z, _ = e.tail.head.Host(gather(hidden, e.dim, looks))
			return nll, z, nil
		}
		z, err = e.tail.states(objective.Input{Name: inSeen, Value: gather(hidden, e.dim, looks), Dims: []int{len(looks), e.dim}})
	}
	return nll, z, err
}

func (e *hostEngine) surprisals(b Batch) (nll, rank []float32, err error) {
	p, err := pack(b)
	if err != nil {
		return nil, nil, err
	}
	if _, err := e.trainer.Forward(p.pass); err != nil {
		return nil, nil, err
	}
	nll, rank = make([]float32, len(p.seen)), make([]float32, len(p.seen))
	if err := e.trainer.Surprisals(nll, rank, p.seen, p.labels); err != nil {
		return nil, nil, err
	}
	return spread(nll, 1, p.places, len(b.Labels)), spread(rank, 1, p.places, len(b.Labels)), nil
}
