package train

import (
	"slices"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
)

// plan is what the training stages ask of the one [trainer]: a warm-up in which every
// student sees every path, and a main phase, which is the same again or routed.
type plan struct {
	uses     string // stage type
	students []studentPlan
	use      use
	maxSeq   int
	losses   []term   // of the students; the first is the cross-entropy
	route    *routing // nil: the main phase has no router
	config   any      // for the fingerprint, without what does not change the result

	warmupSteps, warmupBatch int
	epochs, maxSteps, batch  int // of the main phase; maxSteps 0 means no limit
	pathsPerStep             int // of one problem in a step of the main phase; 0: as they come

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
	clean.Saving, clean.Device, clean.Router.Encoder, clean.Checkpoint = Saving{}, nil, "", "" // the encoder counts by its weights, not by where it lies
	clean.Students = slices.Clone(c.Students)
	for i := range clean.Students {
		clean.Students[i].Base = clean.Students[i].portable()
	}
	set := c.settings()
	losses, route := c.method(set)
	p := &plan{
		uses: moeType, use: use{limit: c.TrainRows, sample: c.SampleSize, quality: c.Quality, prompt: set.prompt, target: c.Target}, maxSeq: c.MaxSeq, losses: losses, route: route, config: clean,
		warmupSteps: c.WarmupSteps, warmupBatch: c.WarmupBatch, epochs: c.Epochs, maxSteps: c.MaxSteps, batch: c.Batch, pathsPerStep: c.PathsPerStep,
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
