package pretrained

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Raw gives a tensor's bytes by its Hugging Face name, where it is stored in a plain
// type; ok is false for the quantised blocks of a GGUF file. The bytes lie in the
// file's mapping.
func (m *Model) Raw(name string) (data []byte, dtype safetensors.DType, ok bool) {
	return m.src.raw(name)
}

// Rows converts numbers of a tensor from index first on, as many as out takes: whole
// rows of the last axis, or a vector as a whole. A number that is NaN or infinite is
// an error that names file and tensor.
func (m *Model) Rows(name string, out []float32, first int) error {
	return m.floats(name, out, first)
}

// Float32 reads a whole tensor, row-major, with its shape.
func (m *Model) Float32(name string) (data []float32, dims []int, err error) {
	if dims, err = m.src.shape(name); err != nil {
		return nil, nil, err
	}
	data = make([]float32, weights.Size(dims))
	err = rows(dims, func(at, k int) error { return m.floats(name, data[at:at+k], at) })
	m.src.release(name)
	return data, dims, err
}

// Release says that a tensor is not needed for now, so that its pages of the file do
// not count as the process's memory.
func (m *Model) Release(name string) { m.src.release(name) }

// Digest is a SHA-256 over the names and contents of files, in hex. It tells a model
// on this disk from another.
func Digest(paths []string) (string, error) {
	all := sha256.New()
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		fmt.Fprintf(all, "%q %x\n", filepath.Base(path), h.Sum(nil))
	}
	return fmt.Sprintf("%x", all.Sum(nil)), nil
}
