package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/encoder"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

// encode gives every path its encoding, once for the whole training, and returns
// their width. The encoder itself is let go of afterwards.
func (t *trainer) encode(ctx context.Context, dev *device.Device, responses []string) (dim int, err error) {
	var enc encoder.Encoder
	if t.cfg.Encoder != "" {
		var dir string
		if dir, err = encoder.Locate(ctx, string(t.cfg.Encoder), t.bases.hub); err == nil {
			enc, err = encoder.Load(dir, dev)
		}
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

// Externals implements [stage.Externals]: the files of the pretrained encoder and of
// the students' published models, whose content is part of the key wherever they lie.
// What is missing of a reference to the Hub is fetched, for the key needs it.
func (c trainConfig) Externals() ([]stage.External, error) {
	var out []stage.External
	for i, s := range c.Students {
		files, err := s.externals(s.Name + "/")
		if err != nil {
			var errs []error
			for _, e := range stage.FieldErrors(err) {
				e.Path = append([]string{"students", strconv.Itoa(i)}, e.Path...)
				errs = append(errs, e)
			}
			return nil, errors.Join(errs...)
		}
		out = append(out, files...)
	}
	if c.Encoder == "" {
		return out, nil
	}
	const field = "encoder"
	if hub.IsRef(string(c.Encoder)) {
		files, err := hubFiles(string(c.Encoder), encoder.SmallFiles, func(config []byte) error {
			_, err := encoder.ParseHF(config)
			return err
		})
		if err != nil {
			return nil, stage.Invalid(field, "%v", err)
		}
		for _, f := range files {
			if !f.Aside {
				f.Name = field + "/" + f.Name
			}
			out = append(out, f)
		}
		return out, nil
	}
	dir, err := encoder.Locate(context.Background(), string(c.Encoder), hub.Options{})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, stage.Invalid(field, "%s does not exist", c.Encoder)
	} else if err != nil {
		return nil, stage.Invalid(field, "%v", err)
	}
	names, err := encoder.Files(dir)
	if err != nil {
		return nil, stage.Invalid(field, "%v", err)
	}
	for _, name := range names {
		out = append(out, stage.External{Name: field + "/" + name, Path: filepath.Join(dir, filepath.FromSlash(name))})
	}
	return out, nil
}

// Revisions implements [stage.Revisions].
func (c trainConfig) Revisions() ([]stage.Revision, error) {
	names := []string{string(c.Encoder)}
	for _, s := range c.Students {
		names = append(names, string(s.Model))
	}
	return hubRevisions(names...)
}

// hubRevisions are the commits that references to the Hub stand for in the cache.
// Other names are left out.
func hubRevisions(names ...string) ([]stage.Revision, error) {
	var out []stage.Revision
	for _, name := range names {
		if !hub.IsRef(name) || slices.ContainsFunc(out, func(r stage.Revision) bool { return r.Name == name }) {
			continue
		}
		ref, err := hub.Parse(name, hub.Model)
		if err != nil {
			return nil, err
		}
		client, err := hub.New(hub.FromEnv(os.Getenv))
		if err != nil {
			return nil, err
		}
		s, err := client.Cached(ref)
		if err != nil {
			return nil, err
		}
		out = append(out, stage.Revision{Name: name, Resolved: s.Exact().String()})
	}
	return out, nil
}
