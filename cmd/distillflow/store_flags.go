package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/paths"
)

// defaultStore is the store's folder beside a recipe.
const defaultStore = ".distillflow"

// storeFlags find the store of commands that look into one without running a
// recipe.
type storeFlags struct{ dir string }

func (f *storeFlags) add(c *cobra.Command) {
	c.PersistentFlags().StringVar(&f.dir, "store", "", "the store's `folder` (default: $DISTILLFLOW_STORE, or .distillflow beside the recipe, or here)")
}

// find is the store that the user named, and by what; "" for none.
func (f *storeFlags) find(a app) (dir, by string) {
	if f.dir != "" {
		return f.dir, "--store"
	}
	return a.getenv("DISTILLFLOW_STORE"), "DISTILLFLOW_STORE"
}

// open opens a store that has to be there: by --store, by DISTILLFLOW_STORE,
// beside the recipe if one is named, or in the working directory.
func (f *storeFlags) open(a app, recipe string, readOnly bool) (*store.Store, error) {
	dir, from := f.find(a)
	if dir == "" {
		dir, from = defaultStore, "name a recipe, or give --store"
		if recipe != "" {
			if _, err := os.Stat(recipe); err != nil {
				return nil, usageError{fmt.Errorf("no recipe %s: %w", recipe, paths.Cause(err))}
			}
			dir, from = filepath.Join(filepath.Dir(recipe), defaultStore), "no run of this recipe has made one yet"
		}
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, usageError{fmt.Errorf("no store at %s (%s)", dir, from)}
	}
	return store.Open(dir, store.Options{
		ReadOnly: readOnly,
		Warn:     func(w store.Warning) { fmt.Fprintf(a.notes(), "distillflow: warning: %s\n", w) },
	})
}

// optional is an argument that may be left out.
func optional(pos []string, i int) string {
	if i < len(pos) {
		return pos[i]
	}
	return ""
}
