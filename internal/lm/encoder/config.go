package encoder

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Arch is the family of a transformer encoder, by the model_type of its Hugging
// Face configuration.
type Arch string

// The families. MiniLM's sentence encoders are of the first.
const (
	BERT    Arch = "bert"
	RoBERTa Arch = "roberta"
)

// Archs lists the families.
var Archs = []Arch{BERT, RoBERTa}

// Activation is that of the feed-forward layers, by its name in configurations.
type Activation string

// The activations.
const (
	GELU     Activation = "gelu"              // with erf
	GELUTanh Activation = "gelu_pytorch_tanh" // also called gelu_new
	ReLU     Activation = "relu"
)

// Config describes a transformer encoder: layers that normalise after each
// residual sum (Devlin et al. 2018, Liu et al. 2019), learned absolute positions.
type Config struct {
	Arch    Arch
	Vocab   int
	Dim     int
	Layers  int
	Heads   int
	FFN     int
	Types   int // rows of the token type embedding
	MaxPos  int // rows of the position embedding
	PadID   int32
	NormEps float64
	Act     Activation
	// FirstPos is the row of the position embedding of a text's first token: 0 in
	// BERT, one after that of the padding token in RoBERTa.
	FirstPos int
}

// Limit is the most tokens of a text that the positions allow.
func (c Config) Limit() int { return c.MaxPos - c.FirstPos }

// hfConfig is the part of a config.json that decides the graph.
type hfConfig struct {
	ModelType    string          `json:"model_type"`
	Vocab        int             `json:"vocab_size"`
	Dim          int             `json:"hidden_size"`
	Layers       int             `json:"num_hidden_layers"`
	Heads        int             `json:"num_attention_heads"`
	FFN          int             `json:"intermediate_size"`
	MaxPos       int             `json:"max_position_embeddings"`
	Types        *int            `json:"type_vocab_size"`
	NormEps      *float64        `json:"layer_norm_eps"`
	Act          *string         `json:"hidden_act"`
	Pad          *int32          `json:"pad_token_id"`
	Positions    *string         `json:"position_embedding_type"`
	IsDecoder    bool            `json:"is_decoder"`
	CrossAttend  bool            `json:"add_cross_attention"`
	Quantization json.RawMessage `json:"quantization_config"`
}

// ParseHF reads a Hugging Face config.json. A family, activation or kind of
// positions that it does not know is an error that names it: a near relative would
// give wrong numbers without a sign.
func ParseHF(data []byte) (Config, error) {
	var h hfConfig
	if err := json.Unmarshal(data, &h); err != nil {
		return Config{}, err
	}
	c := Config{
		Arch: Arch(h.ModelType), Vocab: h.Vocab, Dim: h.Dim, Layers: h.Layers, Heads: h.Heads, FFN: h.FFN,
		MaxPos: h.MaxPos, Types: or(h.Types, 2), NormEps: or(h.NormEps, 1e-12),
	}
	if !slices.Contains(Archs, c.Arch) {
		return c, fmt.Errorf("model_type %q is not supported as an encoder; these are: %v", h.ModelType, Archs)
	}
	if c.Arch == RoBERTa {
		c.PadID = or(h.Pad, 1)
		c.FirstPos = int(c.PadID) + 1
	} else {
		c.PadID = or(h.Pad, 0)
	}
	switch name := or(h.Act, string(GELU)); name {
	case "gelu", "relu":
		c.Act = Activation(name)
	case "gelu_new", "gelu_pytorch_tanh":
		c.Act = GELUTanh
	default:
		return c, fmt.Errorf("hidden_act %q is not supported; gelu, gelu_new and relu are", name)
	}
	switch kind := or(h.Positions, "absolute"); {
	case kind != "absolute":
		return c, fmt.Errorf("position_embedding_type %q is not supported; absolute is", kind)
	case h.IsDecoder || h.CrossAttend:
		return c, fmt.Errorf("is_decoder or add_cross_attention is set: this is not an encoder")
	case len(h.Quantization) > 0 && string(h.Quantization) != "null":
		return c, fmt.Errorf("the checkpoint is quantised (quantization_config): take the unquantised one")
	}
	return c, c.Validate()
}

func or[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

// Bounds on a configuration, which may come from anywhere: a list for every layer must
// fit into memory, and the size of a parameter into an int.
const (
	maxLayers = 1 << 12
	maxSize   = 1 << 28
)

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	for _, f := range []struct {
		name  string
		v, at int
	}{
		{"num_hidden_layers", c.Layers, maxLayers}, {"vocab_size", c.Vocab, maxSize}, {"hidden_size", c.Dim, maxSize},
		{"intermediate_size", c.FFN, maxSize}, {"max_position_embeddings", c.MaxPos, maxSize}, {"type_vocab_size", c.Types, maxSize},
	} {
		if f.v > f.at {
			return fmt.Errorf("%s %d: at most %d are possible", f.name, f.v, f.at)
		}
	}
	switch {
	case c.Vocab < 1 || c.Dim < 1 || c.Layers < 1 || c.Heads < 1 || c.FFN < 1 || c.Types < 1:
		return fmt.Errorf("vocab_size %d, hidden_size %d, num_hidden_layers %d, num_attention_heads %d, intermediate_size %d, type_vocab_size %d: all must be positive",
			c.Vocab, c.Dim, c.Layers, c.Heads, c.FFN, c.Types)
	case c.Dim%c.Heads != 0:
		return fmt.Errorf("hidden_size %d: must be a multiple of num_attention_heads %d", c.Dim, c.Heads)
	case c.PadID < 0 || int(c.PadID) >= c.Vocab:
		return fmt.Errorf("pad_token_id %d: must be below vocab_size %d", c.PadID, c.Vocab)
	case c.Limit() < 1:
		return fmt.Errorf("max_position_embeddings %d: leaves no position for a token", c.MaxPos)
	case !(c.NormEps > 0):
		return fmt.Errorf("layer_norm_eps %v: must be positive", c.NormEps)
	}
	return nil
}
