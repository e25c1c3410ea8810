package train

import (
	"context"
	"errors"
	"fmt"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// sftConfig is the config of train-sft.
type sftConfig struct {
	Name string `json:"name" default:"student" doc:"Name in logs, scores and the models folder."`
	Base

	TrainRows     int    `json:"train_rows" default:"0" min:"0" doc:"Use at most this many problems, from the start; 0 means all."`
	StudentPrompt string `json:"student_prompt" default:"plain" choices:"plain" doc:"What students read: the plain question, with its choices, premise or table, as the user's turn of a published model's chat template."`
	Target
	MaxSeq      int     `json:"max_seq" default:"768" min:"8" doc:"Longest example in tokens; longer paths are dropped, never cut."`
	DevFraction float64 `json:"dev_fraction" default:"0.05" min:"0" max:"0.5" doc:"Share of the problems, by hash of their ids, that is not trained on and measures the loss."`

	PretrainSteps int     `json:"pretrain_steps" default:"600" min:"0" doc:"From scratch with lora: steps that train the whole student before it is frozen and adapted."`
	Epochs        int     `json:"epochs" default:"1" min:"0" doc:"Passes over the paths; 0 leaves a published model untrained."`
	MaxSteps      int     `json:"max_steps" default:"0" min:"0" doc:"Stop after this many steps; 0 means after the epochs."`
	Batch         int     `json:"batch" default:"8" min:"1" doc:"Paths per optimizer step."`
	LRWarmup      int     `json:"lr_warmup" default:"10" min:"0" doc:"Steps over which the learning rate rises."`
	LRFloor       float64 `json:"lr_floor" default:"0" min:"0" max:"1" doc:"Final learning rate as a share of the peak."`

	Select string `json:"select" default:"best" choices:"best|last" doc:"Which weights to keep: those of the best dev loss, or the last."`

	Optimization
	LogEvery int `json:"log_every" default:"1" min:"1" doc:"Steps between metrics."`
	Saving
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
	c.Base.validate(c.MaxSeq, bad)
	c.Target.validate(bad)
	if c.MicroBatch > c.Batch {
		bad("micro_batch", "%d is more than batch %d", c.MicroBatch, c.Batch)
	}
	return errors.Join(errs...)
}

// plan is what train-sft asks for.
func (c sftConfig) plan() *plan {
	clean := c
	clean.Saving, clean.Checkpoint, clean.Base = Saving{}, "", clean.portable()
	p := &plan{
		uses: sftType, students: []studentPlan{c.Base.plan(c.Name, c.MaxSeq)}, use: use{limit: c.TrainRows, quality: Quality{true, true}, prompt: c.StudentPrompt, target: c.Target}, maxSeq: c.MaxSeq,
		losses: supervised(), config: clean,
		warmupBatch: c.Batch, epochs: c.Epochs, maxSteps: c.MaxSteps, batch: c.Batch, lrWarmup: c.LRWarmup, lrFloor: c.LRFloor,
		Optimization: c.Optimization, Saving: c.Saving, devFraction: c.DevFraction, best: c.Select == "best", logEvery: c.LogEvery,
	}
	if c.Model == "" && c.LoRA.Rank > 0 {
		p.warmupSteps = c.PretrainSteps
	}
	return p
}

// Externals implements [stage.Externals]: the files of the published model.
func (c sftConfig) Externals(ctx context.Context) ([]stage.External, error) {
	return c.externals(ctx, "")
}

// Revisions implements [stage.Revisions].
func (c sftConfig) Revisions(context.Context) ([]stage.Revision, error) {
	return hubRevisions(string(c.Model))
}

type sftOut struct {
	Models  *stage.OutDir                `port:"models" doc:"A folder for the student: adapters in PEFT's format, which PEFT and vLLM load onto the base model; or config.json, tokenizer.json and model.safetensors of one from scratch. The same student before training below untrained/."`
	Metrics *stage.Writer[schema.Metric] `port:"metrics" doc:"Loss per token, gradient norm, learning rate and dev loss."`
	Board   *stage.OutDir                `port:"tensorboard" doc:"The metrics as event files for tensorboard --logdir: a run per student, time counted in steps."`
}

// TrainSFT trains one student on reasoning paths.
var TrainSFT = stage.Define(stage.Spec{
	Type:    sftType,
	Version: 5,
	Class:   stage.Seeded,
	Doc: `Trains one student on reasoning paths: the baseline of train-moe.
A published model stays frozen and learns through low-rank adapters; each path is laid out
by its chat template (base models get a plain format). A student from scratch is trained
whole, or, with lora, first whole and then by adapters. Only the completion and the token
that ends it carry loss, by the tokenizer's own offsets. With epochs: 0 a published model
is handed on as it is. A run that is interrupted goes on from its last checkpoint, to the
same bits on the CPU.`,
	Platform: platform,
}, runSFT)

func runSFT(ctx context.Context, env *stage.Env, c sftConfig, in trainIn, out sftOut) error {
	t, err := trainModels(ctx, env, c.plan(), in.Paths, out.Models.Path)
	if err != nil {
		return err
	}
	if err := writeTensorBoard(out.Board.Path, t.metrics); err != nil {
		return err
	}
	return writeAll(out.Metrics, t.metrics)
}
