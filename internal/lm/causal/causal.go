// Package causal is a published causal language model ready to use: decoder,
// tokenizer and chat template of one folder, with or without adapters.
//
// [Open] loads it onto a device once; [Model.Generate] answers conversations and
// [Tuner] trains it, whole or by adapters.
package causal

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas

	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/generate"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Model is a decoder on a device. Its frozen parameters may be shared: nothing
// changes them. It is safe for concurrent use while its adapters are not trained.
type Model struct {
	Ref, Resolved string // as named; hf://owner/name@COMMIT, or "" for a local one
	Dir           string
	Files         []string // that make up the model, sorted
	Config        decoder.Config
	Tokenizer     *tokenizer.Pretrained
	Template      *chat.Template
	Ends          []int32 // tokens that end an answer: end of turn and EOS

	// Adapters and their settings; nil for the bare model.
	Adapters weights.Set
	LoRA     *lora.Config

	base   Base
	opened Options // by Open
	gen    *generator
}

// generator keeps what generation compiles.
type generator struct {
	once sync.Once
	*generate.Generator
	err error
}

// Base is a decoder's frozen parameters on one device, in whatever form.
type Base struct {
	Device *device.Device
	Config decoder.Config
	// Args are the parameters as arguments of a graph call, and Bind gives them to a
	// decoder under construction as the nodes of that call.
	Args []any
	Bind func(d *decoder.Model, in []*Node)

	// Without a graph the parameters are host, or Args where it is nil. Where it is not, only
	// tests want Args, and lazy makes them.
	host []decoder.HostParam
	lazy func() []any
}

// args are Args.
func (b Base) args() []any {
	if b.lazy != nil {
		return b.lazy()
	}
	return b.Args
}

// hostParams are the parameters without a graph, on a device in the host's memory.
func (b Base) hostParams() ([]decoder.HostParam, error) {
	if b.host != nil {
		return b.host, nil
	}
	return decoder.HostParams(b.Args)
}

// Plain is the base whose arguments are the parameters themselves, in the order of
// [decoder.Layout].
func Plain(dev *device.Device, c decoder.Config, params []any) Base {
	return Base{Device: dev, Config: c, Args: params, Bind: func(d *decoder.Model, in []*Node) { d.Params = in }}
}

// Options say how to open a model.
type Options struct {
	// BF16 keeps weights and computes in bfloat16; otherwise in float32.
	BF16 bool
	// Quantize keeps the matrices of the layers in fewer bits: "" or [NF4].
	Quantize string
	// Job is what the model is opened for. It tells how much memory that takes, and a
	// model that needs more than is free is refused before its weights are read. Types
	// of weights and what a Tuner chooses are filled in. The zero Job is the weights alone.
	Job pretrained.Job
	// Tokenizer is the folder of the tokenizer's files where they do not lie beside the
	// model; "" means beside it or, of a GGUF file, in its metadata.
	Tokenizer  string
	Pretrained pretrained.Options
}

// Open loads a model onto a device: hf://owner/name@revision, a folder, or a GGUF
// file. Errors name the file and the tensor.
func Open(ctx context.Context, dev *device.Device, ref string, o Options) (m *Model, err error) {
	p, err := pretrained.Open(ctx, ref, o.Pretrained)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	m = &Model{Ref: ref, Resolved: p.Resolved, Dir: p.Dir, Files: p.Files, Config: p.Config, opened: o, gen: &generator{}}
	if m.Tokenizer, err = p.LoadTokenizer(o.Tokenizer); err != nil {
		return nil, err
	}
	if m.Template, err = p.Template(o.Tokenizer); err != nil {
		return nil, err
	}
	if m.Ends, err = m.ends(p.EOS); err != nil {
		return nil, err
	}
	if err := fits(ctx, dev, ref, p.Config, o, pretrained.HostFree); err != nil {
		return nil, err
	}
	if m.base, err = load(dev, p, o); err != nil {
		return nil, err
	}
	return m, nil
}

// ends collects the tokens at which an answer ends: the template's, EOS, and those
// that the model's configuration lists.
func (m *Model) ends(listed []int32) ([]int32, error) {
	out := append([]int32{m.Tokenizer.Special().EOS}, listed...)
	stops, err := m.Template.Stops()
	if err != nil {
		return nil, fmt.Errorf("model %s: chat template: %w", m.Ref, err)
	}
	for _, s := range stops {
		if id, ok := m.Tokenizer.TokenID(s); ok {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// WithAdapter is the model with the adapters of a PEFT folder. The two share the
// frozen weights.
func (m *Model) WithAdapter(dir string) (*Model, error) {
	c, s, _, err := lora.Load(dir, m.Config)
	if err != nil {
		return nil, err
	}
	return m.Adapted(c, s), nil
}

// Adapted is the model with adapters; s is shared, not copied. The two models share
// the frozen weights.
func (m *Model) Adapted(c lora.Config, s weights.Set) *Model {
	own := *m
	own.LoRA, own.Adapters, own.gen = &c, s, &generator{}
	return &own
}

// Prompt encodes a conversation up to where the answer begins.
func (m *Model) Prompt(messages []chat.Message) ([]int32, error) {
	text, err := m.Template.Render(messages, true)
	if err != nil {
		return nil, err
	}
	bos := m.Template.Tokens.BOS
	own := bos != "" && len(text) >= len(bos) && text[:len(bos)] == bos
	e, err := m.Tokenizer.Tokenizer.EncodeWith(hf.Options{Special: !own}, text)
	if err != nil {
		return nil, err
	}
	ids := e.IDs
	// A post-processor may end every text with EOS, which would end the answer.
	for len(ids) > 0 && !own && e.Special[len(ids)-1] && ids[len(ids)-1] == m.Tokenizer.Special().EOS {
		ids = ids[:len(ids)-1]
	}
	if len(ids) == 0 {
		return nil, errors.New("the prompt has no tokens")
	}
	return ids, nil
}

// Generate continues token prompts. Options.Decode is set to the model's own. What a call
// compiles serves the next ones.
func (m *Model) Generate(ctx context.Context, prompts [][]int32, o generate.Options) ([]generate.Output, error) {
	g, err := m.Generator()
	if err != nil {
		return nil, err
	}
	o.Decode = m.Tokenizer.Decode
	return g.Run(ctx, prompts, o)
}

// Generator is what [Model.Generate] runs, the same at each call.
func (m *Model) Generator() (*generate.Generator, error) {
	m.gen.once.Do(func() {
		g := generate.Model{Config: m.Config, Params: m.base.Args, Bind: m.base.Bind, Host: m.base.host, Pad: m.Tokenizer.Special().Pad, Ends: m.Ends}
		if m.LoRA != nil {
			g.Adapt(*m.LoRA, m.Adapters)
		}
		m.gen.Generator, m.gen.err = generate.New(m.base.Device, g)
	})
	return m.gen.Generator, m.gen.err
}

// On is the model on another device, with the same adapters, for replicas that share
// out batches. Its files are read again; a list of files or a configuration that
// changed since is an error. On the device where the model lies it is the model itself.
func (m *Model) On(ctx context.Context, dev *device.Device) (r *Model, err error) {
	if dev == m.base.Device {
		return m, nil
	}
	ref := m.Resolved
	if ref == "" {
		ref = m.Ref
	}
	p, err := pretrained.Open(ctx, ref, m.opened.Pretrained)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if !slices.Equal(p.Files, m.Files) || !reflect.DeepEqual(p.Config, m.Config) {
		return nil, fmt.Errorf("model %s: its files are not those that %s was loaded from: start again", m.Ref, m.base.Device.Name())
	}
	if err := fits(ctx, dev, m.Ref, p.Config, m.opened, pretrained.HostFree); err != nil {
		return nil, err
	}
	own := *m
	own.gen = &generator{}
	if own.base, err = load(dev, p, m.opened); err != nil {
		return nil, err
	}
	return &own, nil
}

// Device is where the model lies.
func (m *Model) Device() *device.Device { return m.base.Device }

// Base is the model's frozen part.
func (m *Model) Base() Base { return m.base }
