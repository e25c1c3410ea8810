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

	"github.com/distillflow/distillflow/internal/base/paths"
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
	Targets      modules            `json:"target_modules"`
	Exclude      modules            `json:"exclude_modules,omitzero"`
	RSLoRA       bool               `json:"use_rslora"`
	DoRA         bool               `json:"use_dora"`
	FanInFanOut  bool               `json:"fan_in_fan_out"`
	InitWeights  any                `json:"init_lora_weights"`
	Save         []string           `json:"modules_to_save"`
	Invocation   any                `json:"alora_invocation_tokens,omitempty"`
	Layers       any                `json:"layers_to_transform"`
	LayersAt     any                `json:"layers_pattern"`
	RankPattern  map[string]int     `json:"rank_pattern"`
	AlphaPattern map[string]float64 `json:"alpha_pattern"`
}

// modules is target_modules or exclude_modules: a list of names, or one regular
// expression over the full names of modules.
type modules struct {
	list    []string
	pattern string
}

func (m modules) MarshalJSON() ([]byte, error) { return json.Marshal(m.list) }

func (m *modules) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &m.pattern)
	}
	return json.Unmarshal(b, &m.list)
}

// matcher reports which full names of modules are meant: a name of the list is that of
// a module or its end.
func (m modules) matcher() (func(module string) bool, error) {
	if m.pattern == "" {
		return func(module string) bool {
			return slices.ContainsFunc(m.list, func(name string) bool {
				return name == module || strings.HasSuffix(module, "."+name)
			})
		}, nil
	}
	re, err := regexp.Compile("^(?:" + m.pattern + ")$")
	if err != nil {
		return nil, err
	}
	return re.MatchString, nil
}

// targets lists the projections with an adapter: those that target_modules names and
// exclude_modules does not, which must be so in every layer.
func (p peftConfig) targets(layers int) ([]string, error) {
	all := p.Targets
	if all.pattern == "all-linear" {
		all = modules{list: decoder.Targets}
	}
	for _, name := range all.list {
		one, _ := modules{list: []string{name}}.matcher()
		if !slices.ContainsFunc(decoder.Targets, func(target string) bool { return layersWith(one, layers, target) > 0 }) {
			return nil, fmt.Errorf("target_modules: %q is not a projection that adapters can attach to here; those are %s", name, strings.Join(decoder.Targets, ", "))
		}
	}
	target, err := all.matcher()
	if err != nil {
		return nil, fmt.Errorf("target_modules: %w", err)
	}
	exclude, err := p.Exclude.matcher()
	if err != nil {
		return nil, fmt.Errorf("exclude_modules: %w", err)
	}
	var out []string
	for _, t := range decoder.Targets {
		switch n := layersWith(func(m string) bool { return target(m) && !exclude(m) }, layers, t); n {
		case 0:
		case layers:
			out = append(out, t)
		default:
			return nil, fmt.Errorf("target_modules and exclude_modules choose %s in %d of %d layers: only adapters on all layers are supported", t, n, layers)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("target_modules matches no projection, or exclude_modules leave out all")
	}
	return out, nil
}

// layersWith counts the layers whose projection matches.
func layersWith(match func(module string) bool, layers int, target string) (n int) {
	for l := range layers {
		if match(module(l, target)) {
			n++
		}
	}
	return n
}

// Save writes an adapter folder that PEFT and vLLM load: s as Init orders it, for
// the base model called base (a Hub name or a path; it is only written down).
func Save(dir, base string, c Config, s weights.Set) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(peftConfig{
		Type: "LORA", Task: "CAUSAL_LM", Base: base, Inference: true, Bias: "none", InitWeights: true,
		Rank: c.Rank, Alpha: c.Alpha, Dropout: c.Dropout, Targets: modules{list: c.Targets}, RSLoRA: c.RSLoRA,
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
// trained biases, a base that PEFT changed) are errors, and so are tensors of another model. base is the name
// of the model it was trained on.
func Load(dir string, d decoder.Config) (c Config, s weights.Set, base string, err error) {
	p, err := readConfig(dir)
	if err != nil {
		return c, nil, "", err
	}
	if c, err = p.config(d.Layers); err != nil {
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
	data, err := paths.ReadFile(path, 1<<30)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// checkBase refuses adapters that cannot be added to the published base: those that act
// on a part of the text, and those whose training began by changing the base's weights.
// Other ways to begin only choose where training starts.
func (p peftConfig) checkBase() error {
	if p.Invocation != nil {
		return errors.New("alora_invocation_tokens: an adapter that acts only after these tokens is not supported: train a plain LoRA adapter")
	}
	init, named := p.InitWeights.(string)
	switch name := strings.ToLower(init); {
	case !named || slices.Contains([]string{"gaussian", "eva", "orthogonal"}, name):
		return nil
	case strings.HasPrefix(name, "pissa") || strings.HasPrefix(name, "corda") || name == "olora" || name == "lora_ga":
		return fmt.Errorf("init_lora_weights %q: PEFT changed the base's weights when training began, so the adapter does not fit the published ones: save it again with PEFT's save_pretrained(..., path_initial_model_for_weight_conversion=...)", init)
	case name == "loftq":
		return fmt.Errorf("init_lora_weights %q: PEFT changed the base's weights when training began, so the adapter does not fit the published ones: merge it with PEFT into the base that it was trained on", init)
	}
	return fmt.Errorf("init_lora_weights %q is unknown here, and some such ways to begin training change the base's weights: merge the adapter with PEFT", init)
}

func (p peftConfig) config(layers int) (Config, error) {
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
			return c, fmt.Errorf("%s is not supported: the adapter would give other numbers than it was trained for; merge it with PEFT and name the merged model", no.what)
		}
	}
	err := p.checkBase()
	if err != nil {
		return c, err
	}
	if c.Targets, err = p.targets(layers); err != nil {
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
				return nil, fmt.Errorf("%s: tensor %q does not belong to a target of %s (%s)", path, t.Name, ConfigFile, strings.Join(c.Targets, ", "))
			}
		}
	}
	if bad := want.FirstNonFinite(); bad != "" {
		return nil, fmt.Errorf("%s: tensor %q holds a NaN or an infinity", path, bad)
	}
	return want, nil
}
