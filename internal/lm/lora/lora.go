// Package lora trains a frozen decoder through low-rank adapters (Hu et al. 2021)
// and reads and writes them in the format of PEFT.
//
// To a projection y = W·x an adapter adds s·B·A·x with A [r, in] and B [out, r].
// Adapters and what they add are computed in float32 whatever the type of the base.
package lora

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Config describes the adapters of one model, in PEFT's terms.
type Config struct {
	Rank    int     // r
	Alpha   float64 // lora_alpha
	Dropout float64 // chance that an input of A is dropped in training
	// Targets are the projections with an adapter: names such as q_proj, or patterns
	// such as *_proj; sorted and without repetition after [Config.Resolve].
	Targets []string
	// RSLoRA scales by alpha/sqrt(r) instead of alpha/r (Kalajdzievski 2023).
	RSLoRA bool
}

// Scale is what B·A·x is multiplied by.
func (c Config) Scale() float64 {
	if c.RSLoRA {
		return c.Alpha / math.Sqrt(float64(c.Rank))
	}
	return c.Alpha / float64(c.Rank)
}

// Resolve replaces patterns by the projections they match, and checks the rest.
func (c Config) Resolve() (Config, error) {
	if c.Rank < 1 || !(c.Alpha > 0) || !(c.Dropout >= 0 && c.Dropout < 1) {
		return c, fmt.Errorf("lora: rank %d, alpha %g and dropout %g: want a positive rank and alpha, and a dropout from 0 to below 1", c.Rank, c.Alpha, c.Dropout)
	}
	var out []string
	for _, pattern := range c.Targets {
		if pattern == "all-linear" { // PEFT's word for it
			pattern = "*"
		}
		hit := false
		for _, t := range decoder.Targets {
			ok, err := path.Match(pattern, t)
			if err != nil {
				return c, fmt.Errorf("lora: target %q: %w", pattern, err)
			}
			if ok {
				hit, out = true, append(out, t)
			}
		}
		if !hit {
			return c, fmt.Errorf("lora: target %q matches no projection; there are %s", pattern, strings.Join(decoder.Targets, ", "))
		}
	}
	if len(out) == 0 {
		return c, fmt.Errorf("lora: no targets; there are %s", strings.Join(decoder.Targets, ", "))
	}
	slices.Sort(out)
	c.Targets = slices.Compact(out)
	return c, nil
}

// prefix is what PEFT puts before the names of the wrapped model's modules.
const prefix = "base_model.model."

// module is the full name of a projection in a Hugging Face decoder.
func module(layer int, target string) string {
	block := "self_attn"
	switch target {
	case "gate_proj", "up_proj", "down_proj":
		block = "mlp"
	}
	return fmt.Sprintf("model.layers.%d.%s.%s", layer, block, target)
}

func nameA(layer int, target string) string {
	return prefix + module(layer, target) + ".lora_A.weight"
}

func nameB(layer int, target string) string {
	return prefix + module(layer, target) + ".lora_B.weight"
}

// layout lists the tensors of c's adapters for a decoder, without data: for each layer
// and target A [r, in] and B [out, r].
func layout(d decoder.Config, c Config) (weights.Set, error) {
	var s weights.Set
	for l := range d.Layers {
		for _, t := range c.Targets {
			out, in, ok := decoder.TargetDims(d, t)
			if !ok {
				return nil, fmt.Errorf("lora: the model has no projection %q", t)
			}
			s = append(s,
				weights.Tensor{Name: nameA(l, t), Dims: []int{c.Rank, in}},
				weights.Tensor{Name: nameB(l, t), Dims: []int{out, c.Rank}})
		}
	}
	return s, nil
}

// Init draws fresh adapters for a decoder: for each layer and target, A from
// U(-1/sqrt(in), 1/sqrt(in)) and B zero, as PEFT does, so that the model starts as
// its base. c must be resolved.
func Init(d decoder.Config, c Config, seed uint64) (weights.Set, error) {
	s, err := layout(d, c)
	if err != nil {
		return nil, err
	}
	for k := 0; k < len(s); k += 2 {
		a, b := s[k], s[k+1]
		s[k] = weights.Uniform(seed, 1/math.Sqrt(float64(a.Dims[1])), a.Name, a.Dims...)
		s[k+1] = weights.Const(0, b.Name, b.Dims...)
	}
	return s, nil
}
