// Package causal is a published causal language model ready to use: decoder,
// tokenizer and chat template of one folder, with or without adapters.
//
// [Load] reads it onto a device once; [Model.Generate] answers conversations and
// [Tuner] trains adapters on it.
package causal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/generate"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Model is a decoder on a device. Its frozen parameters may be shared: nothing
// changes them. It is safe for concurrent use while its adapters are not trained.
type Model struct {
	Dir       string
	Config    decoder.Config
	Tokenizer *tokenizer.Pretrained
	Template  *chat.Template
	Ends      []int32 // tokens that end an answer: end of turn and EOS

	// Adapters and their settings; nil for the bare model.
	Adapters weights.Set
	LoRA     *lora.Config

	dev    *device.Device
	params []any // tensors in the order of decoder.Layout
}

// Options say how to load a model.
type Options struct {
	// BF16 keeps weights and computes in bfloat16; otherwise in float32.
	BF16 bool
}

// Load reads a folder with config.json, safetensors and tokenizer files onto a
// device. Errors name the file and the tensor.
func Load(dev *device.Device, dir string, o Options) (*Model, error) {
	m := &Model{Dir: dir, dev: dev}
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if m.Config, err = decoder.ParseHF(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if m.Tokenizer, err = tokenizer.LoadPretrained(dir); err != nil {
		return nil, err
	}
	if n := m.Tokenizer.Size(); n > m.Config.Vocab {
		return nil, fmt.Errorf("%s: vocab_size %d, but the tokenizer has %d ids", path, m.Config.Vocab, n)
	}
	if m.Template, err = chat.Load(dir); err != nil {
		return nil, err
	}
	if m.Ends, err = m.ends(); err != nil {
		return nil, err
	}
	m.params, err = loadParams(m.Config, dir, o)
	return m, err
}

// ends collects the tokens at which an answer ends: the template's, EOS, and those
// that generation_config.json lists.
func (m *Model) ends() ([]int32, error) {
	out := []int32{m.Tokenizer.Special().EOS}
	stops, err := m.Template.Stops()
	if err != nil {
		return nil, fmt.Errorf("%s: chat template: %w", m.Dir, err)
	}
	for _, s := range stops {
		if id, ok := m.Tokenizer.TokenID(s); ok {
			out = append(out, id)
		}
	}
	path := filepath.Join(m.Dir, "generation_config.json")
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		var g struct {
			EOS json.RawMessage `json:"eos_token_id"`
		}
		if err := json.Unmarshal(data, &g); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		var many []int32
		var one int32
		switch {
		case len(g.EOS) == 0 || string(g.EOS) == "null":
		case json.Unmarshal(g.EOS, &one) == nil:
			many = []int32{one}
		case json.Unmarshal(g.EOS, &many) != nil:
			return nil, fmt.Errorf("%s: eos_token_id %s is neither a number nor a list of them", path, g.EOS)
		}
		out = append(out, many...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// loadParams packs a checkpoint's tensors one parameter at a time, so that the host
// holds the model once.
func loadParams(c decoder.Config, dir string, o Options) (params []any, err error) {
	ck, err := safetensors.OpenCheckpoint(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	get := source(ck)
	for _, p := range decoder.Layout(c) {
		t, err := decoder.PackOne(c, p, get)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		if (weights.Set{t}).FirstNonFinite() != "" {
			return nil, fmt.Errorf("%s: tensor %q holds a NaN or an infinity", dir, t.Name)
		}
		if o.BF16 {
			params = append(params, halve(t))
			continue
		}
		params = append(params, tensors.FromFlatDataAndDimensions(t.Data, t.Dims...))
	}
	return params, nil
}

// Prefixes under which checkpoints keep the decoder's tensors: the text half of a
// multimodal model has one.
var prefixes = []string{"", "language_model.", "model.language_model."}

// source reads tensors as float32, whatever prefix they stand under.
func source(ck *safetensors.Checkpoint) func(name string) ([]float32, []int, error) {
	return func(name string) ([]float32, []int, error) {
		var first error
		for _, p := range prefixes {
			full := p + name
			if p == "model.language_model." && len(name) > 6 && name[:6] == "model." {
				full = p + name[6:]
			}
			t, err := ck.Tensor(full)
			if err != nil {
				if first == nil {
					first = err
				}
				continue
			}
			v, err := t.Float32(nil)
			return v, slices.Clone(t.Shape), err
		}
		return nil, nil, first
	}
}

func halve(t weights.Tensor) *tensors.Tensor {
	out := make([]bfloat16.BFloat16, len(t.Data))
	for i, v := range t.Data {
		out[i] = bfloat16.FromBits(safetensors.ToBF16(v))
	}
	return tensors.FromFlatDataAndDimensions(out, t.Dims...)
}

// UseAdapter reads a PEFT adapter folder onto the model.
func (m *Model) UseAdapter(dir string) error {
	c, s, _, err := lora.Load(dir, m.Config)
	if err != nil {
		return err
	}
	m.LoRA, m.Adapters = &c, s
	return nil
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

// Generate continues token prompts. Options.Decode is set to the model's own.
func (m *Model) Generate(ctx context.Context, prompts [][]int32, o generate.Options) ([]generate.Output, error) {
	g := generate.Model{Config: m.Config, Params: m.params, Pad: m.Tokenizer.Special().Pad, Ends: m.Ends}
	if m.LoRA != nil {
		c := *m.LoRA
		g.Adapters = m.Adapters.Args(nil)
		g.Delta = func(in []*Node) func(int, string, *Node) *Node { return lora.Delta(c, in, nil) }
	}
	o.Decode = m.Tokenizer.Decode
	return generate.Run(ctx, m.dev, g, prompts, o)
}

// Device is where the model lies.
func (m *Model) Device() *device.Device { return m.dev }

// dtype is the type of the frozen weights.
func (m *Model) dtype() dtypes.DType {
	if t, ok := m.params[0].(*tensors.Tensor); ok {
		return t.DType()
	}
	return dtypes.Float32
}
