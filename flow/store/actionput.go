package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// PutResult tells what publishing an action led to.
type PutResult struct {
	// Pinned is the entry in force afterwards: the new one, or the one that
	// was there first.
	Pinned *Action
	// Conflict is set when another complete result was already published for
	// the key. The first stays in force and the new one is kept beside it; see
	// Conflicts.
	Conflict bool
	// Replaced is set when the earlier result differed and had lost an output,
	// so that the new one had to take its place. The earlier entry is kept as
	// a conflict record.
	Replaced bool
}

// PutAction publishes an action whose outputs are in the store already. It
// checks that every output is there, then writes the entry by rename. A result
// that equals the one in force changes nothing except to heal a damaged entry;
// an incomplete one never displaces a complete one.
//
// Hold LockKey(key) so that two processes do not publish one key at once; if
// they do, one of them wins and the store stays sound.
func (s *Store) PutAction(a *Action, dur Durability) (PutResult, error) {
	if err := a.check(); err != nil {
		return PutResult{}, err
	}
	if err := s.prepare(); err != nil {
		return PutResult{}, err
	}
	if damage := s.damageOf(a); damage != "" {
		return PutResult{}, fmt.Errorf("store: action %s cannot be published: %s", a.Key, damage)
	}
	a, err := a.normalise()
	if err != nil {
		return PutResult{}, err
	}
	text, err := a.encode()
	if err != nil {
		return PutResult{}, err
	}
	s.fault(FaultBeforeAction)

	old, err := s.loadAction(a.Key)
	if err != nil {
		return PutResult{}, err
	}
	res := PutResult{Pinned: a}
	if old != nil && !old.Incomplete {
		same, sound := old.SameOutputs(a), s.damageOf(old) == ""
		switch {
		case sound && a.Incomplete:
			return PutResult{Pinned: old}, nil
		case sound && same:
			return PutResult{Pinned: old}, nil
		case sound:
			s.warn(s.actionPath(a.Key), "the key has a second, different result; it is kept beside the first, which stays in force")
			return PutResult{Pinned: old, Conflict: true}, s.keepConflict(a, dur)
		case !same:
			if err := s.keepConflict(old, dur); err != nil {
				return PutResult{}, err
			}
			res.Replaced = true
			s.warn(s.actionPath(a.Key), "the earlier result has lost an output and the new one differs; the new one is in force now")
		}
	}
	return res, s.writeAction(a, text, dur)
}

func (s *Store) writeAction(a *Action, text []byte, dur Durability) error {
	tmp, err := s.writeTemp(text, s.sync(dur))
	if err != nil {
		return err
	}
	s.fault(FaultActionWritten)
	path := s.actionPath(a.Key)
	if err := rename(tmp, path, s.sync(dur)); err != nil {
		os.Remove(tmp)
		return s.writeErr(err)
	}
	if s.sync(dur) {
		if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
			return s.writeErr(err)
		}
	}
	s.fault(FaultActionPublished)
	return nil
}

const conflictMark = ".conflict-"

// keepConflict stores a result beside the entry in force. Its name is derived
// from its outputs, so that the same deviation is kept once.
func (s *Store) keepConflict(a *Action, dur Durability) error {
	outputs, err := marshalPlain(a.Outputs)
	if err != nil {
		return fmt.Errorf("store: action %s: %w", a.Key, err)
	}
	text, err := a.encode()
	if err != nil {
		return err
	}
	path := s.path("actions", a.Key[:2], a.Key+conflictMark+DigestBytes(outputs).Hex()[:12]+".json")
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	return s.replaceFile(path, text, s.sync(dur))
}

// Conflict is one key with results that differ.
type Conflict struct {
	Key    string
	Pinned *Action   // in force; nil when its entry is damaged
	Others []*Action // kept beside it
}

// Conflicts lists the keys for which different results were published. An
// empty key means all keys.
func (s *Store) Conflicts(key string) ([]Conflict, error) {
	var dirs []string
	var err error
	if key != "" {
		if err := checkKey(key); err != nil {
			return nil, err
		}
		dirs = []string{key[:2]}
	} else if dirs, err = readDirNames(s.path("actions")); err != nil {
		return nil, err
	}
	var out []Conflict
	for _, d := range dirs {
		if len(d) != 2 {
			continue
		}
		names, err := readDirNames(s.path("actions", d))
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			base, ok := cutJSON(n)
			k, _, isConflict := strings.Cut(base, conflictMark)
			if !ok || !isConflict || key != "" && k != key || checkKey(k) != nil {
				continue
			}
			other, err := s.readConflict(k, s.path("actions", d, n))
			if err != nil {
				return nil, err
			}
			if other == nil {
				continue
			}
			if len(out) == 0 || out[len(out)-1].Key != k {
				pin, err := s.loadAction(k)
				if err != nil {
					return nil, err
				}
				out = append(out, Conflict{Key: k, Pinned: pin})
			}
			last := &out[len(out)-1]
			last.Others = append(last.Others, other)
		}
	}
	return out, nil
}

func (s *Store) readConflict(key, path string) (*Action, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	a, err := decodeAction(key, b)
	if errors.Is(err, ErrCorrupt) {
		s.warn(path, "is damaged and is ignored")
		return nil, nil
	}
	return a, err
}

func cutJSON(name string) (string, bool) { return strings.CutSuffix(name, ".json") }
