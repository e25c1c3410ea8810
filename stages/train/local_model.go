package train

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
)

// LocalModel is the part of a config that names a published model in place of trained
// students.
type LocalModel struct {
	Model     stage.Path `json:"model" default:"" semantic:"false" doc:"A model in place of trained students: a folder as transformers writes it, a GGUF file, or hf://owner/name@revision. Without it the port models must be connected. Its content is part of the cache key."`
	Adapter   stage.Path `json:"adapter" default:"" semantic:"false" doc:"Folder of adapters in PEFT's format that are laid on model."`
	Tokenizer stage.Path `json:"tokenizer" default:"" semantic:"false" doc:"Folder of the tokenizer's files where they are not beside model; a GGUF file may hold its own."`
	Precision string     `json:"precision" default:"auto" choices:"auto|f32|bf16" doc:"Type of the weights of model and of the computation; auto is bf16 on a GPU and f32 elsewhere. Students keep that of their training."`
	Quantize  string     `json:"quantize" default:"none" choices:"none|nf4" doc:"nf4 keeps the matrices of model's layers in 4 bits. Students keep what they were trained with."`
}

// validate checks what tags cannot.
func (c LocalModel) validate() error {
	var errs []error
	for _, f := range []struct {
		field string
		set   bool
	}{{"adapter", c.Adapter != ""}, {"tokenizer", c.Tokenizer != ""}, {"quantize", c.Quantize == quantizeNF4}} {
		if f.set && c.Model == "" {
			errs = append(errs, stage.Invalid(f.field, "belongs to model, which is not given"))
		}
	}
	return errors.Join(errs...)
}

// Wired implements [stage.Wired]: who answers is the model or a student of models.
func (c LocalModel) Wired(sources func(string) int) error {
	switch given := sources("models") > 0; {
	case c.Model != "" && given:
		return errors.New("both model and the input models are given: leave one out")
	case c.Model == "" && !given:
		return errors.New("there is no model: connect the input models to a training stage, or name one in model")
	}
	return nil
}

// Externals implements [stage.Externals]: the files of model and its adapters.
func (c LocalModel) Externals(ctx context.Context) ([]stage.External, error) {
	if c.Model == "" {
		return nil, nil
	}
	out, err := modelFiles(ctx, string(c.Model), string(c.Tokenizer))
	if err != nil || c.Adapter == "" {
		return out, err
	}
	for _, name := range []string{lora.ConfigFile, lora.WeightsFile} {
		out = append(out, stage.External{Name: "adapter/" + name, Path: filepath.Join(string(c.Adapter), name)})
	}
	return out, nil
}

// Networked implements [stage.Networked].
func (c LocalModel) Networked() bool { return hub.IsRef(string(c.Model)) }

// Revisions implements [stage.Revisions].
func (c LocalModel) Revisions(context.Context) ([]stage.Revision, error) {
	return hubRevisions(string(c.Model))
}

// open opens the model for a job.
func (c LocalModel) open(ctx context.Context, dev *device.Device, job pretrained.Job, shared *bases) (*causal.Model, error) {
	ref := studentRef{Base: string(c.Model), Tokenizer: string(c.Tokenizer), Precision: precisionName(halfPrecision(c.Precision, dev))}
	if c.Quantize == quantizeNF4 {
		ref.Quantize = quantizeNF4
	}
	m, err := shared.get(ctx, dev, ref, job)
	if err == nil && c.Adapter != "" {
		return m.WithAdapter(string(c.Adapter))
	}
	return m, err
}
