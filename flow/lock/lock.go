// Package lock keeps what a run was made from in a file that belongs under
// version control, and tells how a later run deviates from it.
package lock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/paths"
)

// FileName is the name of the lock file of a folder's recipes.
const FileName = "distillflow.lock"

// format changes when an older program could misread the file.
const format = 1

// File is a lock file: one lock for each recipe of its folder, by file name.
type File struct {
	Format  int                `json:"format"`
	Recipes map[string]*Recipe `json:"recipes"`
}

// Recipe is the lock of one recipe. Program and Host are for people: what they
// can change of a result stands with the stages, as implementation version and
// numeric platform.
type Recipe struct {
	Program string            `json:"program"` // version of distillflow
	Host    string            `json:"host"`    // operating system and architecture
	Seed    uint64            `json:"seed"`
	Stages  map[string]*Stage `json:"stages"` // those that took part, by name
}

// Stage is everything a stage's result depends on, and the result. No path, time
// or price is in it.
type Stage struct {
	plan.Preimage
	// Revisions is what names that others can change stood for; see
	// [stage.Revision]. Locks of older programs have none.
	Revisions []stage.Revision        `json:"revisions,omitempty"`
	Outputs   map[string]store.Digest `json:"outputs"`
}

// NewStage makes the lock of a stage from its canonical preimage.
func NewStage(ctx context.Context, cfg *stage.Config, preimage json.RawMessage, outputs map[string]store.Output) (*Stage, error) {
	s := &Stage{Outputs: map[string]store.Digest{}}
	var err error
	if s.Revisions, err = cfg.Revisions(ctx); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := json.Unmarshal(preimage, &s.Preimage); err != nil {
		return nil, fmt.Errorf("lock: preimage: %w", err)
	}
	for port, o := range outputs {
		s.Outputs[port] = o.Digest
	}
	return s, nil
}

// PathFor is the lock file that serves a recipe: the one beside it.
func PathFor(recipeFile string) string { return filepath.Join(filepath.Dir(recipeFile), FileName) }

// Read reads the lock of a recipe from the file beside it. The error wraps
// [fs.ErrNotExist] if there is none.
func Read(recipeFile string) (*Recipe, error) {
	return ReadFrom(PathFor(recipeFile), recipeFile)
}

// maxLock bounds a lock: it may come with a stranger's recipe.
const maxLock = 256 << 20

func readFile(path string) (*File, error) {
	b, err := paths.ReadFile(path, maxLock)
	if err != nil {
		return nil, fmt.Errorf("reading the lock: %w", err)
	}
	return parse(path, b)
}

// parse reads the content of a lock; path names it in errors.
func parse(path string, b []byte) (*File, error) {
	var f File
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("the lock %s is damaged (%w): restore it, or remove it and lock again", path, err)
	}
	if f.Format != format {
		return nil, fmt.Errorf("the lock %s has format %d, this program knows %d: use the program that wrote it, or remove it and lock again", path, f.Format, format)
	}
	for name, r := range f.Recipes {
		if r == nil {
			return nil, fmt.Errorf("the lock %s is damaged (nothing under %q): restore it, or remove it and lock again", path, name)
		}
		for stageName, s := range r.Stages {
			if s == nil {
				return nil, fmt.Errorf("the lock %s is damaged (nothing under stage %q of %s): restore it, or remove it and lock again", path, stageName, name)
			}
			for field, v := range s.Config { // the file is indented, preimages are not
				var b bytes.Buffer
				if err := json.Compact(&b, v); err != nil {
					return nil, fmt.Errorf("the lock %s is damaged (%w): restore it, or remove it and lock again", path, err)
				}
				s.Config[field] = b.Bytes()
			}
		}
	}
	return &f, nil
}

// Write replaces the lock of a recipe in the file beside it, atomically, and
// leaves the locks of other recipes alone. The same lock gives the same bytes. It
// reports whether the file changed.
func Write(recipeFile string, r *Recipe) (changed bool, err error) {
	path := PathFor(recipeFile)
	f, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = &File{Format: format, Recipes: map[string]*Recipe{}}, nil
	}
	if err != nil {
		return false, err
	}
	if f.Recipes == nil {
		f.Recipes = map[string]*Recipe{}
	}
	f.Recipes[filepath.Base(recipeFile)] = r
	b, err := encode(f)
	if err != nil {
		return false, err
	}
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b) {
		return false, nil
	}
	if err := atomicfile.WriteBytes(path, 0o644, atomicfile.Durable, b); err != nil {
		return false, fmt.Errorf("writing the lock: %w", err)
	}
	return true, nil
}

// encode gives one key a line, so that a diff shows what changed.
func encode(f *File) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(f); err != nil {
		return nil, fmt.Errorf("writing the lock: %w", err)
	}
	return b.Bytes(), nil
}

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

// Deviation is one way in which a run differs from its lock.
type Deviation struct {
	Stage  string // "" for the run as a whole
	Reason string
}

// String is the deviation as a person reads it.
func (d Deviation) String() string {
	if d.Stage == "" {
		return d.Reason
	}
	return "stage " + d.Stage + ": " + d.Reason
}

// DeviationError is a run that does not follow its lock.
type DeviationError struct{ Deviations []Deviation }

// maxShown is how many deviations an error lists: one changed file can make very
// many.
const maxShown = 20

// Error implements error.
func (e *DeviationError) Error() string {
	var b strings.Builder
	b.WriteString("the run deviates from the lock:")
	for i, d := range e.Deviations {
		if i == maxShown {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Deviations)-i)
			break
		}
		b.WriteString("\n  " + d.String())
	}
	return b.String()
}
