package lock

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
)

// Encode gives the bytes of a lock file that holds the lock of one recipe.
// recipeFile names it; its folder does not matter.
func Encode(recipeFile string, r *Recipe) ([]byte, error) {
	return encode(&File{Format: format, Recipes: map[string]*Recipe{filepath.Base(recipeFile): r}})
}

// ReadFrom reads the lock of a recipe from a lock file that need not lie beside
// it.
func ReadFrom(path, recipeFile string) (*Recipe, error) {
	f, err := readFile(path)
	if err != nil {
		return nil, err
	}
	r := f.Recipes[filepath.Base(recipeFile)]
	if r == nil {
		return nil, fmt.Errorf("%s holds no lock of %s: %w", path, filepath.Base(recipeFile), fs.ErrNotExist)
	}
	return r, nil
}

// Keys lists the action keys that a lock file names, for all its recipes, sorted.
// A result under one of them belongs to a run that can be repeated, so a garbage
// collection keeps it. The error wraps [fs.ErrNotExist] if there is no such file.
func Keys(path string) ([]string, error) {
	f, err := readFile(path)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for name, r := range f.Recipes {
		for stageName, s := range r.Stages {
			key, _, err := s.Preimage.Key()
			if err != nil {
				return nil, fmt.Errorf("the lock %s: stage %s of %s: %w", path, stageName, name, err)
			}
			seen[key] = true
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}
