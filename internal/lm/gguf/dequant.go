package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// Type is how a tensor's numbers are stored. In a block type, blocks of 32 or 256
// numbers of a row share a scale d in half precision, some also an offset m:
// x = d·q or x = d·q - m. In the K types a block of 256 has sub-blocks of 16 or 32,
// whose own scales and offsets are small integers times d and dmin.
type Type uint32

// The types that are read.
const (
	F32   Type = 0
	F16   Type = 1
	Q4_0  Type = 2
	Q4_1  Type = 3
	Q5_0  Type = 6
	Q5_1  Type = 7
	Q8_0  Type = 8
	Q2K   Type = 10
	Q3K   Type = 11
	Q4K   Type = 12
	Q5K   Type = 13
	Q6K   Type = 14
	IQ4NL Type = 20
	IQ4XS Type = 23
	BF16  Type = 30
)

// superBlock is the block of the K types.
const superBlock = 256

type format struct {
	name         string
	elems, bytes int
	// decode writes the elems numbers of the block b to y. The products are rounded
	// to float32 one by one, so that no platform fuses them.
	decode func(y []float32, b []byte)
}

var formats = map[Type]format{
	F32:   {"F32", 1, 4, nil},
	F16:   {"F16", 1, 2, nil},
	BF16:  {"BF16", 1, 2, nil},
	Q4_0:  {"Q4_0", 32, 18, q4},
	Q4_1:  {"Q4_1", 32, 20, q4m},
	Q5_0:  {"Q5_0", 32, 22, q5},
	Q5_1:  {"Q5_1", 32, 24, q5m},
	Q8_0:  {"Q8_0", 32, 34, q8},
	Q2K:   {"Q2_K", superBlock, 84, q2k},
	Q3K:   {"Q3_K", superBlock, 110, q3k},
	Q4K:   {"Q4_K", superBlock, 144, q4k},
	Q5K:   {"Q5_K", superBlock, 176, q5k},
	Q6K:   {"Q6_K", superBlock, 210, q6k},
	IQ4NL: {"IQ4_NL", 32, 18, iq4nl},
	IQ4XS: {"IQ4_XS", superBlock, 136, iq4xs},
}

// String is llama.cpp's name for the type.
func (t Type) String() string {
	if f, ok := formats[t]; ok {
		return f.name
	}
	return fmt.Sprintf("number %d", uint32(t))
}

// Decode converts the numbers from index first on, as many as out takes. Both first
// and len(out) must be multiples of the type's block, as whole rows are.
func (t Tensor) Decode(out []float32, first int) error {
	f, ok := formats[t.Type]
	switch {
	case !ok:
		return fmt.Errorf("tensor %q: type %s is not supported", t.Name, t.Type)
	case first < 0 || first%f.elems != 0 || len(out)%f.elems != 0 || len(out) > t.Len()-first:
		return fmt.Errorf("tensor %q: %d numbers from %d on do not fill whole blocks of its %d", t.Name, len(out), first, t.Len())
	}
	b := t.Data[first/f.elems*f.bytes:]
	switch t.Type {
	case F32:
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case F16:
		for i := range out {
			out[i] = half(b[2*i:])
		}
	case BF16:
		for i := range out {
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
		}
	default:
		for i := 0; i < len(out); i += f.elems {
			f.decode(out[i:i+f.elems:i+f.elems], b[:f.bytes])
			b = b[f.bytes:]
		}
	}
	return nil
}

func half(b []byte) float32 { return safetensors.FromHalf(binary.LittleEndian.Uint16(b)) }

// q4: d, then 16 bytes; low nibbles are the first 16 numbers, high ones the rest.
func q4(y []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:18] {
		y[i] = d * float32(int(q&15)-8)
		y[i+16] = d * float32(int(q>>4)-8)
	}
}

// q4m is q4 with an offset m that is added, and numbers from 0 on.
func q4m(y []float32, b []byte) {
	d, m := half(b), half(b[2:])
	for i, q := range b[4:20] {
		y[i] = float32(d*float32(q&15)) + m
		y[i+16] = float32(d*float32(q>>4)) + m
	}
}

// q5 is q4 with the fifth bits in a word of their own.
func q5(y []float32, b []byte) {
	d, high := half(b), binary.LittleEndian.Uint32(b[2:])
	for i, q := range b[6:22] {
		y[i] = d * float32(int(uint32(q&15)|high>>i&1<<4)-16)
		y[i+16] = d * float32(int(uint32(q>>4)|high>>(i+16)&1<<4)-16)
	}
}

func q5m(y []float32, b []byte) {
	d, m, high := half(b), half(b[2:]), binary.LittleEndian.Uint32(b[4:])
	for i, q := range b[8:24] {
		y[i] = float32(d*float32(uint32(q&15)|high>>i&1<<4)) + m
		y[i+16] = float32(d*float32(uint32(q>>4)|high>>(i+16)&1<<4)) + m
	}
}

func q8(y []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:34] {
		y[i] = d * float32(int8(q))
	}
}

// q2k: 16 bytes of a 4-bit scale and a 4-bit offset for 16 numbers each, 64 bytes
// of 2-bit numbers in four layers per 32 bytes, d, dmin.
func q2k(y []float32, b []byte) {
	scales, qs, d, dmin := b[:16], b[16:80], half(b[80:]), half(b[82:])
	for i := range y {
		s := scales[i/16]
		q := qs[i/128*32+i%32] >> (i % 128 / 32 * 2) & 3
		y[i] = float32(float32(d*float32(s&15))*float32(q)) - float32(dmin*float32(s>>4))
	}
}

// q3k: 32 bytes with the third bits, where a bit that is not set takes 4 away; 64
// bytes of 2-bit numbers as in q2k; 16 scales of 6 bits, from which 32 is taken; d.
func q3k(y []float32, b []byte) {
	high, qs, packed, d := b[:32], b[32:96], b[96:108], half(b[108:])
	var scales [16]float32
	for i := range scales {
		low := packed[i%8] >> (i / 8 * 4) & 15
		top := packed[8+i%4] >> (i / 4 * 2) & 3
		scales[i] = d * float32(int(low|top<<4)-32)
	}
	for i := range y {
		layer := i / 32
		q := int(qs[i/128*32+i%32] >> (layer % 4 * 2) & 3)
		if high[i%32]>>layer&1 == 0 {
			q -= 4
		}
		y[i] = scales[i/16] * float32(q)
	}
}

// scaleMin reads the j-th of 8 pairs of a 6-bit scale and a 6-bit offset that are
// packed into 12 bytes.
func scaleMin(p []byte, j int) (scale, offset float32) {
	if j < 4 {
		return float32(p[j] & 63), float32(p[j+4] & 63)
	}
	return float32(p[j+4]&15 | p[j-4]>>6<<4), float32(p[j+4]>>4 | p[j]>>6<<4)
}

// q4k: d, dmin, 12 bytes of scales and offsets for 32 numbers each, 128 bytes in
// which 32 bytes hold 32 numbers in their low nibbles and the next 32 in the high.
func q4k(y []float32, b []byte) {
	d, dmin, packed, qs := half(b), half(b[2:]), b[4:16], b[16:144]
	for j := range 4 {
		s1, m1 := scaleMin(packed, 2*j)
		s2, m2 := scaleMin(packed, 2*j+1)
		s1, m1, s2, m2 = d*s1, dmin*m1, d*s2, dmin*m2
		lo, hi := y[64*j:64*j+32], y[64*j+32:64*j+64]
		for i, q := range qs[32*j : 32*j+32] {
			lo[i] = float32(s1*float32(q&15)) - m1
			hi[i] = float32(s2*float32(q>>4)) - m2
		}
	}
}

// q5k is q4k with the fifth bits in 32 bytes, one bit of each for every 32 numbers.
func q5k(y []float32, b []byte) {
	d, dmin, packed, high, qs := half(b), half(b[2:]), b[4:16], b[16:48], b[48:176]
	for j := range 4 {
		s1, m1 := scaleMin(packed, 2*j)
		s2, m2 := scaleMin(packed, 2*j+1)
		s1, m1, s2, m2 = d*s1, dmin*m1, d*s2, dmin*m2
		lo, hi := y[64*j:64*j+32], y[64*j+32:64*j+64]
		for i, q := range qs[32*j : 32*j+32] {
			lo[i] = float32(s1*float32(q&15|high[i]>>(2*j)&1<<4)) - m1
			hi[i] = float32(s2*float32(q>>4|high[i]>>(2*j+1)&1<<4)) - m2
		}
	}
}

// q6k: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales for 16
// numbers each, d; 32 is taken from every number.
func q6k(y []float32, b []byte) {
	d := half(b[208:])
	for n := range 2 {
		low, high, scales := b[64*n:64*n+64], b[128+32*n:160+32*n], b[192+8*n:200+8*n]
		var s [8]float32
		for i := range s {
			s[i] = d * float32(int8(scales[i]))
		}
		out := y[128*n : 128*n+128]
		for i, h := range high {
			a, c, k := low[i], low[i+32], i/16
			out[i] = s[k] * float32(int(a&15|h&3<<4)-32)
			out[i+32] = s[k+2] * float32(int(c&15|h>>2&3<<4)-32)
			out[i+64] = s[k+4] * float32(int(a>>4|h>>4&3<<4)-32)
			out[i+96] = s[k+6] * float32(int(c>>4|h>>6<<4)-32)
		}
	}
}

// nonLinear are the 16 levels of the IQ4 types.
var nonLinear = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

func iq4nl(y []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:18] {
		y[i] = d * nonLinear[q&15]
		y[i+16] = d * nonLinear[q>>4]
	}
}

// iq4xs: d, the high bits of eight 6-bit scales, their low bits, 128 bytes of
// numbers in groups of 32 as in iq4nl.
func iq4xs(y []float32, b []byte) {
	d, high := half(b), binary.LittleEndian.Uint16(b[2:])
	for j := range 8 {
		s := int(b[4+j/2]>>(j%2*4)&15) | int(high>>(2*j)&3<<4)
		scale := d * float32(s-32)
		for i, q := range b[8+16*j : 24+16*j] {
			y[32*j+i] = scale * nonLinear[q&15]
			y[32*j+i+16] = scale * nonLinear[q>>4]
		}
	}
}
