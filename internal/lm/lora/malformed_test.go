package lora

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

const firstA = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"

// adapterFolder copies the golden adapter of llama, changed.
func adapterFolder(t testing.TB, config func(map[string]any), tensors func([]safetensors.Tensor) []safetensors.Tensor) string {
	t.Helper()
	dir := t.TempDir()
	from := filepath.Join("testdata", "llama", "start")
	data, err := os.ReadFile(filepath.Join(from, ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		config(m)
		if data, err = json.Marshal(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(filepath.Join(from, WeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := f.Tensors()
	for i := range all {
		all[i].Data, all[i].Shape = slices.Clone(all[i].Data), slices.Clone(all[i].Shape)
	}
	if tensors != nil {
		all = tensors(all)
	}
	if err := safetensors.WriteFile(filepath.Join(dir, WeightsFile), all, nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

func named(all []safetensors.Tensor, name string) *safetensors.Tensor {
	return &all[slices.IndexFunc(all, func(x safetensors.Tensor) bool { return x.Name == name })]
}

// Adapters that are damaged or another model's are errors that name the file and the
// tensor, and take no more memory than the file.
func TestLoadMalformed(t *testing.T) {
	d, _ := readBase(t, "llama")
	if _, _, _, err := Load(adapterFolder(t, nil, nil), d); err != nil {
		t.Fatal(err)
	}
	type ts = []safetensors.Tensor
	for title, c := range map[string]struct {
		config  func(map[string]any)
		tensors func(ts) ts
		want    []string
	}{
		"a rank of all memory":       {config: func(m map[string]any) { m["r"] = 1 << 50 }, want: []string{WeightsFile, firstA, "want [1125899906842624 "}},
		"another rank":               {config: func(m map[string]any) { m["r"] = 5 }, want: []string{WeightsFile, firstA, "rank 5 want [5 "}},
		"a rank that is no number":   {config: func(m map[string]any) { m["r"] = "four" }, want: []string{ConfigFile, "r"}},
		"more targets":               {config: func(m map[string]any) { m["target_modules"] = "all-linear" }, want: []string{WeightsFile, "down_proj.lora_A.weight", "another model"}},
		"fewer targets":              {config: func(m map[string]any) { m["target_modules"] = []string{"q_proj"} }, want: []string{WeightsFile, "v_proj.lora_A.weight", "does not belong to a target"}},
		"targets of no kind":         {config: func(m map[string]any) { m["target_modules"] = 7 }, want: []string{ConfigFile}},
		"an expression in itself":    {config: func(m map[string]any) { m["target_modules"] = strings.Repeat("(", 5000) + strings.Repeat(")", 5000) }, want: []string{ConfigFile, "target_modules"}},
		"an expression that repeats": {config: func(m map[string]any) { m["target_modules"] = "((((q{1000}){1000}){1000}){1000})" }, want: []string{ConfigFile, "target_modules"}},
		"an adapter of layers that are not there": {tensors: func(all ts) ts {
			x := *named(all, firstA)
			x.Name = strings.Replace(firstA, "layers.0", "layers.77", 1)
			return append(all, x)
		}, want: []string{WeightsFile, "layers.77", "does not belong to a target"}},
		"no tensor": {tensors: func(all ts) ts {
			return slices.DeleteFunc(all, func(x safetensors.Tensor) bool { return x.Name == firstA })
		}, want: []string{WeightsFile, firstA, "no tensor"}},
		"other names": {tensors: func(all ts) ts {
			for i := range all {
				all[i].Name = strings.TrimPrefix(all[i].Name, "base_model.")
			}
			return all
		}, want: []string{WeightsFile, firstA}},
		"turned":     {tensors: func(all ts) ts { slices.Reverse(named(all, firstA).Shape); return all }, want: []string{WeightsFile, firstA, "shape"}},
		"no numbers": {tensors: func(all ts) ts { named(all, firstA).DType = safetensors.I32; return all }, want: []string{WeightsFile, firstA, "I32"}},
		"NaN": {tensors: func(all ts) ts {
			x, err := safetensors.FromFloat32(firstA, safetensors.F32, named(all, firstA).Shape, slices.Repeat([]float32{float32(math.NaN())}, named(all, firstA).Len()))
			if err != nil {
				t.Fatal(err)
			}
			*named(all, firstA) = x
			return all
		}, want: []string{WeightsFile, firstA, "NaN"}},
	} {
		t.Run(title, func(t *testing.T) {
			dir := adapterFolder(t, c.config, c.tensors)
			var err error
			alloctest.Within(t, 0, 0, 16<<20, func() { _, _, _, err = Load(dir, d) })
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("error %v\ndoes not say %s", err, w)
				}
			}
		})
	}
	t.Run("cut short", func(t *testing.T) {
		dir := adapterFolder(t, nil, nil)
		path := filepath.Join(dir, WeightsFile)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, info.Size()-1); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := Load(dir, d); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "tensor") {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := Load(dir, d); err == nil || !strings.Contains(err.Error(), ConfigFile) {
			t.Error(err)
		}
		if _, _, err := Base(dir); err == nil {
			t.Error("no error")
		}
	})
}

func FuzzConfig(f *testing.F) {
	for _, name := range goldens {
		data, err := os.ReadFile(filepath.Join("testdata", name, "start", ConfigFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"peft_type":"LORA","r":9223372036854775807,"lora_alpha":1e308,"target_modules":"(q|v)_proj"}`))
	d, _ := readBase(f, "llama")
	f.Fuzz(func(t *testing.T, data []byte) {
		var p peftConfig
		if json.Unmarshal(data, &p) != nil {
			return
		}
		var c Config
		var err error
		alloctest.Within(t, len(data), 20_000, 4<<20, func() { c, err = p.config(d.Layers) })
		if err != nil {
			return
		}
		if !(c.Scale() > 0) || len(c.Targets) == 0 {
			t.Fatalf("%s: accepted as %+v", data, c)
		}
		if s, err := layout(d, c); err != nil || len(s) != 2*d.Layers*len(c.Targets) {
			t.Fatalf("%s: %d tensors, %v", data, len(s), err)
		}
	})
}
