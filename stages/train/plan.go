package train

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// plan is what the training stages ask of the one [trainer]: a warm-up in which every
// student sees every path, and a main phase, which is the same again or routed.
type plan struct {
	uses      string // stage type
	students  []studentPlan
	trainRows int    // problems used at most; 0 means all
	prompt    string // what students read
	maxSeq    int
	losses    []term   // of the students; the first is the cross-entropy
	route     *routing // nil: the main phase has no router
	config    any      // for the fingerprint, without what does not change the result

	warmupSteps, warmupBatch int
	epochs, maxSteps, batch  int // of the main phase; maxSteps 0 means no limit

	Optimization
	Saving
	lrWarmup    int
	lrFloor     float64
	devFraction float64
	best        bool // keep the weights of the best dev loss
	logEvery    int
	device      stage.Names
	fetching    func(hub.Progress) // hears of downloads; may be nil
}

// trains reports whether there is anything to train, for which paths are needed.
func (p *plan) trains() bool {
	return p.route != nil || p.epochs > 0 || p.warmupSteps > 0 || slices.ContainsFunc(p.students, func(s studentPlan) bool { return s.model == "" })
}

// peerDim is the width of the common space of hidden states.
func (p *plan) peerDim() int {
	if p.route == nil {
		return 0
	}
	return p.route.peerDim
}

// studentPlan is what one student is made of and how it is trained.
type studentPlan struct {
	name                 string
	model, tokenizerFrom string // published; "" from scratch
	precision, quantize  string
	decoder              decoder.Config // from scratch, without the size of the vocabulary
	tokenizer            string         // from scratch: its kind
	vocab                int            // from scratch: its largest size
	lora                 *lora.Config   // nil without adapters
	rate, pretrainRate   float64        // of what is trained in the end, and before it is frozen
	device               stage.Names
}

// plan is the student that the config describes.
func (b Base) plan(name string, maxSeq int) studentPlan {
	adapters, _ := b.lora() // validated with the config
	return studentPlan{
		name: name, model: string(b.Model), tokenizerFrom: string(b.TokenizerFrom), precision: b.Precision, quantize: b.Quantize,
		decoder: b.decoderConfig(0, maxSeq), tokenizer: b.Tokenizer, vocab: b.Vocab,
		lora: adapters, rate: b.rate(), pretrainRate: b.PretrainLR, device: b.Device,
	}
}

// plan is what train-moe asks for.
func (c trainConfig) plan() *plan {
	clean := c
	clean.Saving, clean.Device, clean.Encoder, clean.Checkpoint = Saving{}, nil, "", "" // the encoder counts by its weights, not by where it lies
	clean.Students = slices.Clone(c.Students)
	for i := range clean.Students {
		clean.Students[i].Base = clean.Students[i].portable()
	}
	losses, route := corrected(c)
	p := &plan{
		uses: moeType, trainRows: c.TrainRows, prompt: c.StudentPrompt, maxSeq: c.MaxSeq, losses: losses, route: route, config: clean,
		warmupSteps: c.WarmupSteps, warmupBatch: c.WarmupBatch, epochs: c.Epochs, maxSteps: c.MaxSteps, batch: c.Batch,
		Optimization: c.Optimization, Saving: c.Saving, lrWarmup: c.LRWarmup, lrFloor: c.LRFloor,
		devFraction: c.DevFraction, best: c.Select == "best", logEvery: c.LogEvery, device: c.Device,
	}
	for _, s := range c.Students {
		p.students = append(p.students, s.Base.plan(s.Name, c.MaxSeq))
	}
	return p
}

// job is what a published model is opened for.
func (p *plan) job(s studentPlan, dev *device.Device) pretrained.Job {
	rows := p.MicroBatch
	if rows == 0 {
		rows = max(p.batch, p.warmupBatch)
	}
	return pretrained.Job{LoRA: s.lora, Rows: rows, Seq: p.maxSeq, Recompute: p.recomputes(s, dev)}
}

// recomputes reports whether a student's activations are computed again on a device.
// Of a 4-bit base the backward pass would otherwise keep every layer's weights.
func (p *plan) recomputes(s studentPlan, dev *device.Device) bool {
	return p.Checkpoint == "on" || p.Checkpoint == "auto" && (dev.IsGPU() || s.quantize == quantizeNF4)
}

// portable is b without what differs between machines.
func (b Base) portable() Base {
	b.Device, b.Model, b.TokenizerFrom = nil, "", ""
	return b
}

// devices opens the devices of the i-th of n students: its own, or its share of the
// stage's, which the students take in turn.
func (s studentPlan) devices(stages stage.Names, i, n int, open func(name string) (*device.Device, error)) ([]*device.Device, error) {
	own := s.device
	if len(own) == 0 {
		own = stages
	}
	list, err := devicesOf(own)
	if err != nil {
		return nil, err
	}
	names := []string(list)
	if len(s.device) == 0 {
		names = []string{list.For(i)}
		for k := i + n; k < len(list); k += n {
			names = append(names, list[k])
		}
	}
	var out []*device.Device
	for _, name := range names {
		d, err := open(name)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
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

// encode turns a path into the student's tokens. ok is false when it is too long or
// nothing of it carries loss.
func (s *student) encode(p trainPath, maxSeq int) (q sequence, ok bool, err error) {
	if s.model == nil {
		q, ok = encodePath(s.tok, p.prompt, p.response, maxSeq)
		return q, ok, nil
	}
	if q, _, _, err = encodeChat(s.model, p.question, p.response); err != nil {
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
	parts := 16
	switch {
	case s.devs[0].IsXLA():
		parts = 2
	case s.model != nil:
		parts = 4
	}
	s.multiple = roundUp(max(1, longest/parts), 4)
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
	if s.onCores() {
		on = slices.Repeat(on, min(coreParts, runtime.GOMAXPROCS(0)))
	}
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

// externals lists the files of a student's published model.
func (b Base) externals(ctx context.Context, prefix string) ([]stage.External, error) {
	if b.Model == "" {
		return nil, nil
	}
	files, err := modelFiles(ctx, string(b.Model), string(b.TokenizerFrom))
	for i := range files {
		files[i].Name = prefix + files[i].Name
	}
	return files, err
}

// Networked implements [stage.Networked]: the model may lie on the Hub.
func (b Base) Networked() bool { return hub.IsRef(string(b.Model)) }
