// Package checkpoint reads and writes model folders: model.safetensors,
// config.json and tokenizer.json.
package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/weights"
)

// The safetensors format: eight bytes of header length, little endian; a JSON
// object from tensor name to dtype, shape and byte range; then the bytes. See
// https://huggingface.co/docs/safetensors.

type entry struct {
	DType   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

const (
	metadataKey = "__metadata__"
	maxHeader   = 100 << 20 // the format's own limit
	dtypeF32    = "F32"
)

// Encode writes s in the safetensors format. Tensors keep their order, which the
// metadata records, since a JSON object has none. The same set gives the same bytes.
func Encode(w io.Writer, s weights.Set) error {
	order := make([]string, len(s))
	var head bytes.Buffer
	head.WriteByte('{')
	at := 0
	seen := map[string]bool{metadataKey: true}
	for i, t := range s {
		if len(t.Data) != weights.Size(t.Dims) {
			return fmt.Errorf("tensor %q: %d values for shape %v", t.Name, len(t.Data), t.Dims)
		}
		if seen[t.Name] {
			return fmt.Errorf("tensor %q: name used twice", t.Name)
		}
		seen[t.Name] = true
		order[i] = t.Name
		name, err := json.Marshal(t.Name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		dims := t.Dims
		if dims == nil {
			dims = []int{}
		}
		e, err := json.Marshal(entry{dtypeF32, dims, [2]int{at, at + 4*len(t.Data)}})
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if i > 0 {
			head.WriteByte(',')
		}
		head.Write(name)
		head.WriteByte(':')
		head.Write(e)
		at += 4 * len(t.Data)
	}
	names, err := json.Marshal(order)
	if err != nil {
		return err
	}
	meta, err := json.Marshal(map[string]string{"format": "pt", "order": string(names)})
	if err != nil {
		return err
	}
	if len(s) > 0 {
		head.WriteByte(',')
	}
	fmt.Fprintf(&head, "%q:%s}", metadataKey, meta)
	for head.Len()%8 != 0 {
		head.WriteByte(' ') // so that the data is aligned
	}
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(head.Len()))
	if _, err := w.Write(size[:]); err != nil {
		return err
	}
	if _, err := w.Write(head.Bytes()); err != nil {
		return err
	}
	for _, t := range s {
		buf := make([]byte, 4*len(t.Data))
		for i, v := range t.Data {
			binary.LittleEndian.PutUint32(buf[4*i:], math.Float32bits(v))
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// Decode reads float32 tensors in the safetensors format. It checks that every
// byte range lies inside the file, has the size of its shape, and that no two
// overlap. Errors name the tensor.
func Decode(data []byte) (weights.Set, error) {
	if len(data) < 8 {
		return nil, fmt.Errorf("%d bytes: too short for a header", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader || n > uint64(len(data)-8) {
		return nil, fmt.Errorf("header of %d bytes in a file of %d", n, len(data))
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data[8:8+n], &raw); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	body := data[8+n:]
	var order []string
	if m, ok := raw[metadataKey]; ok {
		var meta map[string]string
		if err := json.Unmarshal(m, &meta); err != nil {
			return nil, fmt.Errorf("header: %s: %w", metadataKey, err)
		}
		if meta["order"] != "" {
			if err := json.Unmarshal([]byte(meta["order"]), &order); err != nil {
				return nil, fmt.Errorf("header: %s.order: %w", metadataKey, err)
			}
		}
		delete(raw, metadataKey)
	}
	entries := make(map[string]entry, len(raw))
	var names []string
	for name, r := range raw {
		var e entry
		if err := json.Unmarshal(r, &e); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if err := e.check(len(body)); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		entries[name] = e
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return entries[a].Offsets[0] - entries[b].Offsets[0] })
	for i := 1; i < len(names); i++ {
		if entries[names[i]].Offsets[0] < entries[names[i-1]].Offsets[1] {
			return nil, fmt.Errorf("tensor %q: its bytes overlap those of %q", names[i], names[i-1])
		}
	}
	if order != nil {
		sorted := slices.Sorted(slices.Values(order))
		if !slices.Equal(sorted, slices.Sorted(slices.Values(names))) {
			return nil, errors.New("header: the recorded order does not list the tensors")
		}
		names = order
	}
	out := make(weights.Set, len(names))
	for i, name := range names {
		e := entries[name]
		t := weights.Tensor{Name: name, Dims: e.Shape, Data: make([]float32, weights.Size(e.Shape))}
		for j := range t.Data {
			t.Data[j] = math.Float32frombits(binary.LittleEndian.Uint32(body[e.Offsets[0]+4*j:]))
		}
		out[i] = t
	}
	return out, nil
}

func (e entry) check(size int) error {
	if e.DType != dtypeF32 {
		return fmt.Errorf("dtype %s: only %s is read here", e.DType, dtypeF32)
	}
	n := 4
	for _, d := range e.Shape {
		if d < 0 || (d > 0 && n > size/d) {
			return fmt.Errorf("shape %v is larger than the file", e.Shape)
		}
		n *= d
	}
	from, to := e.Offsets[0], e.Offsets[1]
	if from < 0 || to < from || to > size {
		return fmt.Errorf("byte range %v lies outside the %d data bytes", e.Offsets, size)
	}
	if to-from != n {
		return fmt.Errorf("byte range %v holds %d bytes, shape %v needs %d", e.Offsets, to-from, e.Shape, n)
	}
	return nil
}

// ReadFile decodes a file; errors name it.
func ReadFile(path string) (weights.Set, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// WriteFile writes a file as a whole: first beside it, then by rename, so that a
// reader never sees half of it.
func WriteFile(path string, s weights.Set) error {
	var b bytes.Buffer
	if err := Encode(&b, s); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return writeWhole(path, b.Bytes())
}

// writeWhole replaces path by data in one rename.
func writeWhole(path string, data []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
