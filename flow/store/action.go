package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// OutputKind says what a port's digest names.
type OutputKind string

const (
	KindRows OutputKind = "rows" // a blob of JSON lines
	KindDir  OutputKind = "dir"  // a tree manifest
)

// Output is one port's result.
type Output struct {
	Kind   OutputKind `json:"kind"`
	Digest Digest     `json:"digest"`
	Rows   int64      `json:"rows,omitempty"` // number of rows; 0 for a folder
	Bytes  int64      `json:"bytes"`          // size of the blob, or of a folder's files together
}

// Meta is what an action entry tells about how its result came to be. It is
// not part of any digest, and two results that differ only here are the same.
type Meta struct {
	Started time.Time          `json:"started,omitzero"`
	Seconds float64            `json:"seconds,omitempty"`
	Stats   map[string]float64 `json:"stats,omitempty"` // requests, tokens, usd, ...
}

// Action maps an action key to the outputs of one stage.
type Action struct {
	Key        string            `json:"key"`
	Stage      string            `json:"stage,omitempty"` // the stage's name when it ran, for display
	Type       string            `json:"type"`            // stage type
	Version    int               `json:"version"`         // implementation version
	Outputs    map[string]Output `json:"outputs"`         // by port name
	Incomplete bool              `json:"incomplete,omitempty"`
	Meta       Meta              `json:"meta,omitzero"`

	// Preimage is the JSON text whose hash the key is. It is kept compact.
	Preimage json.RawMessage `json:"-"`
	// Damage says why a lookup that found this entry did not count as a hit:
	// which output is missing or corrupt. It is never stored.
	Damage string `json:"-"`
}

// SameOutputs reports whether a and b hold the same results.
func (a *Action) SameOutputs(b *Action) bool {
	if len(a.Outputs) != len(b.Outputs) {
		return false
	}
	for port, o := range a.Outputs {
		p, ok := b.Outputs[port]
		if !ok || p.Kind != o.Kind || p.Digest != o.Digest {
			return false
		}
	}
	return true
}

func (a *Action) check() error {
	if err := checkKey(a.Key); err != nil {
		return err
	}
	for port, o := range a.Outputs {
		if !o.Digest.Valid() {
			return fmt.Errorf("store: action %s: output %s: %q is not a digest", a.Key, port, o.Digest)
		}
		if o.Kind != KindRows && o.Kind != KindDir {
			return fmt.Errorf("store: action %s: output %s: kind %q: want rows or dir", a.Key, port, o.Kind)
		}
	}
	return nil
}

// normalise gives an action the form in which it comes back from the store.
func (a *Action) normalise() (*Action, error) {
	c := *a
	pre, err := compactJSON(a.Preimage)
	if err != nil {
		return nil, fmt.Errorf("store: action %s: preimage: %w", a.Key, err)
	}
	if c.Preimage = pre; string(pre) == "null" {
		c.Preimage = nil
	}
	c.Damage = ""
	if !c.Meta.Started.IsZero() {
		c.Meta.Started = c.Meta.Started.UTC().Round(0) // no monotonic clock
	}
	if c.Outputs == nil {
		c.Outputs = map[string]Output{}
	}
	if len(c.Meta.Stats) == 0 {
		c.Meta.Stats = nil
	}
	return &c, nil
}

// actionFile is the content of actions/ab/KEY.json. The checksum covers the
// bytes of action, a tab, and the bytes of preimage.
type actionFile struct {
	Sum      string          `json:"sum"`
	Action   json.RawMessage `json:"action"`
	Preimage json.RawMessage `json:"preimage"`
}

// Encode gives the action as the text of an entry, for places other than a store.
func (a *Action) Encode() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	n, err := a.normalise()
	if err != nil {
		return nil, err
	}
	return n.encode()
}

// DecodeAction reads what [Action.Encode] wrote for a key. Damage is [ErrCorrupt].
func DecodeAction(key string, text []byte) (*Action, error) { return decodeAction(key, text) }

// encode returns the content of the entry's file.
func (a *Action) encode() ([]byte, error) {
	head, err := marshalPlain(a)
	if err != nil {
		return nil, fmt.Errorf("store: action %s: %w", a.Key, err)
	}
	preimage := []byte(a.Preimage)
	if len(preimage) == 0 {
		preimage = []byte("null")
	}
	b, err := marshalPlain(actionFile{Sum: partsSum(head, preimage), Action: head, Preimage: preimage})
	return append(b, '\n'), err
}

func compactJSON(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return []byte("null"), nil
	}
	var buf bytes.Buffer
	buf.Grow(len(b))
	if err := json.Compact(&buf, b); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// marshalPlain is json.Marshal without the escapes for HTML, which would alter
// a caller's raw JSON.
func marshalPlain(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), nil
}

func partsSum(head, preimage []byte) string {
	return lineSum(bytes.Join([][]byte{head, preimage}, []byte{'\t'}))
}

// decodeAction checks and parses the content of an entry's file.
func decodeAction(key string, b []byte) (*Action, error) {
	var f actionFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if f.Sum != partsSum(f.Action, f.Preimage) {
		return nil, fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	a := &Action{}
	if err := json.Unmarshal(f.Action, a); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if a.Key != key {
		return nil, fmt.Errorf("%w: holds the entry of %q", ErrCorrupt, a.Key)
	}
	if err := a.check(); err != nil {
		return nil, errors.Join(ErrCorrupt, err)
	}
	if !bytes.Equal(f.Preimage, []byte("null")) {
		a.Preimage = f.Preimage
	}
	return a.normalise()
}

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

// PutResult tells what publishing an action led to.
type PutResult struct {
	// Pinned is the entry in force afterwards: the new one, or the one that
	// was there first.
	Pinned *Action
	// Conflict is set when another complete result was already published for
	// the key. The first stays in force and the new one is kept beside it; see
	// Conflicts.
	Conflict bool
	// Replaced is set when the earlier complete result differed and the new one
	// took its place: it had lost an output, or ReplaceAction was called. The
	// earlier entry is kept as a conflict record.
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
	return s.putAction(a, dur, false)
}

// ReplaceAction is PutAction for a result that was asked for anew: when it is complete
// and differs from the one in force, it takes its place, and the earlier entry is kept
// beside it.
func (s *Store) ReplaceAction(a *Action, dur Durability) (PutResult, error) {
	return s.putAction(a, dur, true)
}

func (s *Store) putAction(a *Action, dur Durability, replace bool) (PutResult, error) {
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
		case sound && !replace:
			s.warn(s.actionPath(a.Key), "the key has a second, different result; it is kept beside the first, which stays in force")
			return PutResult{Pinned: old, Conflict: true}, s.keepConflict(a, dur)
		case !same:
			if err := s.keepConflict(old, dur); err != nil {
				return PutResult{}, err
			}
			res.Replaced = true
			if sound {
				break
			}
			s.warn(s.actionPath(a.Key), "the earlier result has lost an output and the new one differs; the new one is in force now")
		}
	}
	return res, s.writeAction(a, text, dur)
}

// Reopen marks the result of a key as incomplete: it is no hit from now on, and the next
// result takes its place. Without an entry it does nothing. Hold LockKey(key) meanwhile.
func (s *Store) Reopen(key string) error {
	if err := s.prepare(); err != nil {
		return err
	}
	a, err := s.loadAction(key)
	if a == nil || err != nil || a.Incomplete {
		return err
	}
	a.Incomplete = true
	text, err := a.encode()
	if err != nil {
		return err
	}
	return s.writeAction(a, text, Durable)
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
