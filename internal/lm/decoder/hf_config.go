package decoder

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// hfConfig is the part of a Hugging Face config.json that decides the graph.
// Pointers tell what is absent or null from what is zero.
type hfConfig struct {
	ModelType string          `json:"model_type"`
	Text      json.RawMessage `json:"text_config"`

	Vocab   int      `json:"vocab_size"`
	Dim     int      `json:"hidden_size"`
	Layers  int      `json:"num_hidden_layers"`
	Heads   int      `json:"num_attention_heads"`
	KVHeads *int     `json:"num_key_value_heads"`
	HeadDim *int     `json:"head_dim"`
	FFN     int      `json:"intermediate_size"`
	MaxSeq  int      `json:"max_position_embeddings"`
	NormEps *float64 `json:"rms_norm_eps"`
	Tied    *bool    `json:"tie_word_embeddings"`
	InitStd *float64 `json:"initializer_range"`

	Act           *string  `json:"hidden_act"`
	Activation    *string  `json:"hidden_activation"`
	AttentionBias bool     `json:"attention_bias"`
	MLPBias       bool     `json:"mlp_bias"`
	QueryScalar   *float64 `json:"query_pre_attn_scalar"`
	AttnCap       optional `json:"attn_logit_softcapping"`
	LogitCap      optional `json:"final_logit_softcapping"`

	Window        *int     `json:"sliding_window"`
	UseWindow     *bool    `json:"use_sliding_window"`
	WindowFrom    *int     `json:"max_window_layers"`
	Pattern       *int     `json:"sliding_window_pattern"`
	PatternV5     *int     `json:"_sliding_window_pattern"`
	LayerTypes    []string `json:"layer_types"`
	Bidirectional *bool    `json:"use_bidirectional_attention"`

	RopeTheta   *float64        `json:"rope_theta"`
	RopeLocal   *float64        `json:"rope_local_base_freq"`
	RopeScaling *hfRope         `json:"rope_scaling"`
	RopeV5      json.RawMessage `json:"rope_parameters"`

	Quantization json.RawMessage `json:"quantization_config"`
}

// optional tells an absent number (nil) from null (0).
type optional struct {
	set bool
	v   float64
}

func (o *optional) UnmarshalJSON(b []byte) error {
	o.set = true
	if string(b) == "null" {
		return nil
	}
	return json.Unmarshal(b, &o.v)
}

func (o optional) or(def float64) float64 {
	if o.set {
		return o.v
	}
	return def
}

type hfRope struct {
	Type     string   `json:"rope_type"`
	OldType  string   `json:"type"`
	Theta    *float64 `json:"rope_theta"`
	Factor   float64  `json:"factor"`
	LowFreq  float64  `json:"low_freq_factor"`
	HighFreq float64  `json:"high_freq_factor"`
	Original int      `json:"original_max_position_embeddings"`
	Partial  *float64 `json:"partial_rotary_factor"`

	// yarn's
	Attention *float64 `json:"attention_factor"`
	BetaFast  *float64 `json:"beta_fast"`
	BetaSlow  *float64 `json:"beta_slow"`
	MScale    float64  `json:"mscale"`
	MScaleAll float64  `json:"mscale_all_dim"`
	Truncate  *bool    `json:"truncate"`
}

// rope is the rotation for a model of maxSeq positions whose base frequency, unless r
// has its own, is theta.
func (r *hfRope) rope(theta float64, maxSeq int) (Rope, error) {
	out := Rope{Theta: theta}
	if r == nil {
		return out, nil
	}
	if r.Theta != nil {
		out.Theta = *r.Theta
	}
	kind := r.Type
	if kind == "" {
		kind = r.OldType
	}
	switch kind {
	case "", "default":
	case "linear":
		out.Kind, out.Factor = kind, r.Factor
	case "llama3":
		out.Kind, out.Factor, out.LowFreq, out.HighFreq, out.Original = kind, r.Factor, r.LowFreq, r.HighFreq, r.Original
		if out.Original < 1 || out.HighFreq <= out.LowFreq {
			return out, fmt.Errorf("rope type llama3: original_max_position_embeddings %d and factors %g to %g make no sense", r.Original, r.LowFreq, r.HighFreq)
		}
	case "yarn":
		out.Kind, out.Factor, out.Exact = kind, r.Factor, !or(r.Truncate, true)
		out.HighFreq, out.LowFreq = positiveOr(r.BetaFast, 32), positiveOr(r.BetaSlow, 1)
		if out.Original = r.Original; out.Original == 0 {
			out.Original = maxSeq
		}
		if out.Factor == 0 && out.Original > 0 {
			out.Factor = float64(maxSeq) / float64(out.Original)
		}
		if out.Original < 1 || out.HighFreq < out.LowFreq || !(out.Theta > 1) {
			return out, fmt.Errorf("rope type yarn: original_max_position_embeddings %d, beta_fast %g, beta_slow %g and rope_theta %g make no sense", out.Original, out.HighFreq, out.LowFreq, out.Theta)
		}
		out.Scale = r.yarnScale(out.Factor)
		if !(out.Scale > 0) || math.IsInf(out.Scale, 0) {
			return out, fmt.Errorf("rope type yarn: attention_factor %g must be positive", out.Scale)
		}
	default:
		return out, fmt.Errorf("rope type %q is not supported; default, linear, llama3 and yarn are", kind)
	}
	if out.Kind != "" && !(out.Factor > 0) {
		return out, fmt.Errorf("rope type %s: factor %g must be positive", kind, out.Factor)
	}
	if r.Partial != nil && *r.Partial != 1 {
		return out, fmt.Errorf("partial_rotary_factor %g is not supported", *r.Partial)
	}
	return out, nil
}

// yarnScale is what yarn multiplies queries and keys by.
func (r *hfRope) yarnScale(factor float64) float64 {
	of := func(m float64) float64 {
		if factor <= 1 {
			return 1
		}
		return 0.1*m*math.Log(factor) + 1
	}
	switch {
	case r.Attention != nil:
		return *r.Attention
	case r.MScale != 0 && r.MScaleAll != 0:
		return of(r.MScale) / of(r.MScaleAll)
	}
	return of(1)
}

// positiveOr is the number, or def where there is none or 0.
func positiveOr(p *float64, def float64) float64 {
	if p == nil || *p == 0 {
		return def
	}
	return *p
}

// ParseHF reads a Hugging Face config.json. A family, activation or rotation that
// it does not know is an error that names it: a near relative would give wrong
// numbers without a sign.
func ParseHF(data []byte) (Config, error) {
	var h hfConfig
	if err := json.Unmarshal(data, &h); err != nil {
		return Config{}, err
	}
	if h.ModelType == "gemma3" { // the text half of the multimodal model
		tied := h.Tied
		if h.Text == nil {
			return Config{}, fmt.Errorf("model_type gemma3 without text_config")
		}
		h = hfConfig{}
		if err := json.Unmarshal(data, &struct {
			Text *hfConfig `json:"text_config"`
		}{&h}); err != nil {
			return Config{}, err
		}
		h.ModelType = string(Gemma3)
		if h.Tied == nil {
			h.Tied = tied
		}
	}
	c := Config{
		Arch: Arch(h.ModelType), Vocab: h.Vocab, Dim: h.Dim, Layers: h.Layers, Heads: h.Heads,
		KVHeads: or(h.KVHeads, h.Heads), FFN: h.FFN, MaxSeq: h.MaxSeq,
		NormEps: or(h.NormEps, 1e-6), InitStd: or(h.InitStd, 0.02),
	}
	if !slices.Contains(Archs, c.Arch) {
		return c, fmt.Errorf("model_type %q is not supported; these are: %v", h.ModelType, Archs)
	}
	if string(h.Quantization) != "" && string(h.Quantization) != "null" {
		return c, fmt.Errorf("the checkpoint is quantised (quantization_config): take the unquantised one; distillflow quantises it itself")
	}
	if or(h.Bidirectional, false) {
		return c, fmt.Errorf("use_bidirectional_attention: only causal models are supported")
	}
	if c.Arch == Gemma3 {
		// Published Gemma 3 files leave out what equals the smallest model's.
		c.fill(8, 262208, 131072)
		c.KVHeads, h.HeadDim = or(h.KVHeads, 4), ptr(or(h.HeadDim, 256))
	}
	if c.Heads > 0 {
		c.HeadDim = or(h.HeadDim, c.Dim/c.Heads)
	}
	gemma := c.Arch == Gemma || c.Arch == Gemma2 || c.Arch == Gemma3
	c.Tied = or(h.Tied, gemma)
	if err := c.bounded(); err != nil {
		return c, err // before there is something for every layer
	}
	f, err := h.features(c, gemma)
	if err != nil {
		return c, err
	}
	c.RopeTheta, c.Given = f.Rope.Theta, &f
	return c, c.Validate()
}

// fill sets sizes that a configuration leaves out.
func (c *Config) fill(heads, vocab, maxSeq int) {
	for _, f := range []struct {
		v   *int
		def int
	}{{&c.Heads, heads}, {&c.Vocab, vocab}, {&c.MaxSeq, maxSeq}} {
		if *f.v == 0 {
			*f.v = f.def
		}
	}
}

func ptr[T any](v T) *T { return &v }

func or[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

// features resolves what the families leave to defaults.
func (h *hfConfig) features(c Config, gemma bool) (Features, error) {
	f := c.Features()
	f.MLPBias = h.MLPBias
	switch c.Arch {
	case Qwen2: // its biases are not configurable
	default:
		f.QKVBias, f.OBias = h.AttentionBias, h.AttentionBias
	}
	name := or(h.Act, string(SiLU))
	if gemma {
		// Early Gemma files say "gelu" and mean the tanh form, as their publisher noted.
		name = or(h.Activation, string(GELUTanh))
	}
	switch name {
	case "silu", "swish":
		f.Act = SiLU
	case "gelu_pytorch_tanh", "gelu_new":
		f.Act = GELUTanh
	case "gelu":
		f.Act = GELU
	default:
		return f, fmt.Errorf("hidden_act %q is not supported; silu, gelu and gelu_pytorch_tanh are", name)
	}
	if c.Arch == Gemma2 || c.Arch == Gemma3 {
		f.QueryScale = 1 / math.Sqrt(or(h.QueryScalar, 256))
	}
	if c.Arch == Gemma2 {
		f.AttnCap, f.LogitCap = h.AttnCap.or(50), h.LogitCap.or(30)
	} else {
		f.AttnCap, f.LogitCap = h.AttnCap.v, h.LogitCap.v
	}
	if err := h.windows(c, &f); err != nil {
		return f, err
	}
	return f, h.ropes(c, &f)
}

// windows decides which layers slide.
func (h *hfConfig) windows(c Config, f *Features) error {
	window := or(h.Window, 0)
	slides := func(int) bool { return false }
	switch {
	case h.LayerTypes != nil:
		if len(h.LayerTypes) != c.Layers {
			return fmt.Errorf("layer_types lists %d layers, num_hidden_layers is %d", len(h.LayerTypes), c.Layers)
		}
		for i, t := range h.LayerTypes {
			if t != "full_attention" && t != "sliding_attention" {
				return fmt.Errorf("layer_types[%d] %q is not supported; full_attention and sliding_attention are", i, t)
			}
		}
		slides = func(l int) bool { return h.LayerTypes[l] == "sliding_attention" }
	case c.Arch == Mistral:
		slides = func(int) bool { return window > 0 }
	case c.Arch == Qwen2 || c.Arch == Qwen3:
		from := or(h.WindowFrom, 28)
		slides = func(l int) bool { return or(h.UseWindow, false) && window > 0 && l >= from }
	case c.Arch == Gemma2:
		slides = func(l int) bool { return l%2 == 0 }
	case c.Arch == Gemma3:
		every := or(h.Pattern, or(h.PatternV5, 6))
		slides = func(l int) bool { return (l+1)%every != 0 }
		if every < 1 {
			return fmt.Errorf("sliding_window_pattern %d must be positive", every)
		}
	}
	for l := range c.Layers {
		f.Sliding = append(f.Sliding, slides(l))
	}
	if !slices.Contains(f.Sliding, true) {
		f.Sliding = nil
		return nil
	}
	if f.Window = window; window < 1 {
		return fmt.Errorf("sliding_window %d: layers with a sliding window need a positive one", window)
	}
	return nil
}

// ropes reads the rotations in the form of transformers 5 (rope_parameters, per
// kind of layer in Gemma 3) or 4 (rope_theta, rope_scaling, rope_local_base_freq).
func (h *hfConfig) ropes(c Config, f *Features) (err error) {
	theta, local := or(h.RopeTheta, 10000), or(h.RopeTheta, 10000)
	if c.Arch == Gemma3 {
		theta, local = or(h.RopeTheta, 1e6), or(h.RopeLocal, 10000)
	}
	full, sliding := h.RopeScaling, h.RopeScaling
	if c.Arch == Gemma3 {
		sliding = nil // scaling is for the layers that see everything
	}
	if len(h.RopeV5) > 0 && string(h.RopeV5) != "null" {
		var per struct {
			Full    *hfRope `json:"full_attention"`
			Sliding *hfRope `json:"sliding_attention"`
		}
		if err := json.Unmarshal(h.RopeV5, &per); err != nil {
			return fmt.Errorf("rope_parameters: %w", err)
		}
		if per.Full != nil || per.Sliding != nil {
			full, sliding = per.Full, per.Sliding
		} else {
			full = &hfRope{}
			if err := json.Unmarshal(h.RopeV5, full); err != nil {
				return fmt.Errorf("rope_parameters: %w", err)
			}
			sliding = full
		}
	}
	if f.Rope, err = full.rope(theta, c.MaxSeq); err != nil {
		return err
	}
	f.SlidingRope, err = sliding.rope(local, c.MaxSeq)
	return err
}
