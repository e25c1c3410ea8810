// Package safetensors reads and writes tensors in the safetensors format: eight
// bytes of header length, little endian; a JSON object from tensor name to dtype,
// shape and byte range; then the bytes. See https://huggingface.co/docs/safetensors.
//
// Files are mapped into memory, so that opening a checkpoint costs its header and
// reading a tensor costs its pages, once.
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// DType is an element type by its name in the format.
type DType string

// The element types that are read or written here. Others are listed but not
// converted.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I64  DType = "I64"
	I32  DType = "I32"
	I16  DType = "I16"
	I8   DType = "I8"
	U8   DType = "U8"
	Bool DType = "BOOL"
)

var widths = map[DType]int{F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, Bool: 1}

// Tensor is one tensor, row-major, little endian. Data of a tensor that was read
// lies in the file's mapping: it must not be changed, nor used after Close.
type Tensor struct {
	Name  string
	DType DType
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

// Bytes is the size of the tensor's data by its dtype and shape.
func (t Tensor) Bytes() int { return t.Len() * widths[t.DType] }

type entry struct {
	DType   DType `json:"dtype"`
	Shape   []int `json:"shape"`
	Offsets []int `json:"data_offsets"`
}

const (
	metadataKey = "__metadata__"
	maxHeader   = 100 << 20 // the format's own limit
)

// check says what is wrong with an entry of a file with size data bytes.
func (e entry) check(size int) error {
	n, ok := widths[e.DType]
	if !ok {
		return fmt.Errorf("dtype %q is unknown", e.DType)
	}
	if len(e.Offsets) != 2 {
		return fmt.Errorf("data_offsets %v: must be where the bytes begin and end", e.Offsets)
	}
	for _, d := range e.Shape {
		if d < 0 || d > 0 && n > size/d {
			return fmt.Errorf("shape %v is larger than the file", e.Shape)
		}
		n *= d
	}
	from, to := e.Offsets[0], e.Offsets[1]
	if from < 0 || to < from || to > size {
		return fmt.Errorf("byte range %v is outside the %d data bytes", e.Offsets, size)
	}
	if to-from != n {
		return fmt.Errorf("byte range %v holds %d bytes, shape %v of %s needs %d", e.Offsets, to-from, e.Shape, e.DType, n)
	}
	return nil
}

// header is the file's JSON object. A name that occurs twice is an error: which of the
// two a reader takes differs.
type header map[string]json.RawMessage

// UnmarshalJSON implements [json.Unmarshaler].
func (h *header) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errors.New("must be an object of tensors"), err)
	}
	*h = header{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string) // the grammar allows nothing else
		if _, twice := (*h)[name]; twice {
			return fmt.Errorf("tensor %q occurs twice", name)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return err
		}
		(*h)[name] = v
	}
	return nil
}

// Parse reads the tensors of a whole file, in the order of their bytes, and its
// metadata. Every byte range must lie inside the file, have the size of its shape
// and overlap no other. Errors name the tensor. Nothing is copied.
func Parse(data []byte) ([]Tensor, map[string]string, error) {
	if len(data) < 8 {
		return nil, nil, fmt.Errorf("%d bytes: too short for a header", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader || n > uint64(len(data)-8) {
		return nil, nil, fmt.Errorf("header of %d bytes in a file of %d: the file is cut short or no safetensors file", n, len(data))
	}
	var raw header
	if err := json.Unmarshal(data[8:8+n], &raw); err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	body := data[8+n:]
	var meta map[string]string
	if m, ok := raw[metadataKey]; ok {
		if err := json.Unmarshal(m, &meta); err != nil {
			return nil, nil, fmt.Errorf("header: %s: %w", metadataKey, err)
		}
		delete(raw, metadataKey)
	}
	type placed struct {
		t  Tensor
		at [2]int
	}
	all := make([]placed, 0, len(raw))
	for name, r := range raw {
		var e entry
		if err := json.Unmarshal(r, &e); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if err := e.check(len(body)); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		from, to := e.Offsets[0], e.Offsets[1]
		all = append(all, placed{Tensor{name, e.DType, e.Shape, body[from:to:to]}, [2]int{from, to}})
	}
	slices.SortFunc(all, func(a, b placed) int {
		if a.at != b.at {
			return slices.Compare(a.at[:], b.at[:])
		}
		return slices.Compare([]byte(a.t.Name), []byte(b.t.Name))
	})
	out := make([]Tensor, len(all))
	for i, p := range all {
		if i > 0 && p.at[0] < all[i-1].at[1] {
			return nil, nil, fmt.Errorf("tensor %q: its bytes overlap those of %q", p.t.Name, all[i-1].t.Name)
		}
		out[i] = p.t
	}
	return out, meta, nil
}
