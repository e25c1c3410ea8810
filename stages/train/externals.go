package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/encoder"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
)

// hubFiles lists the files of a model on the Hub for the cache key, by their names
// below the model's folder. The weights are not loaded for it: the stage does that when
// it runs.
func hubFiles(ctx context.Context, name string, small []string, check func(config []byte) error) ([]stage.External, error) {
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
func causalFiles(ctx context.Context, name, tokenizer string) ([]stage.External, error) {
	if hub.IsRef(name) {
		out, err := hubFiles(ctx, name, hub.CausalFiles, func(config []byte) error {
			_, err := decoder.ParseHF(config)
			return err
		})
		slices.SortFunc(out, func(a, b stage.External) int { return strings.Compare(a.Path, b.Path) })
		return out, err
	}
	m, err := pretrained.Open(ctx, name, pretrained.Options{})
	if err != nil {
		return nil, err
	}
	if err := m.CheckTokenizer(tokenizer); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	var out []stage.External
	for _, f := range m.Files {
		out = append(out, stage.External{Name: filepath.Base(f), Path: f})
	}
	return out, m.Close()
}

// Externals implements [stage.Externals]: the files of the pretrained encoder and of
// the students' published models, whose content is part of the key wherever they lie.
// What is missing of a reference to the Hub is fetched, for the key needs it.
func (c trainConfig) Externals(ctx context.Context) ([]stage.External, error) {
	var out []stage.External
	for i, s := range c.Students {
		files, err := s.externals(ctx, s.Name+"/")
		if err != nil && !stage.IsFieldError(err) {
			return nil, fmt.Errorf("student %s: %w", s.Name, err)
		} else if err != nil {
			var errs []error
			for _, e := range stage.FieldErrors(err) {
				e.Path = append([]string{"students", strconv.Itoa(i)}, e.Path...)
				errs = append(errs, e)
			}
			return nil, errors.Join(errs...)
		}
		out = append(out, files...)
	}
	if c.Router.Encoder == "" {
		return out, nil
	}
	files, err := encoderFiles(ctx, string(c.Router.Encoder), "router.encoder")
	return append(out, files...), err
}

// encoderFiles lists the files of a pretrained encoder, which a field names.
func encoderFiles(ctx context.Context, ref, field string) (out []stage.External, err error) {
	const name = "encoder/"
	if hub.IsRef(ref) {
		files, err := hubFiles(ctx, ref, encoder.SmallFiles, func(config []byte) error {
			_, err := encoder.ParseHF(config)
			return err
		})
		if err != nil {
			return nil, hubError(field, err)
		}
		for _, f := range files {
			if !f.Aside {
				f.Name = name + f.Name
			}
			out = append(out, f)
		}
		return out, nil
	}
	dir, err := encoder.Locate(ctx, ref, hub.Options{})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, stage.Invalid(field, "%s does not exist", ref)
	} else if err != nil {
		return nil, stage.Invalid(field, "%v", err)
	}
	files, err := encoder.Files(dir)
	if err != nil {
		return nil, stage.Invalid(field, "%v", err)
	}
	for _, f := range files {
		out = append(out, stage.External{Name: name + f, Path: filepath.Join(dir, filepath.FromSlash(f))})
	}
	return out, nil
}

// hubError places an error of the Hub on the field that names a repository, if
// another name would mend it.
func hubError(field string, err error) error {
	if hub.IsOutage(err) {
		return fmt.Errorf("%s: %w", field, err)
	}
	return stage.Invalid(field, "%v", err)
}

// Networked implements [stage.Networked].
func (c trainConfig) Networked() bool {
	return hub.IsRef(string(c.Router.Encoder)) ||
		slices.ContainsFunc(c.Students, func(s studentConfig) bool { return s.Networked() })
}

// Revisions implements [stage.Revisions].
func (c trainConfig) Revisions(context.Context) ([]stage.Revision, error) {
	names := []string{string(c.Router.Encoder)}
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

// externals lists the files of a student's published model.
func (b Base) externals(ctx context.Context, prefix string) ([]stage.External, error) {
	if b.Model == "" {
		return nil, nil
	}
	files, err := modelFiles(ctx, string(b.Model), string(b.TokenizerFrom))
	for i := range files {
		files[i].Name = prefix + files[i].Name
	}
	return files, err
}

// Networked implements [stage.Networked]: the model may lie on the Hub.
func (b Base) Networked() bool { return hub.IsRef(string(b.Model)) }
