package runrecord

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/store"
)

// UnknownError is a name that stands for no run, or for several.
type UnknownError struct{ Msg string }

// Error implements error.
func (e *UnknownError) Error() string { return e.Msg }

// IsRecipe reports whether the name of a run is the path of a recipe.
func IsRecipe(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// Find finds a run by the beginning of its id, the newest for "last", or the newest of
// a recipe by its path. The error is an *[UnknownError] if there is none, or several.
func Find(st *store.Store, name string) (store.RunInfo, error) {
	if info, err := st.Run(name); err == nil { // a whole id; of a sweep there may be many large records
		return info, nil
	}
	runs, err := st.Runs()
	if err != nil {
		return store.RunInfo{}, err
	}
	switch {
	case name == "":
		return store.RunInfo{}, &UnknownError{"the id of the run is empty"}
	case name == "last" && len(runs) > 0:
		return runs[len(runs)-1], nil
	case IsRecipe(name):
		abs, err := filepath.Abs(name)
		if err != nil {
			return store.RunInfo{}, errors.Join(&UnknownError{"the recipe " + name + " cannot be found"}, err)
		}
		for _, r := range slices.Backward(runs) {
			if r.RecipeID == abs {
				return r, nil
			}
		}
		return store.RunInfo{}, &UnknownError{fmt.Sprintf("the store has no run of %s; 'distillflow runs' lists those that it has", name)}
	}
	found := slices.DeleteFunc(runs, func(r store.RunInfo) bool { return !strings.HasPrefix(r.ID, name) })
	switch len(found) {
	case 0:
		return store.RunInfo{}, &UnknownError{fmt.Sprintf("the store has no run %s; 'distillflow runs' lists them", name)}
	case 1:
		return found[0], nil
	}
	return store.RunInfo{}, &UnknownError{fmt.Sprintf("%d runs begin with %s; give more of the id", len(found), name)}
}
