package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Files of a model folder.
const (
	WeightsFile = "model.safetensors"
	ConfigFile  = "config.json"
)

// Model is everything that a folder holds.
type Model struct {
	Config    decoder.Config
	Tokenizer tokenizer.Tokenizer
	Params    weights.Set
}

// Save writes m into dir, which is created. The files depend on m alone.
func Save(dir string, m Model) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := WriteJSON(filepath.Join(dir, ConfigFile), m.Config); err != nil {
		return err
	}
	if err := WriteJSON(filepath.Join(dir, tokenizer.File), m.Tokenizer); err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, WeightsFile), m.Params)
}

// Load reads a folder and checks that the weights are those the configuration
// describes. Errors name the file, and the tensor where there is one.
func Load(dir string) (Model, error) {
	var m Model
	if err := ReadJSON(filepath.Join(dir, ConfigFile), &m.Config); err != nil {
		return m, err
	}
	var err error
	if m.Tokenizer, err = tokenizer.Load(filepath.Join(dir, tokenizer.File)); err != nil {
		return m, err
	}
	if m.Config.Vocab != m.Tokenizer.Size() {
		return m, fmt.Errorf("%s: vocab_size %d, but the tokenizer has %d ids", filepath.Join(dir, ConfigFile), m.Config.Vocab, m.Tokenizer.Size())
	}
	want, err := decoder.Init(m.Config, 0)
	if err != nil {
		return m, fmt.Errorf("%s: %w", filepath.Join(dir, ConfigFile), err)
	}
	path := filepath.Join(dir, WeightsFile)
	if m.Params, err = ReadFile(path); err != nil {
		return m, err
	}
	if err := want.SameShapes(m.Params); err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	if bad := m.Params.FirstNonFinite(); bad != "" {
		return m, fmt.Errorf("%s: tensor %q holds a NaN or an infinity", path, bad)
	}
	return m, nil
}

// WriteJSON writes v as one JSON document with a newline, by rename.
func WriteJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return atomicfile.WriteBytes(path, 0o644, atomicfile.Relaxed, append(data, '\n'))
}

// ReadJSON reads one JSON document and refuses fields that v does not have.
func ReadJSON(path string, v any) error {
	data, err := paths.ReadFile(path, 1<<30)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
