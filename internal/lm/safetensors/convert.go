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

// ToHalf rounds to IEEE 754 binary16, ties to even. What is too large becomes an
// infinity; a NaN stays one.
func ToHalf(v float32) uint16 {
	b := math.Float32bits(v)
	sign, b := uint16(b>>16)&0x8000, b&0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00
	case b >= 0x477ff000: // 65520, halfway between the largest number and the next
		return sign | 0x7c00
	case b < 0x38800000: // below 2^-14: multiples of 2^-24, which adding 0.5 rounds to
		f := math.Float32frombits(b) + 0.5
		return sign | uint16(math.Float32bits(f)-0x3f000000)
	}
	b += 0xfff + b>>13&1
	return sign | uint16(b>>13-112<<10)
}

// FromFloat32 makes a tensor of dtype F32, BF16 or F16.
func FromFloat32(name string, dtype DType, shape []int, v []float32) (Tensor, error) {
	t := Tensor{Name: name, DType: dtype, Shape: shape}
	if t.Len() != len(v) {
		return t, fmt.Errorf("tensor %q: %d values for shape %v", name, len(v), shape)
	}
	var err error
	if t.Data, err = AppendFloat32(make([]byte, 0, t.Bytes()), dtype, v); err != nil {
		return t, fmt.Errorf("tensor %q: %w", name, err)
	}
	return t, nil
}

// AppendFloat32 appends numbers as dtype stores them: F32, BF16 or F16.
func AppendFloat32(dst []byte, dtype DType, v []float32) ([]byte, error) {
	switch dtype {
	case F32:
		for _, x := range v {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
		}
	case BF16:
		for _, x := range v {
			dst = binary.LittleEndian.AppendUint16(dst, ToBF16(x))
		}
	case F16:
		for _, x := range v {
			dst = binary.LittleEndian.AppendUint16(dst, ToHalf(x))
		}
	default:
		return dst, fmt.Errorf("writing dtype %s is not supported", dtype)
	}
	return dst, nil
}

// Rounder is what storing a number as dtype does to it; nil for F32, which stores it
// as it is. dtype is one that [AppendFloat32] writes.
func Rounder(dtype DType) func(float32) float32 {
	switch dtype {
	case BF16:
		return func(v float32) float32 { return math.Float32frombits(uint32(ToBF16(v)) << 16) }
	case F16:
		return func(v float32) float32 { return FromHalf(ToHalf(v)) }
	}
	return nil
}
