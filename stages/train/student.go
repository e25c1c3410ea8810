package train

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// student is a language model in training: a published one with adapters, or a small
// decoder from scratch, trained whole or, once it is frozen, by adapters.
//
// Router and students exchange numbers, never gradients: each loss stops the gradient
// at the other's outputs. That is why they can be separate graphs on separate devices.
type student struct {
	name string
	spec studentPlan
	plan *plan
	seed uint64
	devs []*device.Device

	model  *causal.Model       // published; nil from scratch
	tok    tokenizer.Tokenizer // from scratch
	config decoder.Config
	pad    int32

	seqs    []sequence // [path]
	aligned [][]int    // [path] positions that all students share
	// Half of the longest length, rounded up: what lengths of rows are rounded up to on XLA.
	half   int
	shares bool // on XLA paths share rows

	base   weights.Set  // the frozen weights of a student from scratch that has adapters
	lora   *lora.Config // nil while all weights are trained
	params weights.Set  // what is trained
	opt    *optim.AdamW
	gain   weights.Set // gradient of the loss on the paths that measure gains; nil before the first
	proj   weights.Set // the projection to the common space of hidden states; not part of the model
	projOp *optim.AdamW
	tuner  *causal.Tuner

	window struct{ loss, tokens float64 } // since the last metric
	dev    devState
	count  struct{ real, padded int64 } // tokens passed through in training
}

// leastEightBit is the size below which a tensor's moments stay in 32 bits, as in
// bitsandbytes.
const leastEightBit = 4096

// begin starts training params, adapters of c or all weights, on bases.
func (s *student) begin(params weights.Set, c *lora.Config, bases []causal.Base) (err error) {
	s.params, s.lora = params, c
	if c == nil {
		s.opt = optim.NewAdamW(params, decoder.Decays(params))
		s.opt.Rates = decoder.Rates(s.config, params)
	} else {
		decays := make([]bool, len(params))
		for i := range decays {
			decays[i] = true
		}
		s.opt = optim.NewAdamW(params, decays)
		s.opt.Beta2 = 0.999
	}
	s.opt.Decay, s.opt.Clip = s.plan.WeightDecay, s.plan.ClipNorm
	if s.plan.EightBit {
		s.opt.UseEightBit(params, leastEightBit)
	}
	o := causal.TunerOptions{Bases: bases, LoRA: c, Recompute: s.plan.recomputes(s.spec, s.devs[0]), Terms: formulas(s.plan.losses)}
	if s.proj != nil {
		raw := s.plan.route.rawStates
		o.Head = &causal.Head{
			Params: s.proj,
			States: func(h *Node, params []*Node) *Node { return project(h, params[0], raw) },
			Host: func(h []float32) ([]float32, func(dz []float32, grads [][]float32) []float32) {
				return hostProject(h, s.proj[0].Data, s.plan.peerDim(), raw)
			},
		}
	}
	s.close()
	if s.tuner, err = causal.NewTuner(params, o); err != nil {
		return fmt.Errorf("student %s: %w", s.name, err)
	}
	return nil
}

// close lets go of what training needed besides the weights.
func (s *student) close() {
	if s.tuner != nil {
		s.tuner.Close()
	}
}

// willFreeze reports whether the student is trained whole first and by adapters then.
func (s *student) willFreeze() bool { return s.model == nil && s.spec.lora != nil }

// freeze ends the training of all weights: from here on they stay as they are, and
// fresh adapters are trained on them.
func (s *student) freeze() error {
	if !s.willFreeze() || s.base != nil {
		return nil
	}
	adapters, err := lora.Init(s.config, *s.spec.lora, streamSeed(s.seed, streamInit+"/lora/"+s.name))
	if err != nil {
		return err
	}
	s.base = s.params
	var bases []causal.Base
	for _, d := range s.devs {
		bases = append(bases, causal.Plain(d, s.config, s.base.Args(nil)))
	}
	return s.begin(adapters, s.spec.lora, bases)
}

// trainInput is one training step's input.
type trainInput struct {
	paths    []int
	own      []bool // which of them carry cross-entropy; nil means all
	most     int    // paths that a step of this phase has at most
	lr       float64
	ensemble *ensemble // nil without peer teaching
	// probe asks for the gradient norms of cross-entropy and of the other terms apart, at
	// the price of a second pass.
	probe   bool
	dropout *rand.Rand
}

// stepResult is what one training step reports.
type stepResult struct {
	loss             float64   // mean cross-entropy of the supervised tokens
	tokens           int       // supervised
	terms            []float64 // of the loss, not weighted; 0 where left out
	gradNorm         float64   // before clipping
	ceNorm, peerNorm float64   // with probe: norms of the two gradients on what is trained
	projNorm         float64   // of the projection's gradient
}

// term is the value of a term, 0 where the student took no step.
func (r stepResult) term(i int) float64 {
	if r.terms == nil {
		return 0
	}
	return r.terms[i]
}

// micro is how many paths pass through the student at a time.
func (s *student) micro(paths int) int {
	if s.plan.MicroBatch > 0 {
		return s.plan.MicroBatch
	}
	// Devices share a step's paths.
	parts := len(s.devs)
	return max(1, (paths+parts-1)/parts)
}

// onHost reports whether the student's passes have no graph: any shape is as good as
// another, and padding is left out.
func (s *student) onHost() bool { return !s.devs[0].IsXLA() }

// sharingPays reports whether paths should share rows on XLA. It saves padding, but every row
// is as long as the longest path then, and attention costs a row's length squared: that must
// be little beside the weights of a layer.
func (s *student) sharingPays() bool {
	c := s.config
	layer := c.Dim*(2*c.Heads+2*c.KVHeads)*c.HeadDim + 3*c.Dim*c.FFN
	return layer >= 8*(2*s.half)*c.Heads*c.HeadDim
}

// packed is paths laid out for one pass.
type packed struct {
	causal.Batch
	mask   []float32 // [len(Labels)] 1 for supervised tokens
	of     []int     // [Rows·Seq] whose position it is, among the paths
	places []int     // [path] of its first position, row·Seq + column
	room   int       // for so many paths; what is laid out by paths is padded to it
}

// batch lays out paths for one pass. weight multiplies the loss of each path's supervised
// tokens. Without a graph each path has a row and no padding. On XLA each shape is a graph of
// its own, which takes longer to compile than padding to compute: lengths of rows and numbers
// of paths are rounded up to halves of the most there are and, where paths share rows, which
// all have one length then, numbers of rows to quarters.
func (s *student) batch(paths []int, most int, weight func(path int) float32) (p packed, err error) {
	seqs, lengths := make([]sequence, len(paths)), make([]int, len(paths))
	longest := 1
	for i, x := range paths {
		seqs[i] = s.seqs[x]
		lengths[i] = len(seqs[i].ids) - 1
		longest = max(longest, lengths[i])
		s.count.real += int64(lengths[i])
	}
	p.Rows, p.Seq, p.room = len(paths), longest, len(paths)
	parts := p.Rows * longest // so that none is filled up
	if s.onHost() {
		p.Lengths, p.places = lengths, inRows(len(paths), longest)
		for _, n := range lengths {
			s.count.padded += int64(n)
		}
	} else {
		parts = 2
		p.room = max(p.room, min(most, roundUp(p.room, (most+1)/2)))
		if s.shares {
			p.Seq = 2 * s.half
			p.places, p.Rows = packRows(lengths, p.Seq)
			p.Rows = max(p.Rows, min(most, roundUp(p.Rows, (most+3)/4)))
		} else {
			p.Rows, p.Seq = p.room, roundUp(longest, s.half)
			p.places = inRows(len(paths), p.Seq)
		}
		s.count.padded += int64(p.Rows * p.Seq)
	}
	x, err := makeBatch(seqs, p.places, p.Rows, p.Seq, s.pad)
	if err != nil {
		return p, fmt.Errorf("student %s: %w", s.name, err)
	}
	if s.shares {
		p.Starts = x.starts
	}
	p.IDs, p.Labels, p.Weight, p.mask, p.of = x.ids, x.labels, make([]float32, len(x.mask)), x.mask, x.of
	for i, m := range x.mask {
		if m != 0 {
			p.Weight[i] = m * weight(x.of[i])
		}
	}
	if s.model == nil && !s.onHost() {
		return p, nil
	}
	p.At, p.Labels, p.Weight = decoder.Supervised(x.labels, p.Weight, parts)
	p.mask = make([]float32, len(p.At))
	for i, w := range p.Weight {
		if w != 0 {
			p.mask[i] = 1
		}
	}
	return p, nil
}

func ones(int) float32 { return 1 }

// forward computes, without changing anything, each path's summed loss in nats, and
// with per > 0 the projected states at its aligned positions, [len(paths)·per, Z].
func (s *student) forward(paths []int, most, per int) (nll []float64, z []float32, err error) {
	var passes []packed
	var batches []causal.Batch
	micro := s.micro(most)
	for lo := 0; lo < len(paths); lo += micro {
		part := paths[lo:min(len(paths), lo+micro)]
		p, err := s.batch(part, micro, ones)
		if err != nil {
			return nil, nil, err
		}
		if per > 0 {
			p.Positions = s.alignment(part, p, per).positions
		}
		passes, batches = append(passes, p), append(batches, p.Batch)
	}
	losses, states, err := s.tuner.Losses(batches...)
	if err != nil {
		return nil, nil, fmt.Errorf("student %s: %w", s.name, err)
	}
	nll = make([]float64, len(paths))
	for k, p := range passes {
		first := k * micro
		n := min(len(paths)-first, micro)
		for i, v := range losses[k] {
			at := i
			if p.At != nil {
				at = int(p.At[i])
			}
			if p.mask[i] != 0 {
				nll[first+p.of[at]] += float64(v)
			}
		}
		if per > 0 {
			z = append(z, states[k][:n*per*s.plan.peerDim()]...)
		}
	}
	return nll, z, nil
}

func (s *student) alignment(paths []int, p packed, per int) *alignment {
	aligned := make([][]int, len(paths))
	for i, x := range paths {
		aligned[i] = s.aligned[x]
	}
	return makeAlignment(aligned, p.places, p.room, per)
}

// batches lays out a training step.
func (s *student) batches(in trainInput) (out []causal.Batch, tokens int, err error) {
	own := func(i int) bool { return in.own == nil || in.own[i] }
	aligned := 0
	for i, p := range in.paths {
		if own(i) {
			tokens += s.seqs[p].supervised()
		}
		if in.ensemble != nil {
			aligned += min(len(s.aligned[p]), in.ensemble.per)
		}
	}
	micro := s.micro(in.most)
	for lo := 0; lo < len(in.paths); lo += micro {
		part := in.paths[lo:min(len(in.paths), lo+micro)]
		b, err := s.batch(part, micro, func(path int) float32 {
			if own(lo + path) {
				return 1 / float32(tokens)
			}
			return 0
		})
		if err != nil {
			return nil, 0, err
		}
		if in.dropout != nil {
			b.Seed = in.dropout.Uint32()
		}
		p := &pass{step: &in, first: lo, paths: part, batch: b.Batch}
		if in.ensemble != nil {
			p.align(s.alignment(part, b, in.ensemble.per), aligned)
		}
		p.weigh(s.plan.losses)
		out = append(out, p.batch)
	}
	return out, tokens, nil
}

// train takes one optimizer step.
func (s *student) train(in trainInput) (r stepResult, err error) {
	batches, tokens, err := s.batches(in)
	if err != nil {
		return r, err
	}
	res, err := s.tuner.Gradients(batches...)
	if err != nil {
		return r, fmt.Errorf("student %s: %w", s.name, err)
	}
	r.loss, r.tokens = res.Terms[0], tokens
	if math.IsNaN(r.loss) || math.IsInf(r.loss, 0) {
		return r, fmt.Errorf("student %s: the loss is %v, not finite: lower lr (%g) or raise lr_warmup (%d); in bf16, try precision: f32", s.name, r.loss, s.spec.rate, s.plan.lrWarmup)
	}
	n := len(s.params)
	r.terms = make([]float64, len(res.Terms))
	for i, t := range s.plan.losses {
		if w := float64(float32(t.weight)); w > 0 {
			r.terms[i] = res.Terms[i] / w
		}
	}
	if in.ensemble != nil && in.probe {
		for i := range batches {
			clear(batches[i].Weights[1:])
			batches[i].Positions, batches[i].Inputs = nil, nil
		}
		ce, err := s.tuner.Gradients(batches...)
		if err != nil {
			return r, fmt.Errorf("student %s: %w", s.name, err)
		}
		peer := make([][]float32, n)
		for i := range peer {
			peer[i] = make([]float32, len(res.Grads[i]))
			for j := range peer[i] {
				peer[i][j] = res.Grads[i][j] - ce.Grads[i][j]
			}
		}
		r.ceNorm, r.peerNorm = optim.Norm(ce.Grads), optim.Norm(peer)
	}
	if r.gradNorm, err = s.opt.Step(s.params, res.Grads[:n], in.lr); err == nil && in.ensemble != nil {
		r.projNorm, err = s.projOp.Step(s.proj, res.Grads[n:], in.ensemble.lr)
	}
	if err != nil {
		return r, fmt.Errorf("student %s: %w", s.name, err)
	}
	return r, nil
}

// newStudents opens published models and trains the tokenizers of students from
// scratch. Their weights come later, when the paths are known.
func (t *trainer) newStudents(ctx context.Context, open func(name string) (*device.Device, error), texts []string) error {
	for i, c := range t.plan.students {
		s := &student{name: c.name, spec: c, plan: t.plan, seed: t.seed}
		s.dev.best = inf
		wrap := func(err error) error { return fmt.Errorf("student %s: %w", s.name, err) }
		var err error
		if s.devs, err = c.devices(t.plan.device, i, len(t.plan.students), open); err != nil {
			return wrap(err)
		}
		if c.model != "" {
			if s.model, err = t.bases.get(ctx, s.devs[0], c.ref(s.devs[0]), t.plan.job(c, s.devs[0])); err != nil {
				return wrap(err)
			}
			s.config, s.pad = s.model.Config, s.model.Tokenizer.Special().Pad
		} else {
			if s.tok, err = tokenizer.Train(c.tokenizer, texts, c.vocab); err != nil {
				return wrap(err)
			}
			s.config, s.pad = c.decoder, s.tok.Special().Pad
			s.config.Vocab = s.tok.Size()
		}
		t.students = append(t.students, s)
	}
	return nil
}

// tokenizer is what the student reads text with.
func (s *student) tokenizer() tokenizer.Tokenizer {
	if s.model != nil {
		return s.model.Tokenizer
	}
	return s.tok
}

// encode turns a path into the student's tokens. ok is false when it is too long or
// nothing of it carries loss.
func (s *student) encode(p trainPath, maxSeq int) (q sequence, ok bool, err error) {
	if s.model == nil {
		q, ok = encodePath(s.tok, p.prompt, p.response, maxSeq)
		return q, ok, nil
	}
	if q, _, _, err = encodeChat(s.model, p); err != nil {
		return q, false, fmt.Errorf("student %s: problem %s: %w", s.name, p.id, err)
	}
	return q, len(q.ids) <= min(maxSeq, s.config.MaxSeq) && q.supervised() > 0, nil
}

// initialise gives the student its first weights.
func (s *student) initialise(ctx context.Context) error {
	longest := 1
	for _, q := range s.seqs {
		longest = max(longest, len(q.ids))
	}
	s.half = roundUp(max(1, longest/2), 4)
	s.shares = !s.onHost() && s.sharingPays()
	init := streamSeed(s.seed, streamInit+"/"+s.name)
	if z := s.plan.peerDim(); z > 0 {
		s.proj = weights.Set{weights.Normal(init, 0.2, "peer.proj.weight", z, s.config.Dim)}
		s.projOp = optim.NewAdamW(s.proj, nil)
	}
	if s.model == nil {
		params, err := decoder.Init(s.config, init)
		if err != nil {
			return fmt.Errorf("student %s: %w", s.name, err)
		}
		var on []causal.Base
		for _, d := range s.devs {
			on = append(on, causal.Base{Device: d, Config: s.config})
		}
		return s.begin(params, nil, on)
	}
	adapters, err := lora.Init(s.config, *s.spec.lora, init)
	if err != nil {
		return fmt.Errorf("student %s: %w", s.name, err)
	}
	on := []causal.Base{s.model.Base()}
	for _, d := range s.devs[1:] {
		m, err := s.model.On(ctx, d)
		if err != nil {
			return fmt.Errorf("student %s: %w", s.name, err)
		}
		on = append(on, m.Base())
	}
	return s.begin(adapters, s.spec.lora, on)
}

// schedule is the learning rate's course over the student's steps of a phase.
func (s *student) schedule(step, warmup, total int) float64 {
	p := s.plan
	sched := optim.Schedule{Shape: p.Schedule, Warmup: p.lrWarmup, Total: total, Peak: s.spec.rate, Floor: p.lrFloor}
	if s.willFreeze() {
		// Two trainings, each with a course of its own.
		if step < warmup {
			sched.Total, sched.Peak = warmup, s.spec.pretrainRate
		} else {
			step, sched.Total = step-warmup, total-warmup
		}
	}
	return sched.At(step)
}

// identity is what distinguishes the student's base from others, for the fingerprint.
func (s *student) identity() (string, error) {
	if s.model == nil {
		return "", nil
	}
	b, err := json.Marshal([]any{s.config, s.model.Resolved})
	return string(b), err
}
