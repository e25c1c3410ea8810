package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
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
