// Package gguf reads models in the GGUF format of llama.cpp: a header with typed
// metadata, the list of tensors, and their data, most of it in blocks that share
// scales. [File] gives what stands in the file; [Weights] gives the same tensors
// under the names, in the order and with the conventions of a Hugging Face
// checkpoint, and its config.json.
//
// See https://github.com/ggml-org/ggml/blob/master/docs/gguf.md for the container;
// the block formats are described in dequant.go.
package gguf

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// Tensor is one tensor. Shape has the outermost axis first, as everywhere but in
// the file itself. Data lies in the file's mapping.
type Tensor struct {
	Name  string
	Type  Type
	Shape []int
	Data  []byte
}

// Len is the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// File is an open file. Metadata values are uint64, int64, float64, bool, string,
// or slices of these.
type File struct {
	Path     string
	Version  uint32
	Metadata map[string]any

	tensors []Tensor
	byName  map[string]int
	unmap   func() error
}

// Open maps a file and reads its header. Errors name the file and the tensor.
func Open(path string) (*File, error) {
	data, unmap, err := safetensors.MapFile(path)
	if err != nil {
		return nil, err
	}
	f, err := Parse(data)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), unmap())
	}
	f.Path, f.unmap = path, unmap
	return f, nil
}

// Tensors lists the tensors in the file's order.
func (f *File) Tensors() []Tensor { return slices.Clone(f.tensors) }

// Tensor returns the tensor called name, a name of llama.cpp.
func (f *File) Tensor(name string) (Tensor, error) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, fmt.Errorf("%s: no tensor %q among %d", f.Path, name, len(f.tensors))
	}
	return f.tensors[i], nil
}

// Close unmaps the file. Its tensors must not be used any more.
func (f *File) Close() error {
	if f.unmap == nil {
		return nil
	}
	u := f.unmap
	f.unmap = nil
	return u()
}

const (
	magic        = "GGUF"
	alignmentKey = "general.alignment"
	maxDims      = 4
	maxName      = 1 << 16
	maxNesting   = 3
)

// reader walks over a header. After an error everything reads as zero.
type reader struct {
	data []byte
	at   int
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("byte %d: "+format, append([]any{r.at}, args...)...)
	}
}

// take returns the next n bytes.
func (r *reader) take(n uint64) []byte {
	if r.err == nil && n > uint64(len(r.data)-r.at) {
		r.fail("%d bytes are wanted and %d are left: the file is cut short or no GGUF file", n, len(r.data)-r.at)
	}
	if r.err != nil {
		return nil
	}
	b := r.data[r.at : r.at+int(n)]
	r.at += int(n)
	return b
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads a number of things that take at least size bytes each, so that a
// header cannot ask for memory that no file of its length fills.
func (r *reader) count(what string, size int) int {
	n := r.u64()
	if left := len(r.data) - r.at; r.err == nil && n > uint64(left/size) {
		r.fail("%d %s do not fit in the %d bytes that are left", n, what, left)
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *reader) text() string { return string(r.take(r.u64())) }

func (r *reader) name() string {
	n := r.u64()
	if n > maxName {
		r.fail("a name of %d bytes", n)
	}
	return string(r.take(n))
}

// Kinds of metadata values.
const (
	kindU8 = iota
	kindI8
	kindU16
	kindI16
	kindU32
	kindI32
	kindF32
	kindBool
	kindString
	kindArray
	kindU64
	kindI64
	kindF64
)

// leastSize is how many bytes a value of a kind takes at least.
var leastSize = [...]int{1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8}

func (r *reader) value(kind uint32, depth int) any {
	if kind >= uint32(len(leastSize)) {
		r.fail("metadata of unknown kind %d", kind)
		return nil
	}
	if kind == kindString {
		return r.text()
	}
	if kind == kindArray {
		return r.array(depth)
	}
	b := r.take(uint64(leastSize[kind]))
	if b == nil {
		return nil
	}
	var wide [8]byte
	copy(wide[:], b)
	u := binary.LittleEndian.Uint64(wide[:])
	switch kind {
	case kindI8:
		return int64(int8(u))
	case kindI16:
		return int64(int16(u))
	case kindI32:
		return int64(int32(u))
	case kindI64:
		return int64(u)
	case kindF32:
		return float64(math.Float32frombits(uint32(u)))
	case kindF64:
		return math.Float64frombits(u)
	case kindBool:
		return u != 0
	default:
		return u
	}
}

func (r *reader) array(depth int) any {
	kind := r.u32()
	if kind >= uint32(len(leastSize)) {
		r.fail("an array of unknown kind %d", kind)
		return nil
	}
	if depth >= maxNesting {
		r.fail("arrays in arrays, more than %d deep", maxNesting)
		return nil
	}
	n := r.count("array elements", leastSize[kind])
	switch kind {
	case kindString:
		return fill[string](r, n, kind, depth)
	case kindArray:
		return fill[any](r, n, kind, depth)
	case kindBool:
		return fill[bool](r, n, kind, depth)
	case kindF32, kindF64:
		return fill[float64](r, n, kind, depth)
	case kindI8, kindI16, kindI32, kindI64:
		return fill[int64](r, n, kind, depth)
	default:
		return fill[uint64](r, n, kind, depth)
	}
}

func fill[T any](r *reader, n int, kind uint32, depth int) []T {
	out := make([]T, 0, n)
	for range n {
		v, ok := r.value(kind, depth+1).(T)
		if r.err != nil || !ok {
			return nil
		}
		out = append(out, v)
	}
	return out
}

// Parse reads a whole file. Every tensor must lie inside it and have the size of
// its shape. Tensor data is not copied.
func Parse(data []byte) (*File, error) {
	r := &reader{data: data}
	if string(r.take(4)) != magic {
		return nil, errors.New("no GGUF file: it does not begin with GGUF")
	}
	f := &File{Version: r.u32(), Metadata: map[string]any{}, byName: map[string]int{}}
	if r.err == nil && (f.Version < 2 || f.Version > 3) {
		if f.Version&0xffff == 0 {
			return nil, errors.New("a big-endian GGUF file: only little-endian ones are read")
		}
		return nil, fmt.Errorf("GGUF version %d: versions 2 and 3 are read; convert the file again with a newer llama.cpp", f.Version)
	}
	tensors := r.count("tensors", 8+4+8+4+8)
	pairs := r.count("metadata pairs", 8+4+1)
	for range pairs {
		key := r.name()
		v := r.value(r.u32(), 0)
		if r.err != nil {
			return nil, fmt.Errorf("metadata %q: %w", key, r.err)
		}
		if _, twice := f.Metadata[key]; twice {
			return nil, fmt.Errorf("metadata %q occurs twice", key)
		}
		f.Metadata[key] = v
	}
	offsets := make([]uint64, tensors)
	for i := range tensors {
		t := Tensor{Name: r.name()}
		n := r.u32()
		if n > maxDims {
			return nil, fmt.Errorf("tensor %q: %d axes, at most %d are possible", t.Name, n, maxDims)
		}
		for range n {
			d := r.u64()
			if r.err == nil && (d == 0 || d > math.MaxInt32) {
				return nil, fmt.Errorf("tensor %q: an axis of %d", t.Name, d)
			}
			t.Shape = append(t.Shape, int(d))
		}
		slices.Reverse(t.Shape)
		t.Type, offsets[i] = Type(r.u32()), r.u64()
		if r.err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, r.err)
		}
		if _, twice := f.byName[t.Name]; twice {
			return nil, fmt.Errorf("tensor %q occurs twice", t.Name)
		}
		f.byName[t.Name] = i
		f.tensors = append(f.tensors, t)
	}
	if r.err != nil {
		return nil, r.err
	}
	align := uint64(32)
	if v, ok := f.Metadata[alignmentKey]; ok {
		if align, ok = v.(uint64); !ok || align == 0 || align > 1<<20 || align&(align-1) != 0 {
			return nil, fmt.Errorf("metadata %q: %v is not a power of two", alignmentKey, v)
		}
	}
	start := (uint64(r.at) + align - 1) / align * align
	if tensors > 0 && start > uint64(len(data)) {
		return nil, fmt.Errorf("the file ends after its header, at byte %d", len(data))
	}
	for i := range f.tensors {
		t := &f.tensors[i]
		if err := t.place(data, start, offsets[i], align); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	if err := f.apart(offsets); err != nil {
		return nil, err
	}
	return f, nil
}

// apart refuses tensors that share bytes.
func (f *File) apart(offsets []uint64) error {
	order := make([]int, len(offsets))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(offsets[a], offsets[b]), cmp.Compare(len(f.tensors[a].Data), len(f.tensors[b].Data)))
	})
	for k := 1; k < len(order); k++ {
		a, b := order[k-1], order[k]
		if offsets[b] < offsets[a]+uint64(len(f.tensors[a].Data)) {
			return fmt.Errorf("tensor %q: its bytes overlap those of %q", f.tensors[b].Name, f.tensors[a].Name)
		}
	}
	return nil
}

// place finds a tensor's bytes.
func (t *Tensor) place(data []byte, start, offset, align uint64) error {
	b, ok := formats[t.Type]
	if !ok {
		return fmt.Errorf("type %s is not supported", t.Type)
	}
	n := uint64(1)
	for _, d := range t.Shape {
		if n *= uint64(d); n > math.MaxInt64/1024 {
			return fmt.Errorf("shape %v is larger than any file", t.Shape)
		}
	}
	row := 1
	if len(t.Shape) > 0 {
		row = t.Shape[len(t.Shape)-1]
	}
	if row%b.elems != 0 {
		return fmt.Errorf("rows of %d do not divide into blocks of %d, as type %s wants", row, b.elems, t.Type)
	}
	size := n / uint64(b.elems) * uint64(b.bytes)
	room := uint64(len(data)) - start
	if offset%align != 0 || offset > room || size > room-offset {
		return fmt.Errorf("%d bytes at %d are outside the %d bytes of data: the file is cut short", size, offset, room)
	}
	t.Data = data[start+offset : start+offset+size : start+offset+size]
	return nil
}
