// Package weights holds the named float32 tensors of a model on the host.
//
// Parameters live on the host and are handed to a graph at each call. For models
// trained from scratch on a CPU that copy is negligible, and it makes the rest
// simple: the optimizer is plain Go, a checkpoint is a slice of bytes, and two
// runs can be compared bit by bit.
package weights

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"github.com/gomlx/gomlx/core/tensors"
)

// Tensor is one named parameter, in row-major order.
type Tensor struct {
	Name string
	Dims []int
	Data []float32
}

// Size is the number of elements that dims describe.
func Size(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// Set is an ordered list of parameters. Order is part of its meaning: it is the
// order of a graph's inputs and of the optimizer's moments.
type Set []Tensor

// Find returns the position of name, or -1.
func (s Set) Find(name string) int {
	for i := range s {
		if s[i].Name == name {
			return i
		}
	}
	return -1
}

// Count is the total number of elements.
func (s Set) Count() int {
	n := 0
	for i := range s {
		n += len(s[i].Data)
	}
	return n
}

// Clone copies names, dims and data.
func (s Set) Clone() Set {
	out := make(Set, len(s))
	for i, t := range s {
		out[i] = Tensor{Name: t.Name, Dims: append([]int(nil), t.Dims...), Data: append([]float32(nil), t.Data...)}
	}
	return out
}

// ZerosLike is a set of the same names and dims, filled with zeros.
func (s Set) ZerosLike() Set {
	out := make(Set, len(s))
	for i, t := range s {
		out[i] = Tensor{Name: t.Name, Dims: append([]int(nil), t.Dims...), Data: make([]float32, len(t.Data))}
	}
	return out
}

// SameShapes reports the first difference in names or dims between s and o.
func (s Set) SameShapes(o Set) error {
	if len(s) != len(o) {
		return fmt.Errorf("%d tensors, want %d", len(o), len(s))
	}
	for i := range s {
		if s[i].Name != o[i].Name {
			return fmt.Errorf("tensor %d is %q, want %q", i, o[i].Name, s[i].Name)
		}
		if fmt.Sprint(s[i].Dims) != fmt.Sprint(o[i].Dims) || len(s[i].Data) != len(o[i].Data) {
			return fmt.Errorf("tensor %q has shape %v, want %v", s[i].Name, o[i].Dims, s[i].Dims)
		}
	}
	return nil
}

// Args appends the tensors as arguments of a graph call.
func (s Set) Args(args []any) []any {
	for i := range s {
		args = append(args, tensors.FromFlatDataAndDimensions(s[i].Data, s[i].Dims...))
	}
	return args
}

// Hash is a 64-bit digest of names, dims and bits, to compare two sets.
func (s Set) Hash() uint64 {
	h := fnv.New64a()
	var b [4]byte
	for i := range s {
		fmt.Fprintf(h, "%q%v", s[i].Name, s[i].Dims)
		for _, v := range s[i].Data {
			binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
			h.Write(b[:])
		}
	}
	return h.Sum64()
}

// FirstNonFinite returns the name of the first tensor that holds a NaN or an
// infinity, or "".
func (s Set) FirstNonFinite() string {
	for i := range s {
		for _, v := range s[i].Data {
			// v-v is 0 for every finite value and NaN otherwise.
			if v-v != 0 {
				return s[i].Name
			}
		}
	}
	return ""
}

// Normal is a tensor drawn from N(0, std²). The stream depends on seed and name,
// so adding a parameter does not change how the others start.
func Normal(seed uint64, std float64, name string, dims ...int) Tensor {
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	t := Const(0, name, dims...)
	for i := range t.Data {
		t.Data[i] = float32(r.NormFloat64() * std)
	}
	return t
}

// Const is a tensor filled with v.
func Const(v float32, name string, dims ...int) Tensor {
	t := Tensor{Name: name, Dims: dims, Data: make([]float32, Size(dims))}
	if v != 0 {
		for i := range t.Data {
			t.Data[i] = v
		}
	}
	return t
}

// Uniform is a tensor drawn from U(-limit, limit), by a stream of its own as in
// [Normal].
func Uniform(seed uint64, limit float64, name string, dims ...int) Tensor {
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	t := Const(0, name, dims...)
	for i := range t.Data {
		t.Data[i] = float32((2*r.Float64() - 1) * limit)
	}
	return t
}
