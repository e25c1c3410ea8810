package decoder

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/distillflow/distillflow/internal/base/alloctest"
)

// A config that is taken is valid, read within bounds of memory.
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
	}
	f.Add([]byte(`{"model_type":"gemma3","text_config":{"num_hidden_layers":9223372036854775807,"layer_types":["x"],"rope_parameters":{"a":{}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		// A list for every layer, of which there may be maxLayers.
		alloctest.Within(t, len(b), 200, 16<<20, func() {
			c, err := ParseHF(b)
			if err != nil {
				return
			}
			if err := c.Validate(); err != nil {
				t.Errorf("taken, but %v", err)
			}
		})
	})
}
