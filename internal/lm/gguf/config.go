package gguf

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// modelTypes maps the architectures of llama.cpp to the model types of Hugging
// Face. Mistral models are stored as llama, whose graph is theirs without window.
var modelTypes = map[string]string{
	"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma": "gemma", "gemma2": "gemma2", "gemma3": "gemma3_text",
}

// meta reads metadata of one architecture; the first mistake stays.
type meta struct {
	f    *File
	arch string
	err  error
}

func (m *meta) value(key string) (any, bool) {
	v, ok := m.f.Metadata[m.arch+"."+key]
	return v, ok
}

// count reads a number that must be there unless def is not negative. An array, one
// number a layer, must hold one number only.
func (m *meta) count(key string, def int) int {
	v, ok := m.value(key)
	if !ok {
		if def < 0 && m.err == nil {
			m.err = fmt.Errorf("metadata %q is missing", m.arch+"."+key)
		}
		return def
	}
	list, isList := v.([]uint64)
	if ints, ok := v.([]int64); ok {
		for _, i := range ints {
			list = append(list, uint64(i))
		}
		isList = true
	}
	if isList && len(list) > 0 && slices.Max(list) == slices.Min(list) {
		v = list[0]
	}
	if i, ok := v.(int64); ok && i >= 0 {
		v = uint64(i)
	}
	u, ok := v.(uint64)
	if (!ok || u > math.MaxInt32) && m.err == nil {
		m.err = fmt.Errorf("metadata %q: one positive number is needed", m.arch+"."+key)
	}
	return int(u)
}

func (m *meta) number(key string, def float64) float64 {
	v, ok := m.value(key)
	if !ok {
		return def
	}
	x, ok := v.(float64)
	if !ok && m.err == nil {
		m.err = fmt.Errorf("metadata %q: a number is needed", m.arch+"."+key)
	}
	return x
}

// Config makes the config.json that a Hugging Face checkpoint of the model has. An
// architecture that is not known, or a variant of a known one that the metadata
// tells of, is an error.
func (f *File) Config() ([]byte, error) {
	arch, _ := f.Metadata["general.architecture"].(string)
	kind, ok := modelTypes[arch]
	if !ok {
		known := make([]string, 0, len(modelTypes))
		for a := range modelTypes {
			known = append(known, a)
		}
		slices.Sort(known)
		return nil, fmt.Errorf("%s: architecture %q is not supported; these are: %s", f.Path, arch, strings.Join(known, ", "))
	}
	m := &meta{f: f, arch: arch}
	embed, err := f.Tensor("token_embd.weight")
	if err != nil {
		return nil, err
	}
	if len(embed.Shape) != 2 {
		return nil, fmt.Errorf("%s: tensor %q has shape %v, two axes are needed", f.Path, embed.Name, embed.Shape)
	}
	dim, layers, heads := m.count("embedding_length", -1), m.count("block_count", -1), m.count("attention.head_count", -1)
	kv := m.count("attention.head_count_kv", heads)
	if m.err == nil && (heads < 1 || layers < 1) {
		m.err = fmt.Errorf("%d heads and %d layers", heads, layers)
	}
	if m.err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, m.err)
	}
	headDim := m.count("attention.key_length", dim/heads)
	_, untied := f.byName["output.weight"]
	c := map[string]any{
		"model_type": kind, "vocab_size": embed.Shape[0], "hidden_size": dim, "num_hidden_layers": layers,
		"num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": headDim,
		"intermediate_size": m.count("feed_forward_length", -1), "max_position_embeddings": m.count("context_length", -1),
		"rms_norm_eps": m.number("attention.layer_norm_rms_epsilon", 1e-6), "tie_word_embeddings": !untied,
	}
	if m.count("expert_count", 0) > 0 {
		m.err = fmt.Errorf("a mixture of experts is not supported")
	}
	if v := m.count("attention.value_length", headDim); v != headDim {
		m.err = fmt.Errorf("values of width %d with keys of width %d are not supported", v, headDim)
	}
	if r := m.count("rope.dimension_count", headDim); r != headDim {
		m.err = fmt.Errorf("a rotation of %d of %d numbers a head is not supported", r, headDim)
	}
	gemma := strings.HasPrefix(arch, "gemma")
	if gemma {
		c["hidden_activation"] = "gelu_pytorch_tanh"
	} else {
		_, c["attention_bias"] = f.byName["blk.0.attn_q.bias"]
		_, c["mlp_bias"] = f.byName["blk.0.ffn_gate.bias"]
	}
	if arch == "gemma2" || arch == "gemma3" {
		// Only the largest models of the two series scale by the width of the model over
		// the heads; the format does not say so, readers know them by their depth.
		c["query_pre_attn_scalar"] = headDim
		if arch == "gemma2" && layers == 46 || arch == "gemma3" && layers == 62 {
			c["query_pre_attn_scalar"] = dim / heads
		}
		c["sliding_window"] = m.count("attention.sliding_window", -1)
	}
	if arch == "gemma2" {
		c["attn_logit_softcapping"] = m.number("attn_logit_softcapping", 50)
		c["final_logit_softcapping"] = m.number("final_logit_softcapping", 30)
	}
	if err := m.rope(c, headDim); err != nil && m.err == nil {
		m.err = err
	}
	if m.err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, m.err)
	}
	return json.Marshal(c)
}

// rope writes the rotation.
func (m *meta) rope(c map[string]any, headDim int) error {
	theta := 10000.0
	if m.arch == "gemma3" {
		theta = 1e6
	}
	c["rope_theta"] = m.number("rope.freq_base", theta)
	if m.arch == "gemma3" {
		c["rope_local_base_freq"] = m.number("rope.freq_base_swa", 10000)
	}
	kind, _ := m.value("rope.scaling.type")
	switch kind {
	case nil, "none", "":
	case "linear":
		c["rope_scaling"] = map[string]any{"rope_type": "linear", "factor": m.number("rope.scaling.factor", 1)}
	case "yarn":
		for _, key := range []string{"attn_factor", "yarn_attn_factor", "yarn_ext_factor"} {
			if v := m.number("rope.scaling."+key, 1); v != 1 {
				return fmt.Errorf("rope scaling yarn with %s %g is not supported", key, v)
			}
		}
		if _, ok := m.value("rope.scaling.yarn_log_multiplier"); ok {
			return errors.New("rope scaling yarn with yarn_log_multiplier is not supported")
		}
		c["rope_scaling"] = map[string]any{
			"rope_type": "yarn", "factor": m.number("rope.scaling.factor", 1),
			"original_max_position_embeddings": m.count("rope.scaling.original_context_length", 0),
			"beta_fast":                        m.number("rope.scaling.yarn_beta_fast", 32), "beta_slow": m.number("rope.scaling.yarn_beta_slow", 1),
		}
	default:
		return fmt.Errorf("rope scaling %v is not supported; linear and yarn are", kind)
	}
	if t, err := m.f.Tensor("rope_freqs.weight"); err == nil {
		scaling, err := llama3(t, headDim, c["rope_theta"].(float64))
		if err != nil {
			return err
		}
		c["rope_scaling"] = scaling
	}
	return nil
}

// llama3 finds the parameters of the rotation of Llama 3.1 and later: the file holds
// what the frequencies are divided by and not from what it was computed. All
// published models blend between 1 and 4 turns per 8192 positions.
func llama3(t Tensor, headDim int, theta float64) (map[string]any, error) {
	const low, high, original = 1.0, 4.0, 8192.0
	div := make([]float32, t.Len())
	if len(div) != headDim/2 {
		return nil, fmt.Errorf("tensor %q has %d numbers for %d frequencies", t.Name, len(div), headDim/2)
	}
	if err := t.Decode(div, 0); err != nil {
		return nil, err
	}
	factor := math.Round(float64(slices.Max(div)))
	for i, got := range div {
		turns := original * math.Pow(theta, -2*float64(i)/float64(headDim)) / (2 * math.Pi)
		want := 1.0
		switch {
		case turns < low:
			want = factor
		case turns < high:
			smooth := (turns - low) / (high - low)
			want = 1 / ((1-smooth)/factor + smooth)
		}
		if math.Abs(float64(got)-want) > 1e-3*want {
			return nil, fmt.Errorf("tensor %q: number %d is %g, Llama 3's rotation has %g: this rotation is not supported", t.Name, i, got, want)
		}
	}
	return map[string]any{"rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high, "original_max_position_embeddings": int(original)}, nil
}
