// Package decoder is one decoder-only transformer whose families are chosen by its
// [Config]: Llama, Mistral, Qwen2, Qwen3 and Gemma 1, 2 and 3, either drawn fresh
// ([Init]) or with the weights of a Hugging Face checkpoint ([ParseHF], [Layout]).
//
// The graph follows what the pure-Go backend is fast at: packed projections of
// queries, keys and values and of gate and up; heads moved to the batch axis;
// hand-given gradients for normalisation, activation, attention and
// cross-entropy that never transpose an S x S matrix. Each hand-given gradient
// has a plain twin from which autodiff derives the same numbers in the tests.
//
// Shapes in comments: R rows (sequences), S positions, D model width, H query
// heads, G key/value heads, E head width, F feed-forward width, V vocabulary.
package decoder

import (
	"fmt"
	"math"
	"slices"
)

// Arch is the family, by the model_type of its Hugging Face configuration.
type Arch string

// The families. What distinguishes them stands in [Features].
const (
	Llama   Arch = "llama"
	Mistral Arch = "mistral"
	Qwen2   Arch = "qwen2" // also Qwen2.5
	Qwen3   Arch = "qwen3"
	Gemma   Arch = "gemma"
	Gemma2  Arch = "gemma2"
	Gemma3  Arch = "gemma3_text"
)

// Archs lists the families in order of age.
var Archs = []Arch{Llama, Mistral, Qwen2, Qwen3, Gemma, Gemma2, Gemma3}

// Config describes a decoder completely; its JSON is the config.json of a
// checkpoint. Field names are those of Hugging Face configurations.
type Config struct {
	Arch      Arch    `json:"model_type"`
	Vocab     int     `json:"vocab_size"`
	Dim       int     `json:"hidden_size"`
	Layers    int     `json:"num_hidden_layers"`
	Heads     int     `json:"num_attention_heads"`
	KVHeads   int     `json:"num_key_value_heads"`
	HeadDim   int     `json:"head_dim"`
	FFN       int     `json:"intermediate_size"`
	MaxSeq    int     `json:"max_position_embeddings"`
	RopeTheta float64 `json:"rope_theta"`
	NormEps   float64 `json:"rms_norm_eps"`
	Tied      bool    `json:"tie_word_embeddings"`
	InitStd   float64 `json:"initializer_range"`

	// Features of a published checkpoint; nil means those of a fresh model of its
	// family ([Config.Features]).
	Given *Features `json:"-"`
}

// WithDefaults fills the fields that are zero from the others.
func (c Config) WithDefaults() Config {
	if c.Heads == 0 {
		c.Heads = 2
	}
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	if c.HeadDim == 0 && c.Heads > 0 {
		c.HeadDim = c.Dim / c.Heads
	}
	if c.FFN == 0 {
		c.FFN = 2 * c.Dim
	}
	if c.RopeTheta == 0 {
		c.RopeTheta = 10000
	}
	if c.NormEps == 0 {
		c.NormEps = 1e-5
	}
	if c.InitStd == 0 {
		c.InitStd = 0.05
	}
	return c
}

// Bounds on sizes, far above those of any model, so that products of two stay in range
// and a broken file cannot ask for all memory by its number of layers.
const (
	maxSize   = 1 << 28
	maxLayers = 1 << 12
)

// bounded refuses sizes that no model has.
func (c Config) bounded() error {
	for _, f := range []struct {
		name  string
		v, at int
	}{
		{"vocab_size", c.Vocab, maxSize}, {"hidden_size", c.Dim, maxSize}, {"intermediate_size", c.FFN, maxSize},
		{"num_hidden_layers", c.Layers, maxLayers}, {"max_position_embeddings", c.MaxSeq, math.MaxInt32},
		{"num_attention_heads", c.Heads, 1 << 14}, {"num_key_value_heads", c.KVHeads, 1 << 14}, {"head_dim", c.HeadDim, 1 << 14},
	} {
		if f.v > f.at {
			return fmt.Errorf("%s %d: at most %d are possible", f.name, f.v, f.at)
		}
	}
	return nil
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if err := c.bounded(); err != nil {
		return err
	}
	switch {
	case !slices.Contains(Archs, c.Arch):
		return fmt.Errorf("model_type %q: not one of %v", c.Arch, Archs)
	case c.Vocab < 2:
		return fmt.Errorf("vocab_size %d: must be at least 2", c.Vocab)
	case c.Dim < 1 || c.Layers < 1 || c.Heads < 1 || c.FFN < 1 || c.MaxSeq < 1:
		return fmt.Errorf("hidden_size %d, num_hidden_layers %d, num_attention_heads %d, intermediate_size %d, max_position_embeddings %d: all must be positive",
			c.Dim, c.Layers, c.Heads, c.FFN, c.MaxSeq)
	case c.KVHeads < 1 || c.Heads%c.KVHeads != 0:
		return fmt.Errorf("num_key_value_heads %d: must divide num_attention_heads %d", c.KVHeads, c.Heads)
	case c.HeadDim < 2 || c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim %d: must be even and positive, rotary embeddings turn pairs", c.HeadDim)
	case !(c.RopeTheta > 0) || !(c.NormEps > 0) || !(c.InitStd >= 0):
		return fmt.Errorf("rope_theta %v, rms_norm_eps %v, initializer_range %v: must be positive", c.RopeTheta, c.NormEps, c.InitStd)
	}
	return nil
}
