package train

import (
	"context"
	"os"
	ossignal "os/signal"
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
// below the model's folder. The weights are not loaded for it: the stage does that when
// it runs.
func hubFiles(name string, small []string, check func(config []byte) error) ([]stage.External, error) {
	// Externals gets no context: a download must end when the user interrupts the
	// program all the same.
	ctx, stop := ossignal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := hub.New(hub.Options{})
	if err != nil {
		return nil, err
	}
	files, _, err := c.Model(ctx, name, small, check)
	var out []stage.External
	for _, f := range files {
		out = append(out, stage.External{Name: f.Name, Path: f.At, Aside: f.Aside,
			Remote: stage.Remote{URL: f.URL, Cache: f.Cache, SHA256: f.SHA256, Bytes: f.Size, Heavy: f.Weights}})
	}
	return out, err
}

// causalFiles lists the files of a causal language model for the cache key, in the order
// of their paths. One of the Hub is not loaded for it; an architecture that is not
// known is refused all the same.
func causalFiles(name string) ([]stage.External, error) {
	if hub.IsRef(name) {
		out, err := hubFiles(name, hub.CausalFiles, func(config []byte) error {
			_, err := decoder.ParseHF(config)
			return err
		})
		slices.SortFunc(out, func(a, b stage.External) int { return strings.Compare(a.Path, b.Path) })
		return out, err
	}
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
