// Package decoder is one decoder-only transformer whose variants are chosen by
// its [Config]: a Llama shape and a Gemma shape.
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

	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Arch selects the variant.
type Arch string

// The variants.
const (
	// Llama: RMSNorm with weight w, SwiGLU.
	Llama Arch = "llama"
	// Gemma: embeddings scaled by sqrt(D), RMSNorm with weight 1+w, GeGLU with
	// the tanh approximation. (Published Gemma models also set Tied.)
	Gemma Arch = "gemma"
)

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

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.Arch != Llama && c.Arch != Gemma:
		return fmt.Errorf("model_type %q: must be %s or %s", c.Arch, Llama, Gemma)
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

// Parameters per layer, in the order in which [Init] lists them.
const (
	pInputNorm = iota // [D]
	pQKV              // [(H+2G)·E, D]
	pO                // [D, H·E]
	pPostNorm         // [D]
	pGateUp           // [2F, D]
	pDown             // [D, F]
	perLayer
)

// Init draws fresh parameters: the embedding, each layer's, the final norm, and
// the head unless it is tied. Matrices are stored [out, in] as in Hugging Face
// checkpoints. Residual outputs (o_proj, down_proj) start smaller by
// sqrt(2·layers), as in GPT-2, so that depth does not grow the residual stream.
func Init(c Config, seed uint64) (weights.Set, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	norm := float32(1)
	if c.Arch == Gemma {
		norm = 0
	}
	out := c.InitStd / math.Sqrt(2*float64(c.Layers))
	embStd := c.InitStd
	if c.Arch == Gemma {
		// Embeddings are multiplied by sqrt(D): the residual stream starts as in the
		// other variant.
		embStd = c.InitStd / math.Sqrt(float64(c.Dim))
	}
	s := weights.Set{weights.Normal(seed, embStd, "model.embed_tokens.weight", c.Vocab, c.Dim)}
	for l := range c.Layers {
		p := fmt.Sprintf("model.layers.%d.", l)
		s = append(s,
			weights.Const(norm, p+"input_layernorm.weight", c.Dim),
			weights.Normal(seed, c.InitStd, p+"self_attn.qkv_proj.weight", (c.Heads+2*c.KVHeads)*c.HeadDim, c.Dim),
			weights.Normal(seed, out, p+"self_attn.o_proj.weight", c.Dim, c.Heads*c.HeadDim),
			weights.Const(norm, p+"post_attention_layernorm.weight", c.Dim),
			weights.Normal(seed, c.InitStd, p+"mlp.gate_up_proj.weight", 2*c.FFN, c.Dim),
			weights.Normal(seed, out, p+"mlp.down_proj.weight", c.Dim, c.FFN),
		)
	}
	s = append(s, weights.Const(norm, "model.norm.weight", c.Dim))
	if !c.Tied {
		s = append(s, weights.Normal(seed, c.InitStd, "lm_head.weight", c.Vocab, c.Dim))
	}
	return s, nil
}

// NumParams is the number of tensors that [Init] returns for c.
func NumParams(c Config) int {
	n := 2 + perLayer*c.Layers
	if !c.Tied {
		n++
	}
	return n
}

// isMatrix reports whether a parameter takes weight decay: norms do not.
func isMatrix(dims []int) bool { return len(dims) > 1 }

// Decays lists, in parameter order, which tensors of s take weight decay.
func Decays(s weights.Set) []bool {
	out := make([]bool, len(s))
	for i := range s {
		out[i] = isMatrix(s[i].Dims)
	}
	return out
}

// Rates are the learning rates of s's tensors as multiples of the model's. Adam
// moves every weight by about the learning rate; the Gemma shape multiplies
// embeddings by sqrt(D), so without a smaller rate they would move that much
// faster than the rest.
func Rates(c Config, s weights.Set) []float64 {
	out := make([]float64, len(s))
	for i := range out {
		out[i] = 1
	}
	if c.Arch == Gemma {
		out[0] = 1 / math.Sqrt(float64(c.Dim))
	}
	return out
}
