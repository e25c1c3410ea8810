package train

import (
	"context"
	"fmt"
	"os"
	ossignal "os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
)

// hubFiles lists the files of a model on the Hub for the cache key, by their names
// below the model's folder. The small ones are fetched; of the weights what the Hub
// tells is enough, so that planning downloads no model. The stage fetches them when
// it runs.
func hubFiles(name string, small []string) ([]stage.External, error) {
	// Externals gets no context: a download must end when the user interrupts the
	// program all the same.
	ctx, stop := ossignal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ref, err := hub.Parse(name, hub.Model)
	if err != nil {
		return nil, err
	}
	c, err := hub.New(hub.FromEnv(os.Getenv))
	if err != nil {
		return nil, err
	}
	s, err := c.ResolveOnce(ctx, ref)
	if err != nil {
		return nil, err
	}
	companions, weights, err := s.ModelFiles(ctx, small)
	if err != nil {
		return nil, err
	}
	folder := ref.Path
	if len(weights) == 1 && weights[0].Path == ref.Path { // a GGUF file
		folder = path.Dir(folder)
	}
	var out []stage.External
	for i, f := range append(companions, weights...) {
		heavy := i >= len(companions)
		if heavy && f.SHA256 != "" {
			_, err = s.Present(ctx, f.Path)
		} else { // another program's cache has no list of checksums: there the content is read
			_, err = s.Fetch(ctx, f.Path)
		}
		if err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(filepath.FromSlash(folder), filepath.FromSlash(f.Path))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.URL(f.Path), err)
		}
		out = append(out, stage.External{Name: filepath.ToSlash(rel), Path: s.Place(f.Path),
			Remote: stage.Remote{URL: s.URL(f.Path), Cache: s.Cache(), SHA256: f.SHA256, Bytes: f.Size, Heavy: heavy}})
	}
	return append(out, stage.External{Path: s.ListFile(), Aside: true, Remote: stage.Remote{URL: s.Resolved().String(), Cache: s.Cache()}}), nil
}

// causalFiles lists the files of a causal language model for the cache key, in the order
// of their paths. One of the Hub is not loaded for it; an architecture that is not
// known is refused all the same.
func causalFiles(name string) ([]stage.External, error) {
	if !hub.IsRef(name) {
		m, err := pretrained.Open(context.Background(), name, pretrained.Options{})
		if err != nil {
			return nil, err
		}
		var out []stage.External
		for _, f := range m.Files {
			out = append(out, stage.External{Name: filepath.Base(f), Path: f})
		}
		return out, m.Close()
	}
	files, err := hubFiles(name, hub.CausalFiles)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b stage.External) int { return strings.Compare(a.Path, b.Path) })
	gguf := slices.ContainsFunc(files, func(f stage.External) bool { return strings.EqualFold(filepath.Ext(f.Path), ".gguf") })
	i := slices.IndexFunc(files, func(f stage.External) bool { return f.Name == "config.json" })
	switch {
	case gguf: // holds its own configuration
		return files, nil
	case i < 0:
		return nil, fmt.Errorf("%s: there is no config.json: name the folder of a model as transformers writes it", name)
	}
	config, err := os.ReadFile(files[i].Path)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.ParseHF(config); err != nil {
		return nil, fmt.Errorf("%s: %w", files[i].Remote.URL, err)
	}
	return files, nil
}
