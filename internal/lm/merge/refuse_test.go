package merge

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

func TestRefuses(t *testing.T) {
	empty := func(t *testing.T) string { return filepath.Join(t.TempDir(), "m") }
	for title, c := range map[string]struct {
		base    string
		change  func(name string, v []float32)
		adapter string
		o       Options
		want    []string
	}{
		"another model's adapter": {base: "llama", adapter: "gemma3", want: []string{"adapter_model.safetensors", "k_proj.lora_B.weight", "[8 4]"}},
		"NaN in the base": {base: "llama", adapter: "llama", change: func(name string, v []float32) {
			if name == "model.layers.1.mlp.up_proj.weight" {
				v[5] = float32(math.NaN())
			}
		}, want: []string{"model.safetensors", "model.layers.1.mlp.up_proj.weight", "number 5 is NaN"}},
		"too large for half precision": {base: "llama", adapter: "llama", o: Options{DType: safetensors.F16}, change: func(name string, v []float32) {
			if name == "model.layers.1.mlp.up_proj.weight" {
				v[5] = 65520
			}
		}, want: []string{"model.layers.1.mlp.up_proj.weight", "65520", "F16"}},
		"a type of integers": {base: "llama", adapter: "llama", o: Options{DType: safetensors.I8}, want: []string{"I8"}},
		"no tokenizer":       {base: "llama", adapter: "llama", o: Options{Tokenizer: "."}, want: []string{"neither tokenizer.json"}},
	} {
		t.Run(title, func(t *testing.T) {
			base := open(t, folder(t, c.base, safetensors.F32, c.change))
			out := empty(t)
			_, err := Folder(t.Context(), base, adapter(c.adapter), out, c.o)
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("error %v\ndoes not say %s", err, w)
				}
			}
			if left, _ := filepath.Glob(out + "*"); left != nil {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	base := open(t, folder(t, "llama", safetensors.F32, nil))
	full := t.TempDir()
	write(t, full, "x", "x")
	if _, err := Folder(t.Context(), base, adapter("llama"), full, Options{}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a folder with files: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Folder(ctx, base, adapter("llama"), empty(t), Options{}); err == nil {
		t.Error("no error after the context ended")
	}
}
