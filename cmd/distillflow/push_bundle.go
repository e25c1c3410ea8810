package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/bundleview"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/oci"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/bundle"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/text"
)

// pushBundle sends a bundle's file, or that of a run, to a registry.
func (a app) pushBundle(ctx context.Context, f *storeFlags, what, to string, plainHTTP bool) error {
	ref, err := oci.Parse(to)
	if err != nil {
		return usageError{err}
	}
	if ref.Exact() {
		return usageError{fmt.Errorf("%s: a push needs a tag: the digest follows from the bundle", to)}
	}
	file := what
	if info, err := os.Stat(what); runrecord.IsRecipe(what) || err != nil && !strings.HasSuffix(what, ".zst") {
		dir, err := os.MkdirTemp("", "distillflow-push-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		file = filepath.Join(dir, "bundle.tar.zst")
		if err := a.bundleOf(ctx, f, what, file); err != nil {
			return err
		}
	} else if err == nil && !info.Mode().IsRegular() {
		return usageError{fmt.Errorf("bundle %s: not a file", what)}
	}
	m, size, err := a.harmless(ctx, file, what)
	if err != nil {
		return err
	}
	done, err := oci.Push(ctx, ref, file, bundleName(m), plainHTTP)
	if err != nil {
		return err
	}
	if done.Known {
		fmt.Fprintf(a.out, "%s is this bundle already\n", ref)
	} else {
		fmt.Fprintf(a.out, "pushed %s (%s) to %s\n", what, text.Size(size), ref)
	}
	fmt.Fprintf(a.out, "exact name: %s\n", ref.At(done.Digest))
	return nil
}

// bundleOf packs a run as `bundle create` does without flags.
func (a app) bundleOf(ctx context.Context, f *storeFlags, name, file string) error {
	recipe := ""
	if runrecord.IsRecipe(name) {
		recipe = name
	}
	st, err := f.open(a, recipe, false)
	if err != nil {
		return err
	}
	defer st.Close()
	run, err := findRun(st, name)
	if err != nil {
		return err
	}
	m, err := a.writeBundle(ctx, st, run, bundle.Options{Artifacts: bundle.PinnedArtifacts, Inputs: true}, file)
	if err != nil {
		return err
	}
	bundleview.Notes(a.notes(), m)
	return nil
}

// harmless reads a bundle from end to end and sees that no key is in it.
func (a app) harmless(ctx context.Context, file, name string) (*bundle.Manifest, int64, error) {
	r, err := os.Open(file)
	if err != nil {
		return nil, 0, usageError{fmt.Errorf("bundle %s: %w", name, paths.Cause(err))}
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, 0, err
	}
	m, err := a.secrets().InBundle(ctx, r)
	if err != nil && ctx.Err() == nil {
		err = usageError{fmt.Errorf("bundle %s: %w", name, err)}
	}
	return m, info.Size(), err
}

// bundleName is the file name that an artifact suggests to other programs: that of the
// bundle's recipe, so that it does not change the digest with the name of the file.
func bundleName(m *bundle.Manifest) string {
	name := path.Base(m.Recipe)
	return strings.TrimSuffix(name, path.Ext(name)) + ".tar.zst"
}
