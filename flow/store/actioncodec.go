package store

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// The action index holds an entry's head in a form that is several times
// quicker to read than JSON, which dominates the planning of an all-cached
// recipe otherwise. Items end with headSep, which a quoted string cannot hold:
//
//	stage type version incomplete started seconds
//	number-of-outputs { port kind digest rows bytes }
//	number-of-stats { name value }
//
// started is in nanoseconds since 1970, empty for none; floats are the bits in
// hexadecimal.
const headSep = 0x1f

func appendHead(b []byte, a *Action) []byte {
	item := func(v []byte) { b = append(append(b, v...), headSep) }
	num := func(v int64) { b = append(strconv.AppendInt(b, v, 10), headSep) }
	float := func(v float64) { b = append(strconv.AppendUint(b, math.Float64bits(v), 16), headSep) }

	item(quoteField(a.Stage))
	item(quoteField(a.Type))
	num(int64(a.Version))
	if a.Incomplete {
		num(1)
	} else {
		num(0)
	}
	if a.Meta.Started.IsZero() {
		item(nil)
	} else {
		num(a.Meta.Started.UnixNano())
	}
	float(a.Meta.Seconds)
	num(int64(len(a.Outputs)))
	for port, o := range a.Outputs {
		item(quoteField(port))
		item([]byte(o.Kind))
		item([]byte(o.Digest))
		num(o.Rows)
		num(o.Bytes)
	}
	num(int64(len(a.Meta.Stats)))
	for name, v := range a.Meta.Stats {
		item(quoteField(name))
		float(v)
	}
	return b
}

// headReader takes items off the front; the first failure sticks.
type headReader struct {
	b   []byte
	bad bool
}

func (r *headReader) item() []byte {
	v, rest, ok := bytes.Cut(r.b, []byte{headSep})
	r.bad = r.bad || !ok
	r.b = rest
	return v
}

func (r *headReader) text() string {
	s, ok := unquoteField(r.item())
	r.bad = r.bad || !ok
	return s
}

func (r *headReader) num() int64 {
	v, ok := parseInt(r.item())
	r.bad = r.bad || !ok
	return v
}

func (r *headReader) float() float64 {
	v, err := strconv.ParseUint(string(r.item()), 16, 64)
	r.bad = r.bad || err != nil
	return math.Float64frombits(v)
}

// count reads a number of groups of at least size bytes each that follow.
func (r *headReader) count(size int) int {
	n := r.num()
	if n < 0 || n > int64(len(r.b)/size) {
		r.bad = true
		return 0
	}
	return int(n)
}

func parseHead(key string, b []byte) (*Action, error) {
	r := &headReader{b: b}
	a := &Action{Key: key, Stage: r.text(), Type: r.text(), Version: int(r.num()), Incomplete: r.num() != 0}
	if started := r.item(); len(started) > 0 {
		n, ok := parseInt(started)
		r.bad = r.bad || !ok
		a.Meta.Started = time.Unix(0, n).UTC()
	}
	a.Meta.Seconds = r.float()
	n := r.count(5)
	a.Outputs = make(map[string]Output, n)
	for range n {
		port, kind := r.text(), r.item()
		o := Output{Digest: Digest(r.item()), Rows: r.num(), Bytes: r.num()}
		switch string(kind) { // constants, so that nothing is allocated
		case string(KindRows):
			o.Kind = KindRows
		case string(KindDir):
			o.Kind = KindDir
		}
		a.Outputs[port] = o
	}
	if n := r.count(2); n > 0 {
		a.Meta.Stats = make(map[string]float64, n)
		for range n {
			name := r.text()
			a.Meta.Stats[name] = r.float()
		}
	}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("%w: malformed index line", ErrCorrupt)
	}
	return a, a.check()
}

// normalise gives an action the form in which it comes back from the store, so
// that the entry file and the index agree.
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

// preimageField is the preimage as one field of a line.
func (a *Action) preimageField() []byte {
	if len(a.Preimage) == 0 {
		return []byte("null")
	}
	return slices.Clip(a.Preimage)
}
