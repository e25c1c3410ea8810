// Package merge makes one full model of a base and the adapters that were trained on
// it: a folder as transformers writes it, which needs neither PEFT nor the base.
//
// Weights pass through one tensor at a time, so that a model larger than the memory
// can be merged. What the merge costs in precision is measured, see [lora.Drift].
package merge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// Options say how to merge.
type Options struct {
	// DType is what the weights are stored as: F32, BF16 or F16. "" keeps each tensor's
	// own type; the weights of a GGUF file, which has no such types, become BF16.
	DType safetensors.DType
	// Tokenizer is a folder with the tokenizer's files where they do not lie beside the
	// base; "" means beside it, or in the metadata of a GGUF file.
	Tokenizer string
	// ShardBytes is the largest size of a file of weights; 0 means 5 GB.
	ShardBytes int64
}

// Result tells what was written.
type Result struct {
	Files   []string // names in the folder, sorted
	Tensors int
	Bytes   int64             // of the weights
	DType   safetensors.DType // of the weights; "" where tensors have several
	Drift   []lora.Drift      // one for each projection with an adapter, in the model's order
}

const defaultShard = 5_000_000_000

// Folder merges the adapters of a PEFT folder into a base, and writes the model into
// the folder out, which must not exist or be empty. A chat template in the adapter's
// folder, where training puts it, takes the place of the base's. Adapters of another
// model and numbers that the type cannot hold are errors that name the tensor; after
// an error nothing is left in out.
func Folder(ctx context.Context, base *pretrained.Model, adapter, out string, o Options) (r Result, err error) {
	c, s, _, err := lora.Load(adapter, base.Config)
	if err != nil {
		return r, err
	}
	if left, err := os.ReadDir(out); err == nil && len(left) > 0 {
		return r, fmt.Errorf("%s is not empty: name a new folder", out)
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(out), filepath.Base(out)+".*.tmp")
	if err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	m := &merger{base: base, config: c, pairs: c.Pairs(s), o: o}
	if err := m.plan(); err != nil {
		return r, err
	}
	if err := m.write(ctx, dir); err != nil {
		return r, err
	}
	if err := m.companions(dir, adapter); err != nil {
		return r, err
	}
	r = Result{Tensors: len(m.tensors), DType: m.dtype(), Drift: m.drift}
	for _, t := range m.tensors {
		r.Bytes += int64(t.Bytes())
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return r, err
	}
	for _, f := range files {
		r.Files = append(r.Files, f.Name())
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return r, err
	}
	if err := os.Remove(out); err != nil && !errors.Is(err, os.ErrNotExist) {
		return r, err
	}
	return r, os.Rename(dir, out)
}

type merger struct {
	base   *pretrained.Model
	config lora.Config
	pairs  map[string]lora.Pair
	o      Options

	tensors []safetensors.Tensor // all, in the model's order, without data
	drift   []lora.Drift
	buf     []float32
	bytes   []byte
}

// plan lists the tensors. The head of a tied model is its embedding, and is not
// written a second time.
func (m *merger) plan() error {
	c := m.base.Config
	for _, p := range decoder.Layout(c) {
		for i, name := range p.Sources {
			dtype := m.o.DType
			if dtype == "" {
				dtype = safetensors.BF16
				if _, stored, plain := m.base.Raw(name); plain {
					if dtype = stored; stored == safetensors.F64 {
						dtype = safetensors.F32
					}
				}
			}
			if _, err := safetensors.AppendFloat32(nil, dtype, nil); err != nil {
				return fmt.Errorf("tensor %q: %w", name, err)
			}
			m.tensors = append(m.tensors, safetensors.Tensor{Name: name, DType: dtype, Shape: decoder.SourceDims(c, p, i)})
		}
	}
	return nil
}

// dtype is the type that all tensors have, or "".
func (m *merger) dtype() safetensors.DType {
	d := m.tensors[0].DType
	if slices.ContainsFunc(m.tensors, func(t safetensors.Tensor) bool { return t.DType != d }) {
		return ""
	}
	return d
}

// shards cuts the tensors into files of at most the limit, or of one tensor.
func (m *merger) shards() [][]safetensors.Tensor {
	limit := m.o.ShardBytes
	if limit == 0 {
		limit = defaultShard
	}
	var out [][]safetensors.Tensor
	var size int64
	from := 0
	for i, t := range m.tensors {
		n := int64(t.Bytes())
		if i > from && size+n > limit {
			out = append(out, m.tensors[from:i])
			from, size = i, 0
		}
		size += n
	}
	return append(out, m.tensors[from:])
}

// write writes the weights, in one file or in shards with their index.
func (m *merger) write(ctx context.Context, dir string) error {
	shards := m.shards()
	where := map[string]string{}
	var total int64
	for i, ts := range shards {
		name := safetensors.SingleFile
		if len(shards) > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		}
		for _, t := range ts {
			where[t.Name] = name
			total += int64(t.Bytes())
		}
		err := safetensors.WriteFileStream(filepath.Join(dir, name), ts, map[string]string{"format": "pt"},
			func(t safetensors.Tensor, w io.Writer) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return m.tensor(t, w)
			})
		if err != nil {
			return err
		}
	}
	if len(shards) == 1 {
		return nil
	}
	return writeJSON(filepath.Join(dir, safetensors.IndexFile), map[string]any{
		"metadata": map[string]any{"total_size": total}, "weight_map": where,
	})
}

// piece is how many numbers are converted at a time.
const piece = 1 << 18

// tensor writes one tensor, with its adapter added.
func (m *merger) tensor(t safetensors.Tensor, w io.Writer) error {
	defer m.base.Release(t.Name)
	p, adapted := m.pairs[t.Name]
	n, width := t.Len(), t.Len()
	if len(t.Shape) > 1 {
		width = n / t.Shape[0]
	}
	step := max(1, piece/width) * width
	if adapted {
		step = n
	}
	if cap(m.buf) < step {
		m.buf = make([]float32, step)
	}
	for at := 0; at < n; at += step {
		v := m.buf[:min(step, n-at)]
		if err := m.base.Rows(t.Name, v, at); err != nil {
			return err
		}
		if adapted {
			d, err := m.config.AddTo(v, p, safetensors.Rounder(t.DType))
			if err != nil {
				return err
			}
			m.drift = append(m.drift, d)
		}
		if err := m.store(t, v, w); err != nil {
			return err
		}
	}
	return nil
}

// store writes numbers as the tensor's type.
func (m *merger) store(t safetensors.Tensor, v []float32, w io.Writer) error {
	for from := 0; from < len(v); from += piece {
		part := v[from:min(from+piece, len(v))]
		for _, x := range part {
			if x-x != 0 || t.DType == safetensors.F16 && math.Abs(float64(x)) >= maxHalf {
				return fmt.Errorf("tensor %q: a weight is %v after the merge, which %s cannot hold: store it as another type", t.Name, x, t.DType)
			}
		}
		var err error
		if m.bytes, err = safetensors.AppendFloat32(m.bytes[:0], t.DType, part); err != nil {
			return err
		}
		if _, err := w.Write(m.bytes); err != nil {
			return err
		}
	}
	return nil
}

// maxHalf is where rounding to half precision gives an infinity.
const maxHalf = 65520

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
