package optim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// stateVersion is the first number of an encoded state.
const stateVersion = 1

// MarshalBinary encodes the steps taken and the moments, in 8 bits where they are,
// so that a resumed run goes on with the same bits. It never fails.
func (a *AdamW) MarshalBinary() ([]byte, error) {
	out := make([]byte, 0, a.StateBytes()+64)
	out = binary.LittleEndian.AppendUint64(out, stateVersion)
	out = binary.LittleEndian.AppendUint64(out, uint64(a.T))
	out = binary.LittleEndian.AppendUint64(out, uint64(len(a.M)))
	for i := range a.M {
		s := a.eightBit(i)
		if s == nil {
			out = append(out, 32)
			out = appendFloats(appendFloats(out, a.M[i].Data), a.V[i].Data)
			continue
		}
		out = append(out, 8)
		out = binary.LittleEndian.AppendUint64(out, uint64(len(s.m)))
		out = append(append(out, s.m...), s.v...)
		out = appendFloats(appendFloats(out, s.mScale), s.vScale)
	}
	return out, nil
}

// UnmarshalBinary goes back to an encoded state. The optimizer must have been made
// for the same parameters with the same choice of 8-bit moments; otherwise, and for
// data that is cut off, it is an error and nothing changes.
func (a *AdamW) UnmarshalBinary(data []byte) error {
	// Checked in a first pass and copied in a second, so that an error leaves no traces.
	for _, write := range []bool{false, true} {
		r := reader{data: data, write: write}
		version, steps, n := r.number(), r.number(), r.number()
		if r.err == nil && (version != stateVersion || n != uint64(len(a.M)) || steps > math.MaxInt32) {
			return fmt.Errorf("adamw: state of version %d with %d tensors after %d steps, want version %d with %d tensors",
				version, n, steps, stateVersion, len(a.M))
		}
		for i := range a.M {
			s := a.eightBit(i)
			bits := byte(32)
			if s != nil {
				bits = 8
			}
			if got := r.take(1); r.err == nil && got[0] != bits {
				return fmt.Errorf("adamw: the state holds the moments of %s in %d bits, this optimizer in %d", a.M[i].Name, got[0], bits)
			}
			if s == nil {
				r.floats(a.M[i].Data)
				r.floats(a.V[i].Data)
			} else {
				if n := r.number(); r.err == nil && n != uint64(len(s.m)) {
					return fmt.Errorf("adamw: the state has %d moments for %s, want %d", n, a.M[i].Name, len(s.m))
				}
				r.bytes(s.m)
				r.bytes(s.v)
				r.floats(s.mScale)
				r.floats(s.vScale)
			}
			if r.err != nil {
				return fmt.Errorf("adamw: state of %s: %w", a.M[i].Name, r.err)
			}
		}
		if len(r.data) > 0 && r.err == nil {
			r.err = fmt.Errorf("%d bytes too many", len(r.data))
		}
		if r.err != nil {
			return fmt.Errorf("adamw: state: %w", r.err)
		}
		if write {
			a.T = int(steps)
		}
	}
	return nil
}

func appendFloats(out []byte, v []float32) []byte {
	out = binary.LittleEndian.AppendUint64(out, uint64(len(v)))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}

// reader takes parts off data; after its first error it does nothing. It writes only
// when it is told to.
type reader struct {
	data  []byte
	write bool
	err   error
}

func (r *reader) take(n int) []byte {
	if r.err == nil && len(r.data) < n {
		r.err = errors.New("cut off")
	}
	if r.err != nil {
		return nil
	}
	part := r.data[:n]
	r.data = r.data[n:]
	return part
}

func (r *reader) number() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) bytes(to []byte) {
	if b := r.take(len(to)); b != nil && r.write {
		copy(to, b)
	}
}

func (r *reader) floats(to []float32) {
	if n := r.number(); r.err == nil && n != uint64(len(to)) {
		r.err = fmt.Errorf("%d values, want %d", n, len(to))
	}
	if b := r.take(4 * len(to)); b != nil && r.write {
		for i := range to {
			to[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	}
}
