package pretrained

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// Folders whose files are damaged or do not belong together are refused when they are
// opened, by an error that names the file and, where it is one, the tensor or field.
func TestOpenMalformed(t *testing.T) {
	set := func(key string, v any) func(map[string]any) { return func(m map[string]any) { m[key] = v } }
	for title, c := range map[string]struct {
		config func(map[string]any)
		files  map[string]string // written last; "" cuts the file to half
		want   []string
	}{
		"layers of all memory": {config: set("num_hidden_layers", 1<<40), want: []string{ConfigFile, "num_hidden_layers 1099511627776"}},
		"a huge vocabulary":    {config: set("vocab_size", 1<<50), want: []string{ConfigFile, "vocab_size"}},
		"products that overflow": {config: func(m map[string]any) {
			m["num_attention_heads"], m["num_key_value_heads"], m["head_dim"] = 1<<32, 1<<32, 1<<32
		}, want: []string{ConfigFile, "num_attention_heads 4294967296"}},
		"no layers":             {config: set("num_hidden_layers", 0), want: []string{ConfigFile, "num_hidden_layers 0"}},
		"negative heads":        {config: set("num_attention_heads", -4), want: []string{ConfigFile, "num_attention_heads -4"}},
		"a size that is a text": {config: set("hidden_size", "x"), want: []string{ConfigFile, "hidden_size"}},
		"another architecture":  {config: set("model_type", "mamba"), want: []string{ConfigFile, `"mamba"`}},
		"quantised":             {config: set("quantization_config", map[string]any{"bits": 4}), want: []string{ConfigFile, "quantised"}},
		"an end outside":        {config: set("eos_token_id", 40), want: []string{"eos_token_id 40", "40"}},
		"no JSON":               {files: map[string]string{ConfigFile: "{"}, want: []string{ConfigFile}},
		"values in values":      {files: map[string]string{ConfigFile: `{"rope_parameters":` + strings.Repeat(`{"a":`, 20000)}, want: []string{ConfigFile}},
		"generation no JSON":    {files: map[string]string{GenerationFile: "["}, want: []string{GenerationFile}},
		"cut short":             {files: map[string]string{safetensors.SingleFile: ""}, want: []string{safetensors.SingleFile, "tensor \""}},
		"no safetensors":        {files: map[string]string{safetensors.SingleFile: "PK\x03\x04 and more"}, want: []string{safetensors.SingleFile, "header"}},
		"shards that are not there": {files: map[string]string{safetensors.IndexFile: `{"weight_map":{"a":"model-1.safetensors"}}`},
			want: []string{safetensors.IndexFile, "model-1.safetensors"}},
		"an index of absent tensors": {files: map[string]string{safetensors.IndexFile: `{"weight_map":{"no.such.tensor":"` + safetensors.SingleFile + `"}}`},
			want: []string{safetensors.IndexFile, `"no.such.tensor"`, safetensors.SingleFile}},
		"an index out of the folder": {files: map[string]string{safetensors.IndexFile: `{"weight_map":{"a":"../x.safetensors"}}`},
			want: []string{safetensors.IndexFile, `tensor "a"`, "same folder"}},
	} {
		t.Run(title, func(t *testing.T) {
			dir, _ := write(t, config(decoder.Llama), safetensors.BF16, nil)
			name := filepath.Join(dir, ConfigFile)
			if c.config != nil {
				data, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				var m map[string]any
				if err := json.Unmarshal(data, &m); err != nil {
					t.Fatal(err)
				}
				c.config(m)
				writeJSON(t, name, m)
			}
			for name, text := range c.files {
				path := filepath.Join(dir, name)
				if text == "" {
					data, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					text = string(data[:len(data)/2+len(data)/3])
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			m, err := Open(t.Context(), dir, Options{})
			if err == nil {
				t.Fatal("no error", m.Close())
			}
			for _, w := range append(c.want, dir) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %v\ndoes not say %s", err, w)
				}
			}
		})
	}
}
