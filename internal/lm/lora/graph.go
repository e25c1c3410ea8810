package lora

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// Delta returns what a [decoder.Model] needs to run with adapters. params are their
// nodes in the order of [Init]. In training seed is a uint32 scalar that chooses
// which inputs are dropped; nil means no dropout.
func Delta(c Config, params []*Node, seed *Node) func(layer int, target string, x *Node) *Node {
	at := make(map[string]int, len(c.Targets))
	for i, t := range c.Targets {
		at[t] = i
	}
	scale := c.Scale()
	return func(layer int, target string, x *Node) *Node {
		i, ok := at[target]
		if !ok {
			return nil
		}
		k := 2 * (layer*len(c.Targets) + i)
		a, b := params[k], params[k+1]
		in := x
		if in.DType() != a.DType() {
			in = ConvertDType(in, a.DType())
		}
		if seed != nil && c.Dropout > 0 {
			in = dropout(in, seed, uint32(k), c.Dropout)
		}
		low := DotGeneral(in, []int{1}, nil, a, []int{1}, nil)
		out := MulScalar(DotGeneral(low, []int{1}, nil, b, []int{1}, nil), scale)
		if out.DType() != x.DType() {
			out = ConvertDType(out, x.DType())
		}
		return out
	}
}

// dropout zeroes each element of x with chance p and scales the others by 1/(1-p).
// Which ones follows from seed, stream and position by an integer hash (the finaliser
// of MurmurHash3), so that every backend drops the same and a resumed run drops what
// the first one would have.
func dropout(x, seed *Node, stream uint32, p float64) *Node {
	g := x.Graph()
	flat := shapes.Make(dtypes.Uint32, x.Shape().Size())
	scalar := func(v uint32) *Node { return Const(g, v) }
	h := Iota(g, flat, 0)
	h = Mul(Add(h, Mul(scalar(stream+1), scalar(0x9E3779B9))), scalar(0x85EBCA77))
	h = BitwiseXor(h, Mul(ConvertDType(seed, dtypes.Uint32), scalar(0xC2B2AE3D)))
	mix := func(h *Node, shift, by uint32) *Node {
		h = BitwiseXor(h, BitwiseShiftRightLogical(h, scalar(shift)))
		if by != 0 {
			h = Mul(h, scalar(by))
		}
		return h
	}
	h = mix(mix(mix(h, 16, 0x85EBCA6B), 13, 0xC2B2AE35), 16, 0)
	keep := ConvertDType(GreaterOrEqual(h, scalar(dropBelow(p))), x.DType())
	return Mul(x, Reshape(MulScalar(keep, 1/(1-p)), x.Shape().Dimensions...))
}

// dropBelow is the hash below which an element is dropped.
func dropBelow(p float64) uint32 { return uint32(math.Min(p*(1<<32), math.MaxUint32)) }
