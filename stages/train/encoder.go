package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/encoder"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

// encode gives every path its encoding, once for the whole training, and returns
// their width. The encoder itself is let go of afterwards.
func (t *trainer) encode(dev *device.Device, responses []string) (dim int, err error) {
	var enc encoder.Encoder
	if t.cfg.Encoder != "" {
		enc, err = encoder.Load(string(t.cfg.Encoder), dev)
	} else {
		enc, err = encoder.NewHashed(t.cfg.EncDim, streamSeed(t.seed, streamEncoder))
	}
	if err != nil {
		return 0, fmt.Errorf("encoder: %w", err)
	}
	if t.encoded, err = enc.Encode(responses); err != nil {
		return 0, fmt.Errorf("encoding the paths: %w", err)
	}
	if t.cfg.Encoder != "" {
		for _, v := range t.encoded {
			unitLength(v) // not every folder asks for it; the router's scale does
		}
	}
	t.encoder = enc.Name()
	return enc.Dim(), nil
}

// unitLength scales v to length 1; zero stays zero.
func unitLength(v []float32) {
	var sq float64
	for _, x := range v {
		sq += float64(x) * float64(x)
	}
	if sq == 0 {
		return
	}
	for i, x := range v {
		v[i] = float32(float64(x) / math.Sqrt(sq))
	}
}

// Externals implements [stage.Externals]: the files of the pretrained encoder,
// whose content is part of the key wherever they lie. What is missing of a
// reference to the Hub is fetched, for the key needs it.
func (c trainConfig) Externals() ([]stage.External, error) {
	if c.Encoder == "" {
		return nil, nil
	}
	const field = "encoder"
	dir, err := encoder.Locate(context.Background(), string(c.Encoder), hub.FromEnv(os.Getenv))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, stage.Invalid(field, "%s does not exist", c.Encoder)
	} else if err != nil {
		return nil, stage.Invalid(field, "%v", err)
	}
	names, err := encoder.Files(dir)
	if err != nil {
		return nil, stage.Invalid(field, "%v", err)
	}
	out := make([]stage.External, len(names))
	for i, name := range names {
		out[i] = stage.External{Name: field + "/" + name, Path: filepath.Join(dir, filepath.FromSlash(name))}
	}
	return out, nil
}

// Revisions implements [stage.Revisions]: the commit that a reference to the Hub
// stands for in the cache.
func (c trainConfig) Revisions() ([]stage.Revision, error) {
	name := string(c.Encoder)
	if !hub.IsRef(name) {
		return nil, nil
	}
	ref, err := hub.Parse(name, hub.Model)
	if err != nil {
		return nil, stage.Invalid("encoder", "%v", err)
	}
	client, err := hub.New(hub.FromEnv(os.Getenv))
	if err != nil {
		return nil, err
	}
	s, err := client.Cached(ref)
	if err != nil {
		return nil, err
	}
	return []stage.Revision{{Name: name, Resolved: s.Resolved().String()}}, nil
}
