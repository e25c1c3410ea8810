package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Float32 converts a floating-point tensor, appending to dst.
func (t Tensor) Float32(dst []float32) ([]float32, error) {
	n := t.Len()
	at := len(dst)
	if cap(dst)-at < n {
		grown := make([]float32, at, at+n)
		copy(grown, dst)
		dst = grown
	}
	dst = dst[:at+n]
	out, b := dst[at:], t.Data
	switch t.DType {
	case F32:
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case BF16:
		for i := range out {
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
		}
	case F16:
		for i := range out {
			out[i] = FromHalf(binary.LittleEndian.Uint16(b[2*i:]))
		}
	case F64:
		for i := range out {
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
	default:
		return nil, fmt.Errorf("tensor %q: dtype %s holds no floating-point numbers", t.Name, t.DType)
	}
	return dst, nil
}

// FromHalf widens an IEEE 754 binary16 to float32, exactly.
func FromHalf(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10)&0x1f, uint32(h&0x3ff)
	switch exp {
	case 0: // zero or subnormal: frac·2^-24
		v := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 0x1f: // infinity or NaN
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// ToBF16 rounds to bfloat16, ties to even; a NaN stays one.
func ToBF16(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromFloat32 makes a tensor of dtype F32 or BF16.
func FromFloat32(name string, dtype DType, shape []int, v []float32) (Tensor, error) {
	t := Tensor{Name: name, DType: dtype, Shape: shape}
	if t.Len() != len(v) {
		return t, fmt.Errorf("tensor %q: %d values for shape %v", name, len(v), shape)
	}
	switch dtype {
	case F32:
		t.Data = make([]byte, 4*len(v))
		for i, x := range v {
			binary.LittleEndian.PutUint32(t.Data[4*i:], math.Float32bits(x))
		}
	case BF16:
		t.Data = make([]byte, 2*len(v))
		for i, x := range v {
			binary.LittleEndian.PutUint16(t.Data[2*i:], ToBF16(x))
		}
	default:
		return t, fmt.Errorf("tensor %q: writing dtype %s is not supported", name, dtype)
	}
	return t, nil
}
