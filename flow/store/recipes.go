package store

import (
	"maps"
	"slices"
)

// Recipes lists the ids of the recipes that a store remembers, from its runs and
// from what their stages had last. An id is the absolute path of the recipe.
func (s *Store) Recipes() ([]string, error) {
	known := map[string]bool{}
	runs, err := s.Runs()
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		known[r.RecipeID] = true
	}
	if err := s.eachLastFile(func(f *lastFile) { known[f.recipe] = true }); err != nil {
		return nil, err
	}
	delete(known, "")
	return slices.Sorted(maps.Keys(known)), nil
}
