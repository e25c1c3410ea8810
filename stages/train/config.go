package train

import (
	"errors"
	"fmt"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/lora"
)

// Base is what a student is made of: a published model, or a small decoder that is
// trained from scratch where none is named. Its fields are part of the configs that
// embed it.
type Base struct {
	Model         stage.Path `json:"model" default:"" semantic:"false" doc:"Published model: a folder as transformers writes it, a GGUF file, or hf://owner/name@revision. It stays as it is; adapters on it are trained. Its content is part of the cache key. Without one the student is a small decoder trained from scratch."`
	TokenizerFrom stage.Path `json:"tokenizer_from" default:"" semantic:"false" doc:"With model: folder of the tokenizer's files where they are not beside it; a GGUF file may hold its own. Their content counts, not their place."`
	Quantize      string     `json:"quantize" default:"none" choices:"none|nf4" doc:"With model: nf4 keeps the frozen matrices of the layers in 4 bits (QLoRA)."`
	Precision     string     `json:"precision" default:"auto" choices:"auto|f32|bf16" doc:"With model: type of the frozen weights and of the computation; auto is bf16 on a GPU and f32 elsewhere. Adapters are f32."`
	LoRA          LoRA       `json:"lora" doc:"The adapters. A student from scratch that has them is first trained whole, then frozen and adapted."`

	Arch      string `json:"arch" default:"llama" choices:"llama|gemma" doc:"From scratch: decoder variant."`
	DModel    int    `json:"d_model" default:"32" min:"8" doc:"From scratch: width of the residual stream."`
	Layers    int    `json:"layers" default:"2" min:"1" doc:"From scratch: number of layers."`
	Heads     int    `json:"heads" default:"2" min:"1" doc:"From scratch: attention heads; the head width is d_model/heads."`
	KVHeads   int    `json:"kv_heads" default:"0" doc:"From scratch: key/value heads; 0 means as many as heads."`
	FFN       int    `json:"ffn" default:"0" doc:"From scratch: feed-forward width; 0 means twice d_model."`
	Tied      bool   `json:"tied" default:"false" doc:"From scratch: share the embedding with the output matrix, as Gemma does. Students this small learn faster with two."`
	Tokenizer string `json:"tokenizer" default:"word" choices:"word|bpe" doc:"From scratch: kind of tokenizer, trained from the kept paths."`
	Vocab     int    `json:"vocab" default:"2048" min:"32" doc:"From scratch: largest vocabulary. Few and simple texts give a smaller one."`

	LR         float64     `json:"lr" default:"0" min:"0" doc:"Peak learning rate; 0 means 0.0002 for adapters and 0.004 for a student from scratch."`
	PretrainLR float64     `json:"pretrain_lr" default:"0.004" doc:"From scratch with lora: peak learning rate before the student is frozen."`
	Device     stage.Names `json:"device" semantic:"false" doc:"Where to train: auto, cpu, xla, cuda, cuda:N, or several GPUs as in [cuda:0, cuda:1], which share each batch. Empty means what the stage says, or auto."`
}

// LoRA is the adapters of a student, in PEFT's terms.
type LoRA struct {
	Rank    int      `json:"r" default:"0" min:"0" doc:"Rank of the adapters; 0 means 8 with a published model, and no adapters on a student from scratch."`
	Alpha   float64  `json:"alpha" default:"32" doc:"Scale of the adapters: what they add is multiplied by alpha/r."`
	Dropout float64  `json:"dropout" default:"0.05" min:"0" max:"0.99" doc:"Chance that an input of an adapter is dropped in training."`
	Targets []string `json:"targets" default:"[\"q_proj\",\"v_proj\"]" doc:"Projections with an adapter: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or patterns such as *_proj."`
	RSLoRA  bool     `json:"rslora" default:"false" doc:"Scale by alpha/sqrt(r) instead of alpha/r."`
}

// defaultRank is the rank of adapters on a published model.
const defaultRank = 8

// lora is the resolved config of the student's adapters, nil without any.
func (b Base) lora() (*lora.Config, error) {
	r := b.LoRA.Rank
	if r == 0 && b.Model != "" {
		r = defaultRank
	}
	if r == 0 {
		return nil, nil
	}
	c, err := lora.Config{Rank: r, Alpha: b.LoRA.Alpha, Dropout: b.LoRA.Dropout, Targets: b.LoRA.Targets, RSLoRA: b.LoRA.RSLoRA}.Resolve()
	return &c, err
}

// rate is the peak learning rate of what is trained in the end.
func (b Base) rate() float64 {
	switch c, _ := b.lora(); {
	case b.LR > 0:
		return b.LR
	case c != nil:
		return 2e-4
	default:
		return 4e-3
	}
}

// validate gives the complaints about a student's fields.
func (b Base) validate(maxSeq int, bad func(field, format string, args ...any)) {
	if _, err := b.lora(); err != nil {
		bad("lora", "%v", err)
	}
	if _, err := devicesOf(b.Device); err != nil {
		bad("device", "%v", err)
	}
	if b.Model != "" {
		return
	}
	if b.Quantize != "none" {
		bad("quantize", "%s is for a published model: name one in model", b.Quantize)
	}
	if b.TokenizerFrom != "" {
		bad("tokenizer_from", "is for a published model: name one in model")
	}
	if !(b.PretrainLR > 0) {
		bad("pretrain_lr", "must be positive")
	}
	if err := b.decoderConfig(b.Vocab, maxSeq).Validate(); err != nil {
		bad("", "%v", err)
	}
}

// decoderConfig is the decoder of a student from scratch.
func (b Base) decoderConfig(vocab, maxSeq int) decoder.Config {
	c := decoder.Config{
		Arch: decoder.Arch(b.Arch), Vocab: vocab, Dim: b.DModel, Layers: b.Layers, Heads: b.Heads,
		KVHeads: b.KVHeads, FFN: b.FFN, MaxSeq: maxSeq, Tied: b.Tied,
	}
	return c.WithDefaults()
}

// studentConfig describes one of several students.
type studentConfig struct {
	Name string `json:"name" required:"true" doc:"Name in logs, scores and the models folder."`
	Base
}

// trainConfig is the config of train-moe.
type trainConfig struct {
	Method   string          `json:"method" default:"corrected" choices:"corrected|paper|original|none" doc:"What fields of router and peer, and student_prompt, stand at where they are left out. corrected: the published method with the parts replaced that cannot learn; paper: the method as published, to the letter; original: as its authors' code does it; none: every student learns every path, without router and peers. docs/train-moe.md has them field by field."`
	Students []studentConfig `json:"students" default:"[{\"name\":\"llama\",\"arch\":\"llama\",\"tokenizer\":\"word\"},{\"name\":\"gemma\",\"arch\":\"gemma\",\"tokenizer\":\"bpe\"}]" doc:"The students, two or more."`

	TrainRows     int     `json:"train_rows" default:"0" min:"0" doc:"Use at most this many problems, from the start; 0 means all."`
	SampleSize    int     `json:"sample_size" default:"0" min:"0" doc:"Of those, use this many, drawn by a hash of their ids: the same for every seed, and smaller samples lie within larger ones. 0 means all."`
	Quality       Quality `json:"quality" doc:"Which paths are left out."`
	StudentPrompt *string `json:"student_prompt" choices:"plain|styled" doc:"What students read in training: the plain question with its choices, premise or table, as in evaluation, or the prompt that its style gave the teacher. Left out: plain; with method: original, styled."`
	Target
	MaxSeq int `json:"max_seq" default:"512" min:"8" doc:"Longest sequence in tokens; longer paths are dropped, never cut."`

	WarmupSteps  int     `json:"warmup_steps" default:"600" min:"0" doc:"Steps of plain cross-entropy on all paths before routing: routing splits the paths, and students that cannot yet write tell the router nothing. A student from scratch that has lora is frozen at its end. Published models need few or none."`
	WarmupBatch  int     `json:"warmup_batch" default:"8" min:"1" doc:"Paths per student and step of the warm-up."`
	Epochs       int     `json:"epochs" default:"2" min:"0" doc:"Routed passes over the paths."`
	MaxSteps     int     `json:"max_steps" default:"0" min:"0" doc:"Stop routing after this many steps; 0 means after the epochs."`
	Batch        int     `json:"batch" default:"16" min:"2" doc:"Paths per routed step."`
	PathsPerStep int     `json:"paths_per_step" default:"0" min:"0" doc:"Paths of one problem that a routed step takes together, as many as fit into batch; 0 mixes paths whatever their problem."`
	LRWarmup     int     `json:"lr_warmup" default:"20" min:"0" doc:"Steps over which the learning rate rises."`
	LRFloor      float64 `json:"lr_floor" default:"0.05" min:"0" max:"1" doc:"Final learning rate as a share of the peak."`

	DevFraction float64 `json:"dev_fraction" default:"0" min:"0" max:"0.5" doc:"Share of the problems, by hash of their ids, that is not trained on and measures each student's loss."`
	Select      string  `json:"select" default:"last" choices:"best|last" doc:"Which weights of a student to keep: the last, or those of its best dev loss while routing."`

	Router Router `json:"router" doc:"Who gets a path, and how that is learned."`
	Peer   Peer   `json:"peer" doc:"What pulls the students' hidden states toward a weighted ensemble of them."`

	Optimization
	LogEvery int `json:"log_every" default:"20" min:"1" doc:"Steps between metrics."`
	Saving
	Device stage.Names `json:"device" default:"[\"auto\"]" semantic:"false" doc:"Where to train: auto, cpu, xla, cuda, cuda:N, or a list as in [cuda:0, cuda:1], which the students take in turn."`
}

// Optimization is how steps are taken and when training stops.
type Optimization struct {
	MicroBatch  int     `json:"micro_batch" default:"0" min:"0" doc:"Paths per pass through a student; their gradients are added up, normalised by the step's tokens. 0 means all of a step, shared out between the devices."`
	Schedule    string  `json:"schedule" default:"cosine" choices:"cosine|linear|constant" doc:"How the learning rate falls after its warm-up."`
	WeightDecay float64 `json:"weight_decay" default:"0.01" min:"0" doc:"AdamW weight decay on matrices."`
	ClipNorm    float64 `json:"clip_norm" default:"1" min:"0" doc:"Largest gradient norm of a student; 0 is off."`
	EightBit    bool    `json:"optimizer_8bit" default:"false" doc:"Keep the optimizer's moments in eight bits."`
	Checkpoint  string  `json:"gradient_checkpointing" default:"auto" choices:"auto|on|off" semantic:"false" doc:"Compute activations again in the backward pass instead of keeping them; auto does on a GPU and with quantize."`
	EvalEvery   int     `json:"eval_every" default:"0" min:"0" doc:"Steps between measurements of the dev loss; 0 means once an epoch."`
	Patience    int     `json:"patience" default:"0" min:"0" doc:"Stop after this many measurements without a better dev loss of any student; 0 never stops early."`
}

// Saving says when a run saves its state. It never changes the result.
type Saving struct {
	CheckpointEvery   int     `json:"checkpoint_every" default:"50" min:"1" semantic:"false" doc:"Steps between checkpoints in the scratch folder. A run that was killed goes on from the last one, to the same bits on the CPU."`
	CheckpointMinutes float64 `json:"checkpoint_minutes" default:"10" min:"0" semantic:"false" doc:"Save a checkpoint also when the last one is this many minutes old; 0 is off."`
}

// Validate checks what tags cannot.
func (c trainConfig) Validate() error {
	var errs []error
	bad := func(path []string, format string, args ...any) {
		errs = append(errs, stage.FieldError{Path: path, Msg: fmt.Sprintf(format, args...)})
	}
	if len(c.Students) < 2 {
		bad([]string{"students"}, "%d given, need at least two", len(c.Students))
	}
	seen := map[string]bool{}
	for i, s := range c.Students {
		at := func(field string) []string {
			if field == "" {
				return []string{"students", fmt.Sprint(i)}
			}
			return []string{"students", fmt.Sprint(i), field}
		}
		switch {
		case s.Name == "" || s.Name == untrainedDir || !fileName(s.Name):
			bad(at("name"), "%q cannot name a folder: use letters, digits, - and _", s.Name)
		case seen[s.Name]:
			bad(at("name"), "%q is used twice", s.Name)
		}
		seen[s.Name] = true
		s.validate(c.MaxSeq, func(field, format string, args ...any) { bad(at(field), format, args...) })
	}
	if _, err := devicesOf(c.Device); err != nil {
		bad([]string{"device"}, "%v", err)
	}
	c.Target.validate(func(field, format string, args ...any) { bad([]string{field}, format, args...) })
	if c.PathsPerStep > c.Batch {
		bad([]string{"paths_per_step"}, "%d is more than batch %d", c.PathsPerStep, c.Batch)
	}
	c.validateMethod(bad)
	return errors.Join(errs...)
}

func fileName(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return false
		}
	}
	return true
}
