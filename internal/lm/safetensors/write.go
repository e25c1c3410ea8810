package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/distillflow/distillflow/internal/base/atomicfile"
)

// Write writes tensors in the order given. The same input gives the same bytes.
func Write(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	for _, t := range tensors {
		if want := t.Len() * widths[t.DType]; len(t.Data) != want {
			return fmt.Errorf("tensor %q: %d bytes, shape %v of %s needs %d", t.Name, len(t.Data), t.Shape, t.DType, want)
		}
	}
	return WriteStream(w, tensors, metadata, func(t Tensor, w io.Writer) error {
		_, err := w.Write(t.Data)
		return err
	})
}

// WriteStream is [Write] for tensors that do not lie in memory together: body is
// called for one after the other, in the order given, and writes its bytes. Their
// Data is not looked at. A body of another length than the tensor's is an error.
func WriteStream(w io.Writer, tensors []Tensor, metadata map[string]string, body func(t Tensor, w io.Writer) error) error {
	var head bytes.Buffer
	head.WriteByte('{')
	at := 0
	seen := map[string]bool{metadataKey: true}
	for _, t := range tensors {
		if seen[t.Name] {
			return fmt.Errorf("tensor %q: name used twice", t.Name)
		}
		seen[t.Name] = true
		if widths[t.DType] == 0 {
			return fmt.Errorf("tensor %q: dtype %q is unknown", t.Name, t.DType)
		}
		name, err := json.Marshal(t.Name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		e := entry{t.DType, t.Shape, []int{at, at + t.Bytes()}}
		if e.Shape == nil {
			e.Shape = []int{}
		}
		item, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if head.Len() > 1 {
			head.WriteByte(',')
		}
		head.Write(name)
		head.WriteByte(':')
		head.Write(item)
		at += t.Bytes()
	}
	if len(metadata) > 0 {
		meta, err := json.Marshal(metadata)
		if err != nil {
			return err
		}
		if head.Len() > 1 {
			head.WriteByte(',')
		}
		fmt.Fprintf(&head, "%q:%s", metadataKey, meta)
	}
	head.WriteByte('}')
	for head.Len()%8 != 0 {
		head.WriteByte(' ') // so that the data is aligned
	}
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(head.Len()))
	if _, err := w.Write(append(size[:], head.Bytes()...)); err != nil {
		return err
	}
	for _, t := range tensors {
		c := counter{w: w}
		if err := body(t, &c); err != nil {
			return err
		}
		if c.n != t.Bytes() {
			return fmt.Errorf("tensor %q: %d bytes written, shape %v of %s needs %d", t.Name, c.n, t.Shape, t.DType, t.Bytes())
		}
	}
	return nil
}

// counter counts what goes through.
type counter struct {
	w io.Writer
	n int
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += n
	return n, err
}

// WriteFile writes a file as a whole: a reader never sees half of it. That what a stage
// writes survives a power failure is the store's care.
func WriteFile(path string, tensors []Tensor, metadata map[string]string) error {
	return writeWhole(path, func(w io.Writer) error { return Write(w, tensors, metadata) })
}

// WriteFileStream is [WriteStream] into a file, as [WriteFile] writes it.
func WriteFileStream(path string, tensors []Tensor, metadata map[string]string, body func(t Tensor, w io.Writer) error) error {
	return writeWhole(path, func(w io.Writer) error { return WriteStream(w, tensors, metadata, body) })
}

func writeWhole(path string, write func(io.Writer) error) error {
	if err := atomicfile.Write(path, 0o644, atomicfile.Relaxed, write); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
