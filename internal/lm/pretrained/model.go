package pretrained

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/gguf"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// Names of files in a model's folder.
const (
	ConfigFile     = "config.json"
	GenerationFile = "generation_config.json"
	ggufExt        = ".gguf"
)

// tokenizerFiles are the forms of a tokenizer that can be read, the better first.
var tokenizerFiles = []string{"tokenizer.json", "tokenizer.model"}

// Model is an open model. Its weights are mapped, not loaded.
type Model struct {
	Ref      string // as given to [Open]
	Resolved string // hf://owner/name@COMMIT[/path]; "" for a model on this disk
	Dir      string // the folder of its files
	Config   decoder.Config
	// ConfigJSON is the config.json; of a GGUF file, the one that was made for it.
	ConfigJSON []byte
	// Tokenizer is the path of tokenizer.json or tokenizer.model; "" where neither is
	// there: a GGUF file may hold its own.
	Tokenizer string
	// EOS are the ids that end a text, by generation_config.json and config.json.
	EOS []int32
	// Files are the paths of all files that make up the model, sorted.
	Files []string

	src source
}

// Options says how models are found.
type Options struct {
	Hub hub.Options // for references to the Hub
}

// Locate finds the files of a model without opening them. From the Hub it fetches
// what is missing. dir is the folder, file the GGUF file or "".
func Locate(ctx context.Context, ref string, o Options) (dir, file, resolved string, err error) {
	if hub.IsRef(ref) {
		return fetch(ctx, ref, o.Hub)
	}
	info, err := os.Stat(ref)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", "", fmt.Errorf("model %s: there is no such folder or file: for a model of the Hugging Face Hub write hf://owner/name", ref)
	case err != nil:
		return "", "", "", fmt.Errorf("model %s: %w", ref, err)
	case info.IsDir():
		return ref, "", "", nil
	case strings.EqualFold(filepath.Ext(ref), ggufExt):
		return filepath.Dir(ref), ref, "", nil
	}
	return "", "", "", fmt.Errorf("model %s: a folder with %s, or a %s file is needed", ref, ConfigFile, ggufExt)
}

// fetch brings a model's files from the Hub.
func fetch(ctx context.Context, ref string, o hub.Options) (dir, file, resolved string, err error) {
	r, err := hub.Parse(ref, hub.Model)
	if err != nil {
		return "", "", "", err
	}
	c, err := hub.New(o)
	if err != nil {
		return "", "", "", err
	}
	s, err := c.ResolveOnce(ctx, r)
	if err != nil {
		return "", "", "", err
	}
	companions, weights, err := s.ModelFiles(ctx, hub.CausalFiles)
	if err != nil {
		return "", "", "", err
	}
	var names []string
	for _, f := range append(companions, weights...) {
		names = append(names, f.Path)
	}
	paths, err := s.Fetch(ctx, names...)
	if err != nil {
		return "", "", "", err
	}
	at := s.Resolved()
	at.Path = r.Path
	folder := r.Path
	if strings.EqualFold(path.Ext(r.Path), ggufExt) {
		file = paths[len(paths)-1]
		if folder = path.Dir(r.Path); folder == "." {
			folder = ""
		}
	}
	return filepath.Join(s.Dir(), filepath.FromSlash(folder)), file, at.String(), nil
}

// Open opens a model. Everything that can be seen without reading its weights is
// checked: the architecture, that every tensor is there in its shape, and that
// there is none that the architecture does not have.
func Open(ctx context.Context, ref string, o Options) (*Model, error) {
	dir, file, resolved, err := Locate(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	m := &Model{Ref: ref, Resolved: resolved, Dir: dir}
	if file != "" {
		err = m.openGGUF(file)
	} else {
		err = m.openFolder()
	}
	if err == nil {
		err = m.companions()
	}
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Model) openFolder() error {
	name := filepath.Join(m.Dir, ConfigFile)
	var err error
	if m.ConfigJSON, err = paths.ReadFile(name, 1<<30); err != nil {
		return fmt.Errorf("model %s: %w", m.Ref, err)
	}
	if m.Config, err = decoder.ParseHF(m.ConfigJSON); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	ck, err := safetensors.OpenCheckpoint(m.Dir)
	if err != nil {
		return err
	}
	m.src, err = newCheckpoint(ck)
	return err
}

func (m *Model) openGGUF(file string) error {
	f, err := gguf.Open(file)
	if err != nil {
		return err
	}
	m.src = &ggufSource{gg: f}
	if m.ConfigJSON, err = f.Config(); err != nil {
		return err
	}
	if m.Config, err = decoder.ParseHF(m.ConfigJSON); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	w, err := f.Weights()
	if err != nil {
		return err
	}
	m.src = &ggufSource{f, w}
	m.Files = append(m.Files, file)
	if id, ok := f.Metadata["tokenizer.ggml.eos_token_id"].(uint64); ok && id < 1<<31 {
		m.EOS = append(m.EOS, int32(id))
	}
	if id, ok := f.Metadata["tokenizer.ggml.eot_token_id"].(uint64); ok && id < 1<<31 {
		m.EOS = append(m.EOS, int32(id))
	}
	return nil
}

// companions finds the small files beside the weights.
func (m *Model) companions() error {
	for _, n := range hub.CausalFiles {
		p := filepath.Join(m.Dir, n)
		if _, err := os.Stat(p); err == nil {
			m.Files = append(m.Files, p)
			if m.Tokenizer == "" && slices.Contains(tokenizerFiles, n) {
				m.Tokenizer = p
			}
		}
	}
	if c, ok := m.src.(*checkpoint); ok {
		m.Files = append(m.Files, c.ck.Files()...)
	}
	slices.Sort(m.Files)
	m.Files = slices.Compact(m.Files)
	type ends struct {
		EOS idList `json:"eos_token_id"`
	}
	var config struct {
		ends
		Text ends `json:"text_config"`
	}
	if err := json.Unmarshal(m.ConfigJSON, &config); err != nil {
		return fmt.Errorf("%s: %s: %w", m.Ref, ConfigFile, err)
	}
	var generation ends
	name := filepath.Join(m.Dir, GenerationFile)
	if b, err := paths.ReadFile(name, 1<<30); err == nil {
		if err := json.Unmarshal(b, &generation); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, id := range slices.Concat(generation.EOS, config.EOS, config.Text.EOS) {
		if id < 0 || int(id) >= m.Config.Vocab {
			return fmt.Errorf("%s: eos_token_id %d is outside the vocabulary of %d", m.Ref, id, m.Config.Vocab)
		}
		if !slices.Contains(m.EOS, id) {
			m.EOS = append(m.EOS, id)
		}
	}
	return nil
}

// idList is one id, a list of them, or null.
type idList []int32

// UnmarshalJSON implements [json.Unmarshaler].
func (l *idList) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	var one int32
	if json.Unmarshal(b, &one) == nil {
		*l = idList{one}
		return nil
	}
	var many []int32
	err := json.Unmarshal(b, &many)
	*l = many
	return err
}

// Close ends the use of the model's files. Loaded parameters stay.
func (m *Model) Close() error {
	if m.src == nil {
		return nil
	}
	s := m.src
	m.src = nil
	return s.close()
}
