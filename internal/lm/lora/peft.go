package lora

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Files of an adapter folder, as PEFT calls them.
const (
	ConfigFile  = "adapter_config.json"
	WeightsFile = "adapter_model.safetensors"
)

// peftConfig is adapter_config.json. What is written is what PEFT's own loader and
// vLLM need; what would change the numbers and is not supported is refused on reading.
type peftConfig struct {
	Type         string             `json:"peft_type"`
	Task         string             `json:"task_type"`
	Base         string             `json:"base_model_name_or_path"`
	Revision     *string            `json:"revision"`
	Inference    bool               `json:"inference_mode"`
	Rank         int                `json:"r"`
	Alpha        float64            `json:"lora_alpha"`
	Dropout      float64            `json:"lora_dropout"`
	Bias         string             `json:"bias"`
	Targets      targets            `json:"target_modules"`
	RSLoRA       bool               `json:"use_rslora"`
	DoRA         bool               `json:"use_dora"`
	FanInFanOut  bool               `json:"fan_in_fan_out"`
	InitWeights  any                `json:"init_lora_weights"`
	Save         []string           `json:"modules_to_save"`
	Layers       any                `json:"layers_to_transform"`
	LayersAt     any                `json:"layers_pattern"`
	RankPattern  map[string]int     `json:"rank_pattern"`
	AlphaPattern map[string]float64 `json:"alpha_pattern"`
}

// targets is target_modules: a list of names, or one regular expression over the
// full names of modules.
type targets struct {
	list    []string
	pattern string
}

func (t targets) MarshalJSON() ([]byte, error) { return json.Marshal(t.list) }

func (t *targets) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &t.pattern)
	}
	return json.Unmarshal(b, &t.list)
}

// resolve lists the projections that the configuration names.
func (t targets) resolve() ([]string, error) {
	match := func(target string) bool {
		return slices.ContainsFunc(t.list, func(name string) bool {
			return name == target || strings.HasSuffix(module(0, target), "."+name)
		})
	}
	known := t.list
	if t.pattern == "all-linear" {
		return slices.Clone(decoder.Targets), nil
	}
	if t.pattern != "" {
		re, err := regexp.Compile("^(?:" + t.pattern + ")$")
		if err != nil {
			return nil, fmt.Errorf("target_modules: %w", err)
		}
		match = func(target string) bool { return re.MatchString(module(0, target)) }
		known = nil
	}
	var out []string
	for _, target := range decoder.Targets {
		if match(target) {
			out = append(out, target)
		}
	}
	for _, name := range known {
		if !slices.ContainsFunc(decoder.Targets, func(target string) bool {
			return name == target || strings.HasSuffix(module(0, target), "."+name)
		}) {
			return nil, fmt.Errorf("target_modules: %q is not a projection that adapters can attach to here; those are %s", name, strings.Join(decoder.Targets, ", "))
		}
	}
	if len(out) == 0 {
		return nil, errors.New("target_modules: matches no projection")
	}
	return out, nil
}

// Save writes an adapter folder that PEFT and vLLM load: s as Init orders it, for
// the base model called base (a Hub name or a path; it is only written down).
func Save(dir, base string, c Config, s weights.Set) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(peftConfig{
		Type: "LORA", Task: "CAUSAL_LM", Base: base, Inference: true, Bias: "none", InitWeights: true,
		Rank: c.Rank, Alpha: c.Alpha, Dropout: c.Dropout, Targets: targets{list: c.Targets}, RSLoRA: c.RSLoRA,
		RankPattern: map[string]int{}, AlphaPattern: map[string]float64{},
	}, "", "  ")
	if err != nil {
		return err
	}
	tensors := make([]safetensors.Tensor, len(s))
	for i, t := range s {
		if tensors[i], err = safetensors.FromFloat32(t.Name, safetensors.F32, t.Dims, t.Data); err != nil {
			return err
		}
	}
	if err := safetensors.WriteFile(filepath.Join(dir, WeightsFile), tensors, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ConfigFile), append(data, '\n'), 0o644)
}

// Load reads an adapter folder that PEFT or [Save] wrote, for a decoder. Settings
// that would change the numbers and that are not supported (DoRA, rank patterns,
// trained biases) are errors, and so are tensors of another model. base is the name
// of the model it was trained on.
func Load(dir string, d decoder.Config) (c Config, s weights.Set, base string, err error) {
	p, err := readConfig(dir)
	if err != nil {
		return c, nil, "", err
	}
	if c, err = p.config(); err != nil {
		return c, nil, p.Base, fmt.Errorf("%s: %w", filepath.Join(dir, ConfigFile), err)
	}
	s, err = loadWeights(filepath.Join(dir, WeightsFile), d, c)
	return c, s, p.Base, err
}

// Base reads which model an adapter folder says it was trained on: a Hub name or a
// path, and the revision, or "".
func Base(dir string) (name, revision string, err error) {
	p, err := readConfig(dir)
	if p.Revision != nil {
		revision = *p.Revision
	}
	return p.Base, revision, err
}

func readConfig(dir string) (p peftConfig, err error) {
	path := filepath.Join(dir, ConfigFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func (p peftConfig) config() (Config, error) {
	c := Config{Rank: p.Rank, Alpha: p.Alpha, Dropout: p.Dropout, RSLoRA: p.RSLoRA}
	for _, no := range []struct {
		bad  bool
		what string
	}{
		{p.Type != "LORA", fmt.Sprintf("peft_type %q", p.Type)},
		{p.DoRA, "use_dora"},
		{p.FanInFanOut, "fan_in_fan_out"},
		{p.Bias != "" && p.Bias != "none", fmt.Sprintf("bias %q", p.Bias)},
		{len(p.Save) > 0, "modules_to_save"},
		{len(p.RankPattern) > 0, "rank_pattern"},
		{len(p.AlphaPattern) > 0, "alpha_pattern"},
		{p.Layers != nil, "layers_to_transform"},
	} {
		if no.bad {
			return c, fmt.Errorf("%s is not supported: the adapter would give other numbers than it was trained for", no.what)
		}
	}
	var err error
	if c.Targets, err = p.Targets.resolve(); err != nil {
		return c, err
	}
	return c.Resolve()
}

// loadWeights reads the tensors of c in the order of Init; names and shapes must be
// exactly those.
func loadWeights(path string, d decoder.Config, c Config) (set weights.Set, err error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	want, err := layout(d, c) // and no memory for it yet: the rank may be anything
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i, w := range want {
		t, err := f.Tensor(w.Name)
		if err != nil {
			return nil, fmt.Errorf("%w: is it the adapter of another model?", err)
		}
		if !slices.Equal(t.Shape, w.Dims) {
			return nil, fmt.Errorf("%s: tensor %q has shape %v, the model and rank %d want %v", path, t.Name, t.Shape, c.Rank, w.Dims)
		}
		if want[i].Data, err = t.Float32(nil); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		want[i].Dims = slices.Clone(t.Shape)
	}
	if n := len(f.Tensors()); n != len(want) {
		for _, t := range f.Tensors() {
			if want.Find(t.Name) < 0 {
				return nil, fmt.Errorf("%s: tensor %q belongs to no target of %s (%s)", path, t.Name, ConfigFile, strings.Join(c.Targets, ", "))
			}
		}
	}
	if bad := want.FirstNonFinite(); bad != "" {
		return nil, fmt.Errorf("%s: tensor %q holds a NaN or an infinity", path, bad)
	}
	return want, nil
}
