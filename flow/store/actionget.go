package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
)

func (s *Store) actionPath(key string) string {
	return s.path("actions", key[:2], key+".json")
}

// GetAction looks an action key up. The second result is true only for a hit:
// a complete entry whose every output is present and sound. A nil action means
// that the key was never published. An action without a hit is one that is
// incomplete (Action.Incomplete) or has lost an output (Action.Damage).
//
// An error means that the store could not be read; damage is a miss.
func (s *Store) GetAction(key string) (*Action, bool, error) {
	a, err := s.loadAction(key)
	if a == nil || err != nil {
		return nil, false, err
	}
	if a.Damage = s.damageOf(a); a.Damage != "" {
		return a, false, nil
	}
	return a, !a.Incomplete, nil
}

// damageOf says what is wrong with an action's outputs, "" when nothing is.
func (s *Store) damageOf(a *Action) string {
	for _, port := range slices.Sorted(maps.Keys(a.Outputs)) {
		if err := s.checkOutput(a.Outputs[port]); err != nil {
			return fmt.Sprintf("output %s: %v", port, err)
		}
	}
	return ""
}

func (s *Store) checkOutput(o Output) error {
	if o.Kind == KindDir {
		return s.checkTree(o.Digest)
	}
	return s.checkBlob(o.Digest, o.Bytes)
}

// loadAction reads an entry without looking at its outputs. It returns nil for
// an entry that is missing or damaged.
func (s *Store) loadAction(key string) (*Action, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	path := s.actionPath(key)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: action %s: %w", key, err)
	}
	a, err := decodeAction(key, b)
	if err != nil {
		s.warn(path, "is damaged (%v); the stage will run again", err)
		return nil, nil
	}
	return a, nil
}

// Actions calls fn for every readable action entry, in the order of keys. It
// does not look at outputs. It stops at the first error of fn.
func (s *Store) Actions(fn func(*Action) error) error {
	return s.eachActionKey(func(key string) error {
		a, err := s.loadAction(key)
		if a == nil || err != nil {
			return err
		}
		return fn(a)
	})
}

func (s *Store) eachActionKey(fn func(key string) error) error {
	dirs, err := readDirNames(s.path("actions"))
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if len(d) != 2 {
			continue
		}
		names, err := readDirNames(s.path("actions", d))
		if err != nil {
			return err
		}
		for _, n := range names {
			key, ok := cutJSON(n)
			if !ok || checkKey(key) != nil || key[:2] != d {
				continue // a conflict record, or a file that is not ours
			}
			if err := fn(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// readDirNames returns the sorted names in dir, none when dir is missing.
func readDirNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}
