package encoder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// Files of a sentence encoder's folder, besides those of the weights and of the
// modules that modules.json lists.
const (
	configFile    = "config.json"
	tokenizerFile = "tokenizer.json"
	modulesFile   = "modules.json"
	limitFile     = "sentence_bert_config.json"
	tokenConfig   = "tokenizer_config.json"
	poolingFile   = "1_Pooling/config.json" // where sentence-transformers writes it
)

// SmallFiles are the files of a sentence encoder's folder beside its weights. Only the
// first two must be there.
var SmallFiles = []string{configFile, tokenizerFile, modulesFile, limitFile, tokenConfig, poolingFile}

// Files lists the files of a folder that [Load] reads, relative to it with
// slashes: what a cache key must cover.
func Files(dir string) ([]string, error) {
	var out []string
	for _, name := range SmallFiles {
		_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		switch {
		case err == nil:
			out = append(out, name)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case name == configFile || name == tokenizerFile:
			return nil, fmt.Errorf("%s: a sentence encoder needs a %s: %w", dir, name, fs.ErrNotExist)
		}
	}
	index := filepath.Join(dir, safetensors.IndexFile)
	if _, err := os.Stat(index); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, safetensors.SingleFile)); err != nil {
			return nil, err
		}
		return append(out, safetensors.SingleFile), nil
	}
	shards, err := safetensors.Shards(index)
	if err != nil {
		return nil, err
	}
	return append(append(out, safetensors.IndexFile), shards...), nil
}

// Locate gives the folder of an encoder: ref itself, or for hf://owner/name where
// the Hub's cache has it. What is missing there is fetched.
func Locate(ctx context.Context, ref string, o hub.Options) (string, error) {
	if !hub.IsRef(ref) {
		if info, err := os.Stat(ref); err != nil {
			return "", err
		} else if !info.IsDir() {
			return "", fmt.Errorf("%s is not a folder: an encoder is a folder with %s, %s and %s", ref, configFile, tokenizerFile, safetensors.SingleFile)
		}
		return ref, nil
	}
	r, err := hub.Parse(ref, hub.Model)
	if err != nil {
		return "", err
	}
	c, err := hub.New(o)
	if err != nil {
		return "", err
	}
	s, err := c.ResolveOnce(ctx, r)
	if err != nil {
		return "", err
	}
	small, weights, err := s.ModelFiles(ctx, SmallFiles)
	if err != nil {
		return "", err
	}
	var names []string
	for _, f := range append(small, weights...) {
		names = append(names, f.Path)
	}
	if _, err := s.Fetch(ctx, names...); err != nil {
		return "", err
	}
	return filepath.Join(s.Dir(), filepath.FromSlash(r.Path)), nil
}

// settings is what the files around a model say of its use.
type settings struct {
	limit     int // tokens of a text at most, special ones included; 0: not said
	lower     bool
	normalise bool
}

// readSettings reads them. A step that is not done here is an error that names it.
func readSettings(dir string) (settings, error) {
	var s settings
	var limits struct {
		Max   *int `json:"max_seq_length"`
		Lower bool `json:"do_lower_case"`
	}
	if err := readJSON(dir, limitFile, &limits); err != nil {
		return s, err
	}
	s.limit, s.lower = or(limits.Max, 0), limits.Lower
	if s.limit == 0 {
		// Transformers writes a huge number where there is no limit.
		var tok struct {
			Max float64 `json:"model_max_length"`
		}
		if err := readJSON(dir, tokenConfig, &tok); err != nil {
			return s, err
		}
		if tok.Max >= 1 && tok.Max < 1<<20 {
			s.limit = int(tok.Max)
		}
	}
	var modules []struct{ Path, Type string }
	if err := readJSON(dir, modulesFile, &modules); err != nil {
		return s, err
	}
	for _, m := range modules {
		switch kind := m.Type[strings.LastIndexByte(m.Type, '.')+1:]; kind {
		case "Transformer":
			if m.Path != "" {
				return s, fmt.Errorf("%s: %s: the transformer is in %q: only in the folder itself is supported", dir, modulesFile, m.Path)
			}
		case "Pooling":
			if m.Path != path.Dir(poolingFile) {
				return s, fmt.Errorf("%s: %s: the pooling is in %q: only %s is supported", dir, modulesFile, m.Path, path.Dir(poolingFile))
			}
			if err := checkPooling(dir); err != nil {
				return s, err
			}
		case "Normalize":
			s.normalise = true
		default:
			return s, fmt.Errorf("%s: %s: a module %q is not supported; Transformer, Pooling and Normalize are", dir, modulesFile, m.Type)
		}
	}
	return s, nil
}

// checkPooling refuses a pooling other than the mean.
func checkPooling(dir string) error {
	var fields map[string]any
	if err := readJSON(dir, poolingFile, &fields); err != nil {
		return err
	}
	for name, v := range fields {
		mode, flag := strings.CutPrefix(name, "pooling_mode_")
		on, _ := v.(bool)
		named, _ := v.(string)
		if flag && on != (mode == "mean_tokens") || name == "pooling_mode" && named != "mean" {
			return fmt.Errorf("%s: %s: %s is %v: only pooling by the mean of the tokens is supported", dir, poolingFile, name, v)
		}
	}
	return nil
}

// readJSON reads a file that may be missing.
func readJSON(dir, name string, into any) error {
	file := filepath.Join(dir, filepath.FromSlash(name))
	data, err := paths.ReadFile(file, 1<<30)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
