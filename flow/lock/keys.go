package lock

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/distillflow/distillflow/flow/store"
)

// KeysBeside lists the keys of results that a lock names: those beside the
// recipes that the store remembers, beside the recipes that are given, and beside
// the store. A lock that cannot be read is an error: nobody knows what it needs.
func KeysBeside(st *store.Store, recipes []string) ([]string, error) {
	known, err := st.Recipes()
	if err != nil {
		return nil, err
	}
	places := map[string]bool{filepath.Join(filepath.Dir(st.Dir()), FileName): true}
	for _, r := range append(known, recipes...) {
		places[PathFor(r)] = true
	}
	keys := map[string]bool{}
	for _, p := range slices.Sorted(maps.Keys(places)) {
		list, err := Keys(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, k := range list {
			keys[k] = true
		}
	}
	return slices.Sorted(maps.Keys(keys)), nil
}
