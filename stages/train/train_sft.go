package train

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/schema"
)

// loraConfig is the lora block of a student, in PEFT's terms.
type loraConfig struct {
	Rank    int      `json:"r" default:"8" min:"1" doc:"Rank of the adapters."`
	Alpha   float64  `json:"alpha" default:"32" doc:"Scale of the adapters: what they add is multiplied by alpha/r."`
	Dropout float64  `json:"dropout" default:"0.05" min:"0" max:"0.99" doc:"Chance that an input of an adapter is dropped in training."`
	Targets []string `json:"targets" default:"[\"q_proj\",\"v_proj\"]" doc:"Projections with an adapter: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or patterns such as *_proj."`
	RSLoRA  bool     `json:"rslora" default:"false" doc:"Scale by alpha/sqrt(r) instead of alpha/r."`
}

func (c loraConfig) resolve() (lora.Config, error) {
	return lora.Config{Rank: c.Rank, Alpha: c.Alpha, Dropout: c.Dropout, Targets: c.Targets, RSLoRA: c.RSLoRA}.Resolve()
}

// sftConfig is the config of train-sft.
type sftConfig struct {
	Model         stage.Path `json:"model" required:"true" doc:"Base model: a folder as transformers writes it, a GGUF file, or hf://owner/name@revision. It stays as it is; only adapters are trained."`
	TokenizerFrom stage.Path `json:"tokenizer" default:"" semantic:"false" doc:"Folder of the tokenizer's files where they do not lie beside the model, as with most GGUF files. Their content counts, not their place."`
	Name          string     `json:"name" default:"student" doc:"Name in logs, scores and the models folder."`
	LoRA          loraConfig `json:"lora" doc:"The adapters."`

	TrainRows     int     `json:"train_rows" default:"0" min:"0" doc:"Use at most this many problems, from the start; 0 means all."`
	StudentPrompt string  `json:"student_prompt" default:"plain" choices:"plain" doc:"What students read: the plain question, as the user's turn of the model's chat template."`
	MaxSeq        int     `json:"max_seq" default:"768" min:"8" doc:"Longest example in tokens; longer paths are dropped, never cut."`
	DevFraction   float64 `json:"dev_fraction" default:"0.05" min:"0" max:"0.5" doc:"Share of the problems, by hash of their ids, that is not trained on and measures the loss."`

	Epochs     int     `json:"epochs" default:"1" min:"0" doc:"Passes over the paths; 0 leaves the model untrained."`
	MaxSteps   int     `json:"max_steps" default:"0" min:"0" doc:"Stop after this many steps; 0 means after the epochs."`
	Batch      int     `json:"batch" default:"8" min:"1" doc:"Paths per optimizer step."`
	MicroBatch int     `json:"micro_batch" default:"0" min:"0" doc:"Paths per pass through the model; their gradients are added up, normalised by the step's tokens. 0 means batch."`
	LR         float64 `json:"lr" default:"0.0002" doc:"Peak learning rate."`
	Schedule   string  `json:"schedule" default:"cosine" choices:"cosine|linear|constant" doc:"How the learning rate falls after its warm-up."`
	LRWarmup   int     `json:"lr_warmup" default:"10" min:"0" doc:"Steps over which the learning rate rises."`
	LRFloor    float64 `json:"lr_floor" default:"0" min:"0" max:"1" doc:"Final learning rate as a share of the peak."`
	Decay      float64 `json:"weight_decay" default:"0.01" min:"0" doc:"AdamW weight decay of the adapters."`
	ClipNorm   float64 `json:"clip_norm" default:"1" min:"0" doc:"Largest gradient norm; 0 is off."`
	EightBit   bool    `json:"optimizer_8bit" default:"false" doc:"Keep the optimizer's moments in eight bits."`
	Precision  string  `json:"precision" default:"auto" choices:"auto|f32|bf16" doc:"Type of the frozen weights and of the computation; auto is bf16 on a GPU and f32 elsewhere. Adapters are f32."`
	Checkpoint string  `json:"gradient_checkpointing" default:"auto" choices:"auto|on|off" semantic:"false" doc:"Compute activations again in the backward pass instead of keeping them; auto does on a GPU."`

	EvalEvery int    `json:"eval_every" default:"0" min:"0" doc:"Steps between measurements of the dev loss; 0 means once an epoch."`
	Patience  int    `json:"patience" default:"0" min:"0" doc:"Stop after this many measurements without a better dev loss; 0 never stops early."`
	Select    string `json:"select" default:"best" choices:"best|last" doc:"Which adapters to keep: those of the best dev loss, or the last."`

	LogEvery        int    `json:"log_every" default:"1" min:"1" doc:"Steps between metrics."`
	CheckpointEvery int    `json:"checkpoint_every" default:"20" min:"1" semantic:"false" doc:"Steps between checkpoints in the scratch folder. A run that was killed goes on from the last one, to the same bits."`
	Device          string `json:"device" default:"auto" semantic:"false" doc:"Where to train: auto, cpu, xla, cuda or cuda:N."`
}

// Validate checks what tags cannot.
func (c sftConfig) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, stage.FieldError{Path: []string{field}, Msg: fmt.Sprintf(format, args...)})
	}
	if c.Name == "" || c.Name == untrainedDir || !fileName(c.Name) {
		bad("name", "%q cannot name a folder: use letters, digits, - and _", c.Name)
	}
	if _, err := c.LoRA.resolve(); err != nil {
		bad("lora", "%v", err)
	}
	if err := device.Valid(c.Device); err != nil {
		bad("device", "%v", err)
	}
	if !(c.LR > 0) {
		bad("lr", "must be positive")
	}
	if c.MicroBatch > c.Batch {
		bad("micro_batch", "%d is more than batch %d", c.MicroBatch, c.Batch)
	}
	return errors.Join(errs...)
}

// Externals implements [stage.Externals]: the model's files.
func (c sftConfig) Externals() ([]stage.External, error) {
	return modelFiles(string(c.Model), string(c.TokenizerFrom))
}

type sftOut struct {
	Models  *stage.OutDir                `port:"models" doc:"A folder for the student with its adapters in PEFT's format, which PEFT and vLLM load onto the base model."`
	Metrics *stage.Writer[schema.Metric] `port:"metrics" doc:"Loss per token, gradient norm, learning rate and dev loss."`
}

// TrainSFT fine-tunes one published model on reasoning paths.
var TrainSFT = stage.Define(stage.Spec{
	Type:    "train-sft",
	Version: 1,
	Class:   stage.Seeded,
	Doc: `Fine-tunes one published model on reasoning paths, through low-rank adapters.
The base is a Hugging Face checkpoint and stays frozen. Each path is laid out by the model's
chat template (base models get a plain format); only the completion and the token that ends
it carry loss, by the tokenizer's own offsets. This is the single-student baseline of
train-moe; with epochs: 0 it hands on the untrained model. A run that is interrupted goes
on from its last checkpoint, to the same bits on the CPU.`,
	Platform: platform,
}, runSFT)

func runSFT(ctx context.Context, env *stage.Env, c sftConfig, in trainIn, out sftOut) error {
	dev, err := openDevice(env, c.Device)
	if err != nil {
		return err
	}
	paths, ids, err := readPaths(in.Paths, c.TrainRows)
	if err != nil {
		return err
	}
	if len(paths) == 0 && c.Epochs > 0 {
		return errors.New("no path to train on: every row lacks a usable path (answered, not verified wrong, not judged invalid)")
	}
	bf16 := halfPrecision(c.Precision, dev)
	m, err := causal.Open(ctx, dev, string(c.Model), causal.Options{BF16: bf16, Tokenizer: string(c.TokenizerFrom), Pretrained: pretrained.Options{}})
	if err != nil {
		return err
	}
	t, drop, err := newSFT(c, env.Seed, m, paths)
	if err != nil {
		return err
	}
	reportDropped(env, drop, c.MaxSeq)
	if env.WorkDir != "" {
		state := filepath.Join(env.WorkDir, stateFile)
		resumed, err := t.restore(state)
		if err != nil {
			return fmt.Errorf("reading the checkpoint: %w", err)
		}
		if resumed {
			env.AddStat("resumed_at_step", float64(t.step))
		}
		t.checkpoint = func() error {
			env.Fault("train-checkpoint")
			if err := t.save(state); err != nil {
				return fmt.Errorf("writing the checkpoint: %w", err)
			}
			env.Fault("train-checkpointed")
			return nil
		}
	}
	start, tokens := time.Now(), t.tokens
	t.onStep = func(values map[string]float64) {
		env.Progress(stage.Progress{Done: int64(t.step), Total: int64(t.totalSteps()), Unit: "steps", Values: values})
	}
	if err := t.run(ctx); err != nil {
		return err
	}
	if s := time.Since(start).Seconds(); s > 0 && t.tokens > tokens {
		env.AddStat("tokens_per_second", float64(t.tokens-tokens)/s)
	}
	info := modelsInfo{Format: modelsFormat, StudentPrompt: c.StudentPrompt, TrainIDs: ids, Students: []string{c.Name}, MaxNew: t.longest + 4}
	ref := studentRef{Format: studentFormat, Base: string(c.Model), Resolved: m.Resolved, Tokenizer: string(c.TokenizerFrom), Precision: precisionName(bf16), MaxSeq: c.MaxSeq}
	if ref.Resolved == "" {
		if ref.Digest, err = filesDigest(m.Files); err != nil {
			return err
		}
	}
	if err := saveAdapted(filepath.Join(out.Models.Path, c.Name), ref, m, t.tuner.LoRA, t.best()); err != nil {
		return err
	}
	if err := saveAdapted(filepath.Join(out.Models.Path, untrainedDir, c.Name), ref, m, nil, nil); err != nil {
		return err
	}
	if err := checkpoint.WriteJSON(filepath.Join(out.Models.Path, modelsFile), info); err != nil {
		return err
	}
	for _, row := range t.metrics {
		if err := out.Metrics.Write(row); err != nil {
			return err
		}
	}
	return nil
}

func precisionName(bf16 bool) string {
	if bf16 {
		return "bf16"
	}
	return "f32"
}

// schedule is the learning rate's course over steps.
func (c sftConfig) schedule(total int) optim.Schedule {
	return optim.Schedule{Shape: c.Schedule, Warmup: c.LRWarmup, Total: total, Peak: c.LR, Floor: c.LRFloor}
}
