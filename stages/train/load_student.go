package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/generate"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/weights"
	"github.com/distillflow/distillflow/internal/thoughts"
)

// studentFile describes a student that is adapters on a published model.
const (
	studentFile   = "student.json"
	studentFormat = 1
)

// studentRef says which model a student's adapters belong to.
type studentRef struct {
	Format    int    `json:"format"`
	Base      string `json:"base"`
	Resolved  string `json:"resolved,omitempty"`  // hf://owner/name@COMMIT
	Digest    string `json:"digest,omitempty"`    // SHA-256 over the files of a base that lies on this disk
	Tokenizer string `json:"tokenizer,omitempty"` // folder, where not beside the base
	Precision string `json:"precision"`
	Quantize  string `json:"quantize,omitempty"`
	MaxSeq    int    `json:"max_seq"`
}

// ref is the student's base as it is opened on a device.
func (s studentPlan) ref(dev *device.Device) studentRef {
	r := studentRef{Format: studentFormat, Base: s.model, Tokenizer: s.tokenizerFrom, Precision: precisionName(halfPrecision(s.precision, dev))}
	if s.quantize == quantizeNF4 {
		r.Quantize = quantizeNF4
	}
	return r
}

// quantizeNF4 is the one way to quantise a base.
const quantizeNF4 = "nf4"

// saveAdapted writes a student's folder: its reference to the base, the chat
// template it was trained with and, unless it is untrained, its adapters.
func saveAdapted(dir string, ref studentRef, m *causal.Model, c *lora.Config, s weights.Set) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := checkpoint.WriteJSON(filepath.Join(dir, studentFile), ref); err != nil {
		return err
	}
	if err := m.Template.Save(dir); err != nil {
		return err
	}
	if s == nil {
		return nil
	}
	if bad := s.FirstNonFinite(); bad != "" {
		return fmt.Errorf("tensor %s is not finite after training", bad)
	}
	base := ref.Resolved
	if base == "" {
		base = ref.Base
	}
	return lora.Save(dir, base, *c, s)
}

// modelFiles lists the files of a model and of its tokenizer for the cache key.
func modelFiles(ctx context.Context, model, tokenizer string) ([]stage.External, error) {
	out, err := causalFiles(ctx, model, tokenizer)
	if err != nil {
		return nil, hubError("model", err)
	}
	if tokenizer == "" {
		return out, nil
	}
	for _, name := range []string{"tokenizer.json", "tokenizer.model", chat.ConfigFile, chat.TemplateFile} {
		path := filepath.Join(tokenizer, name)
		if _, err := os.Stat(path); err == nil {
			out = append(out, stage.External{Name: "tokenizer/" + name, Path: path})
		}
	}
	return out, nil
}

// answerer is a trained model that answers questions, whatever it is made of.
type answerer struct {
	maxSeq   int
	thinks   bool // its prompt opens a thought, which its text goes on with
	prompt   func(question string) ([]int32, error)
	decode   func(ids []int32) string
	generate func(ctx context.Context, prompts [][]int32, o generate.Options) ([]generate.Output, error)
}

// read splits what the student wrote into what it thought and what it answered. open tells
// that it was cut off while it thought.
func (a answerer) read(text string) (thought, response string, open bool) {
	parts := thoughts.Cut(text, nil)
	switch {
	case a.thinks && parts.Response == text:
		return text, "", true
	case parts.Reasoning == "" && !parts.Open:
		return "", parts.Marked(), false
	}
	return strings.TrimSpace(parts.Reasoning), strings.TrimLeft(parts.Marked(), "\n"), parts.Open
}

// bases shares the frozen models of several students. Its zero value is ready.
type bases struct {
	hub  hub.Options
	mu   sync.Mutex
	open map[placedRef]*causal.Model
}

// placedRef is a model on a device.
type placedRef struct {
	studentRef
	device string
}

// get opens a model for a job, which tells how much memory it takes.
func (b *bases) get(ctx context.Context, dev *device.Device, ref studentRef, job pretrained.Job) (*causal.Model, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ref.MaxSeq = 0
	key := placedRef{ref, dev.Name()}
	if m, ok := b.open[key]; ok {
		return m, nil
	}
	name := ref.Resolved
	if name == "" {
		name = ref.Base
	}
	m, err := causal.Open(ctx, dev, name, causal.Options{BF16: ref.Precision == precisionName(true), Quantize: ref.Quantize, Tokenizer: ref.Tokenizer, Job: job, Pretrained: pretrained.Options{Hub: b.hub}})
	if err != nil {
		return nil, err
	}
	if ref.Digest != "" {
		now, err := pretrained.Digest(m.Files)
		if err != nil {
			return nil, err
		}
		if now != ref.Digest {
			return nil, fmt.Errorf("the base model %s is not the one that the student was trained on: put that one back, or train again", ref.Base)
		}
	}
	if b.open == nil {
		b.open = map[placedRef]*causal.Model{}
	}
	b.open[key] = m
	return m, nil
}

// usualPrompt is how long prompts are taken to be before they are known, in tokens,
// to estimate memory.
const usualPrompt = 256

// readModels reads what a training stage says of its models folder.
func readModels(dir string) (info modelsInfo, err error) {
	if err := checkpoint.ReadJSON(filepath.Join(dir, modelsFile), &info); err != nil {
		return info, fmt.Errorf("the models folder: %w", err)
	}
	if info.Format != modelsFormat {
		return info, fmt.Errorf("%s: format %d, this version reads %d: train again", modelsFile, info.Format, modelsFormat)
	}
	for _, name := range info.Students { // the folder may be a stranger's
		if name == "" || name == untrainedDir || !fileName(name) {
			return info, fmt.Errorf("%s: %q cannot be the folder of a student", filepath.Join(dir, modelsFile), name)
		}
	}
	return info, nil
}

// Students lists the students in a folder that train-moe or train-sft wrote.
func Students(models string) ([]string, error) {
	info, err := readModels(models)
	return info.Students, err
}

// has checks that there is a student of that name.
func (info modelsInfo) has(name string) error {
	if !slices.Contains(info.Students, name) {
		return fmt.Errorf("there is no student %s in models: there are %s", name, strings.Join(info.Students, ", "))
	}
	return nil
}

// studentDir is a student's folder below models, as it was before training where
// untrained says so.
func studentDir(models, name string, untrained bool) string {
	if untrained {
		return filepath.Join(models, untrainedDir, name)
	}
	return filepath.Join(models, name)
}

// loadStudent opens a folder that train-moe or train-sft wrote, to answer in batches
// of rows.
func loadStudent(ctx context.Context, dev *device.Device, dir string, rows int, shared *bases) (answerer, error) {
	m, err := openAdapted(ctx, dev, dir, pretrained.Job{Rows: rows, Prompt: usualPrompt}, shared)
	if err != nil {
		return answerer{}, err
	}
	if m == nil {
		return loadScratch(dev, dir)
	}
	return published(m)
}

// openAdapted opens the published model of a student's folder with its adapters, for a job
// as long as its training's; nil for a student from scratch.
func openAdapted(ctx context.Context, dev *device.Device, dir string, job pretrained.Job, shared *bases) (*causal.Model, error) {
	var ref studentRef
	err := checkpoint.ReadJSON(filepath.Join(dir, studentFile), &ref)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if ref.Format != studentFormat {
		return nil, fmt.Errorf("%s: format %d, this version reads %d: train again", filepath.Join(dir, studentFile), ref.Format, studentFormat)
	}
	job.Seq = ref.MaxSeq
	m, err := shared.get(ctx, dev, ref, job)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, lora.ConfigFile)); err == nil {
		return m.WithAdapter(dir)
	}
	return m, nil
}

// published is a published model, with or without adapters, as a student.
func published(m *causal.Model) (answerer, error) {
	thinks, err := m.OpensThought()
	if err != nil {
		return answerer{}, err
	}
	return answerer{
		maxSeq: m.Config.MaxSeq, thinks: thinks,
		prompt: func(q string) ([]int32, error) { return m.Prompt([]chat.Message{{Role: chat.User, Content: q}}) },
		decode: m.Text, generate: m.Generate,
	}, nil
}

// loadScratch opens a student that was trained from scratch.
func loadScratch(dev *device.Device, dir string) (answerer, error) {
	m, err := checkpoint.Load(dir)
	if err != nil {
		return answerer{}, err
	}
	special := m.Tokenizer.Special()
	g := generate.Model{Config: m.Config, Params: m.Params.Args(nil), Pad: special.Pad, Ends: []int32{special.EOS}}
	if _, err := os.Stat(filepath.Join(dir, lora.ConfigFile)); err == nil {
		c, s, _, err := lora.Load(dir, m.Config)
		if err != nil {
			return answerer{}, err
		}
		g.Adapt(c, s)
	}
	gen, err := generate.New(dev, g)
	if err != nil {
		return answerer{}, err
	}
	return answerer{
		maxSeq: m.Config.MaxSeq,
		prompt: func(q string) ([]int32, error) { return encodePrompt(m.Tokenizer, plainPrompt(q)), nil },
		decode: m.Tokenizer.Decode,
		generate: func(ctx context.Context, prompts [][]int32, o generate.Options) ([]generate.Output, error) {
			o.Decode = m.Tokenizer.Decode
			return gen.Run(ctx, prompts, o)
		},
	}, nil
}
