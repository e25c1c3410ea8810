package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/gofrs/flock"
)

// Pointer remembers the action that a recipe's stage used last.
type Pointer struct {
	Key      string          // action key
	Preimage json.RawMessage // what the key was the hash of; shared, do not change
}

// lastFiles caches the parsed pointer files, each valid while its file keeps
// its size, time and inode.
type lastFiles struct {
	mu    sync.Mutex
	files map[string]*lastFile // by recipe
}

type lastFile struct {
	id       fileID
	recipe   string // as its first line says; "" when that is damaged
	pointers map[string]Pointer
	lines    int    // lines in the file, live or replaced
	bad      int    // of these, damaged
	path     string // of eachLastFile
}

// A pointer file is append-only: its first line names the recipe, each further
// line is
//
//	stage TAB key TAB preimage
//
// and a later line of a stage replaces an earlier one.
func (s *Store) lastPath(recipeID string) string {
	return s.path("last", DigestBytes([]byte(recipeID)).Hex()[:32])
}

// Last returns the pointer of one stage. Use LastAll for many stages.
func (s *Store) Last(recipeID, stage string) (Pointer, bool, error) {
	s.lasts.mu.Lock()
	defer s.lasts.mu.Unlock()
	f, err := s.loadLast(recipeID)
	if err != nil {
		return Pointer{}, false, err
	}
	p, ok := f.pointers[stage]
	return p, ok, nil
}

// LastAll returns the pointers of a recipe by stage name. The map is the
// caller's.
func (s *Store) LastAll(recipeID string) (map[string]Pointer, error) {
	s.lasts.mu.Lock()
	defer s.lasts.mu.Unlock()
	f, err := s.loadLast(recipeID)
	if err != nil {
		return nil, err
	}
	return maps.Clone(f.pointers), nil
}

// SetLast sets the pointer of one stage. Use SetLastMany for many.
func (s *Store) SetLast(recipeID, stage string, p Pointer) error {
	return s.SetLastMany(recipeID, map[string]Pointer{stage: p})
}

// SetLastMany sets pointers by stage name and leaves other stages alone.
// Pointers that are set already cost nothing.
func (s *Store) SetLastMany(recipeID string, pointers map[string]Pointer) error {
	s.lasts.mu.Lock()
	defer s.lasts.mu.Unlock()
	f, err := s.loadLast(recipeID)
	if err != nil {
		return err
	}
	changed, err := changedPointers(f, pointers)
	if err != nil || len(changed) == 0 {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	unlock, err := s.lockLast()
	if err != nil {
		return err
	}
	defer unlock()
	// Another process may have appended since: read what is new first.
	if f, err = s.loadLast(recipeID); err != nil {
		return err
	}
	path := s.lastPath(recipeID)
	live := len(f.pointers) + len(changed)
	if f.lines > 0 && f.lines+len(changed) <= 2*live+1000 {
		err = s.writeErr(appendFile(path, encodePointers(nil, changed)))
		f.lines += len(changed)
	} else {
		all := maps.Clone(f.pointers)
		maps.Copy(all, changed)
		head := appendLine(nil, quoteField(recipeID))
		err = s.replaceFile(path, encodePointers(head, all), false)
		f.lines = 1 + len(all)
	}
	if err != nil {
		return err
	}
	maps.Copy(f.pointers, changed)
	if fi, err := os.Lstat(path); err == nil {
		f.id = idOf(fi)
	}
	s.fault(FaultLastWritten)
	return nil
}

func changedPointers(f *lastFile, pointers map[string]Pointer) (map[string]Pointer, error) {
	changed := map[string]Pointer{}
	for stage, p := range pointers {
		if err := checkKey(p.Key); err != nil {
			return nil, err
		}
		old, ok := f.pointers[stage]
		if ok && old.Key == p.Key && bytes.Equal(old.Preimage, p.Preimage) {
			continue
		}
		pre, err := compactJSON(p.Preimage)
		if err != nil {
			return nil, fmt.Errorf("store: pointer of stage %s: preimage: %w", stage, err)
		}
		if ok && old.Key == p.Key && bytes.Equal(old.Preimage, pre) {
			continue
		}
		changed[stage] = Pointer{Key: p.Key, Preimage: pre}
	}
	return changed, nil
}

func encodePointers(b []byte, pointers map[string]Pointer) []byte {
	for _, stage := range slices.Sorted(maps.Keys(pointers)) {
		p := pointers[stage]
		b = appendLine(b, quoteField(stage), []byte(p.Key), p.Preimage)
	}
	return b
}

// lockLast serialises writers of pointer files; they hold it for one append.
func (s *Store) lockLast() (func(), error) {
	if s.noLocking {
		return func() {}, nil
	}
	l := flock.New(s.path("last", "lock"))
	if err := l.Lock(); err != nil {
		return nil, s.writeErr(err)
	}
	return func() { _ = l.Close() }, nil
}

// loadLast returns the parsed file of a recipe. The caller holds s.lasts.mu.
func (s *Store) loadLast(recipeID string) (*lastFile, error) {
	if s.lasts.files == nil {
		s.lasts.files = map[string]*lastFile{}
	}
	path := s.lastPath(recipeID)
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		f := &lastFile{pointers: map[string]Pointer{}}
		s.lasts.files[recipeID] = f
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if f := s.lasts.files[recipeID]; f != nil && f.id == idOf(fi) {
		return f, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	f := parseLast(b)
	if f.bad > 0 {
		s.warn(path, "%d damaged records were skipped; the plan may show some stages as never run", f.bad)
	}
	f.id = idOf(fi)
	s.lasts.files[recipeID] = f
	return f, nil
}

func parseLast(b []byte) *lastFile {
	f := &lastFile{pointers: map[string]Pointer{}}
	for line := range bytes.Lines(b) {
		f.lines++
		fields, ok := splitLine(line, 3)
		if !ok {
			if head, ok := splitLine(line, 1); ok && f.lines == 1 {
				f.recipe, _ = unquoteField(head[0])
			} else {
				f.bad++
			}
			continue
		}
		stage, okStage := unquoteField(fields[0])
		if !okStage || checkKey(string(fields[1])) != nil {
			f.bad++
			continue
		}
		p := Pointer{Key: string(fields[1]), Preimage: fields[2]}
		if string(p.Preimage) == "null" {
			p.Preimage = nil
		}
		f.pointers[stage] = p
	}
	return f
}

// Use names a recipe's stage that points to an action.
type Use struct{ Recipe, Stage string }

// Uses lists the stages whose last result is the action key.
func (s *Store) Uses(key string) ([]Use, error) {
	var uses []Use
	err := s.eachLastFile(func(f *lastFile) {
		for stage, p := range f.pointers {
			if p.Key == key {
				uses = append(uses, Use{Recipe: f.recipe, Stage: stage})
			}
		}
	})
	slices.SortFunc(uses, func(a, b Use) int {
		return cmp.Or(cmp.Compare(a.Recipe, b.Recipe), cmp.Compare(a.Stage, b.Stage))
	})
	return uses, err
}

// eachLastFile calls fn for the pointers of every recipe, for gc and stats.
func (s *Store) eachLastFile(fn func(*lastFile)) error {
	names, err := readDirNames(s.path("last"))
	if err != nil {
		return err
	}
	for _, n := range names {
		if len(n) != 32 || !isLowerHex(n) {
			continue
		}
		path := s.path("last", n)
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		f := parseLast(b)
		f.path = path
		fn(f)
	}
	return nil
}

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
