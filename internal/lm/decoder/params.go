package decoder

import (
	"fmt"
	"math"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/weights"
)

// slot is one parameter of a layer.
type slot int

// The parameters a layer may have, in the order in which [Layout] lists them.
const (
	inputNorm   slot = iota // [D]
	qkv                     // [(H+2G)·E, D]
	qkvBias                 // [(H+2G)·E]
	qNorm                   // [E]
	kNorm                   // [E]
	oProj                   // [D, H·E]
	oBias                   // [D]
	attnOutNorm             // [D], on what attention adds
	ffnNorm                 // [D]
	gateUp                  // [2F, D]
	gateUpBias              // [2F]
	down                    // [D, F]
	downBias                // [D]
	ffnOutNorm              // [D], on what the feed-forward adds
	slots
)

// Param is one parameter tensor of a decoder. Matrices are stored [out, in] as in
// Hugging Face checkpoints, but projections that read the same input are packed
// along out.
type Param struct {
	Name string
	Dims []int
	// Sources are the tensors of a Hugging Face checkpoint that make it up, stacked
	// along the first axis in this order.
	Sources []string
}

// present lists the slots of a layer, in order.
func (c Config) present() []slot {
	f := c.Features()
	has := [slots]bool{
		inputNorm: true, qkv: true, oProj: true, ffnNorm: true, gateUp: true, down: true,
		qkvBias: f.QKVBias, qNorm: f.QKNorm, kNorm: f.QKNorm, oBias: f.OBias,
		attnOutNorm: f.SandwichNorm, ffnOutNorm: f.SandwichNorm,
		gateUpBias: f.MLPBias, downBias: f.MLPBias,
	}
	var out []slot
	for s := range slots {
		if has[s] {
			out = append(out, s)
		}
	}
	return out
}

// param describes slot s of a layer whose names start with prefix.
func (c Config) param(s slot, prefix string) Param {
	d, e, f := c.Dim, c.HeadDim, c.FFN
	h, g := c.Heads*e, c.KVHeads*e
	att, mlp := prefix+"self_attn.", prefix+"mlp."
	one := func(name string, dims ...int) Param { return Param{name, dims, []string{name}} }
	qkvFrom := func(suffix string) []string {
		return []string{att + "q_proj." + suffix, att + "k_proj." + suffix, att + "v_proj." + suffix}
	}
	ffnFrom := func(suffix string) []string {
		return []string{mlp + "gate_proj." + suffix, mlp + "up_proj." + suffix}
	}
	sandwich := c.Features().SandwichNorm
	switch s {
	case inputNorm:
		return one(prefix+"input_layernorm.weight", d)
	case qkv:
		return Param{att + "qkv_proj.weight", []int{h + 2*g, d}, qkvFrom("weight")}
	case qkvBias:
		return Param{att + "qkv_proj.bias", []int{h + 2*g}, qkvFrom("bias")}
	case qNorm:
		return one(att+"q_norm.weight", e)
	case kNorm:
		return one(att+"k_norm.weight", e)
	case oProj:
		return one(att+"o_proj.weight", d, h)
	case oBias:
		return one(att+"o_proj.bias", d)
	case attnOutNorm:
		return one(prefix+"post_attention_layernorm.weight", d)
	case ffnNorm:
		// The same name means the norm before the feed-forward in one family and the one
		// after attention in another.
		if sandwich {
			return one(prefix+"pre_feedforward_layernorm.weight", d)
		}
		return one(prefix+"post_attention_layernorm.weight", d)
	case gateUp:
		return Param{mlp + "gate_up_proj.weight", []int{2 * f, d}, ffnFrom("weight")}
	case gateUpBias:
		return Param{mlp + "gate_up_proj.bias", []int{2 * f}, ffnFrom("bias")}
	case down:
		return one(mlp+"down_proj.weight", d, f)
	case downBias:
		return one(mlp+"down_proj.bias", d)
	default:
		return one(prefix+"post_feedforward_layernorm.weight", d)
	}
}

// Layout lists a decoder's parameters in the order of its graph's inputs: the
// embedding [V, D], each layer's, the final norm [D] and, unless it is tied, the
// head [V, D].
func Layout(c Config) []Param {
	one := func(name string, dims ...int) Param { return Param{name, dims, []string{name}} }
	out := []Param{one("model.embed_tokens.weight", c.Vocab, c.Dim)}
	for l := range c.Layers {
		for _, s := range c.present() {
			out = append(out, c.param(s, fmt.Sprintf("model.layers.%d.", l)))
		}
	}
	out = append(out, one("model.norm.weight", c.Dim))
	if !c.Tied {
		out = append(out, one("lm_head.weight", c.Vocab, c.Dim))
	}
	return out
}

// index finds the position in [Layout] of a layer's slot.
func (c Config) index(layer int, s slot) int {
	present := c.present()
	return 1 + layer*len(present) + slices.Index(present, s)
}

// Init draws fresh parameters in the order of [Layout]. Residual outputs (o_proj,
// down_proj) start smaller by sqrt(2·layers), as in GPT-2, so that depth does not
// grow the residual stream.
func Init(c Config, seed uint64) (weights.Set, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f := c.Features()
	norm := float32(1)
	if f.NormPlusOne {
		norm = 0
	}
	out := c.InitStd / math.Sqrt(2*float64(c.Layers))
	embed := c.InitStd
	if f.EmbedScale != 0 {
		// Embeddings are multiplied by it: the residual stream starts as without.
		embed = c.InitStd / f.EmbedScale
	}
	present := c.present()
	var set weights.Set
	for i, p := range Layout(c) {
		var t weights.Tensor
		s := slots
		if k := i - 1; k >= 0 && k < c.Layers*len(present) {
			s = present[k%len(present)]
		}
		switch {
		case i == 0:
			t = weights.Normal(seed, embed, p.Name, p.Dims...)
		case s == qkvBias || s == oBias || s == gateUpBias || s == downBias:
			t = weights.Const(0, p.Name, p.Dims...)
		case len(p.Dims) == 1:
			t = weights.Const(norm, p.Name, p.Dims...)
		case s == oProj || s == down:
			t = weights.Normal(seed, out, p.Name, p.Dims...)
		default:
			t = weights.Normal(seed, c.InitStd, p.Name, p.Dims...)
		}
		set = append(set, t)
	}
	return set, nil
}

// NumParams is the number of tensors that [Layout] lists for c.
func NumParams(c Config) int {
	n := 2 + len(c.present())*c.Layers
	if !c.Tied {
		n++
	}
	return n
}

// isMatrix reports whether a parameter takes weight decay: norms and biases do not.
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
// moves every weight by about the learning rate; where the embeddings are scaled
// up, without a smaller rate they would move that much faster than the rest.
func Rates(c Config, s weights.Set) []float64 {
	out := make([]float64, len(s))
	for i := range out {
		out[i] = 1
	}
	if scale := c.Features().EmbedScale; scale != 0 {
		out[0] = 1 / scale
	}
	return out
}
