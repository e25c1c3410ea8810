package encoder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// A config that is taken has a list of parameters that can be made, within bounds of
// memory, and no size below zero.
func FuzzParseHF(f *testing.F) {
	files, err := filepath.Glob("testdata/hf/*/config.json")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add([]byte(strings.Replace(string(b), `"num_hidden_layers": `, `"num_hidden_layers": 1099511627776`, 1)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		alloctest.Within(t, len(b), 200, 64<<20, func() {
			c, err := ParseHF(b)
			if err != nil {
				return
			}
			for _, p := range c.layout() {
				for n, i := 1, 0; i < len(p.dims); i++ {
					if n *= p.dims[i]; n < 1 || n > 1<<62/4 {
						t.Fatalf("%+v has %v", p, p.dims)
					}
				}
			}
		})
	})
}

// Settings are read from any files that lie beside the weights.
func FuzzReadSettings(f *testing.F) {
	f.Add(`[{"path":"","type":"sentence_transformers.models.Transformer"},{"path":"1_Pooling","type":"x.Pooling"},{"type":"Normalize"}]`, `{"pooling_mode_mean_tokens":true}`, `{"max_seq_length":1e9}`)
	f.Add(`[{"path":"../..","type":"Transformer"}]`, `{"pooling_mode":7}`, `{"model_max_length":1e30,"max_seq_length":null}`)
	f.Fuzz(func(t *testing.T, modules, pooling, limits string) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "1_Pooling"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{modulesFile: modules, poolingFile: pooling, limitFile: limits, tokenConfig: limits} {
			if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := readSettings(dir); err != nil && !strings.Contains(err.Error(), dir) {
			t.Errorf("%v does not name the file", err)
		}
	})
}
