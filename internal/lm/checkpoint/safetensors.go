// Package checkpoint reads and writes model folders: model.safetensors,
// config.json and tokenizer.json.
package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// orderKey of the metadata records the order of the tensors, which is part of a
// [weights.Set] and which a JSON object does not have.
const orderKey = "order"

// pack turns a set into float32 tensors and the metadata that keeps its order.
func pack(s weights.Set) ([]safetensors.Tensor, map[string]string, error) {
	tensors := make([]safetensors.Tensor, len(s))
	names := make([]string, len(s))
	for i, t := range s {
		var err error
		if tensors[i], err = safetensors.FromFloat32(t.Name, safetensors.F32, t.Dims, t.Data); err != nil {
			return nil, nil, err
		}
		names[i] = t.Name
	}
	order, err := json.Marshal(names)
	return tensors, map[string]string{"format": "pt", orderKey: string(order)}, err
}

// Encode writes s in the safetensors format. Tensors keep their order. The same set
// gives the same bytes.
func Encode(w io.Writer, s weights.Set) error {
	tensors, meta, err := pack(s)
	if err != nil {
		return err
	}
	return safetensors.Write(w, tensors, meta)
}

// Decode reads float32 tensors in the safetensors format, in the order in which
// [Encode] wrote them or else in that of their bytes. Errors name the tensor.
func Decode(data []byte) (weights.Set, error) {
	tensors, meta, err := safetensors.Parse(data)
	if err != nil {
		return nil, err
	}
	if meta[orderKey] != "" {
		if tensors, err = reorder(tensors, meta[orderKey]); err != nil {
			return nil, err
		}
	}
	out := make(weights.Set, len(tensors))
	for i, t := range tensors {
		if t.DType != safetensors.F32 {
			return nil, fmt.Errorf("tensor %q: dtype %s: a checkpoint in training holds %s", t.Name, t.DType, safetensors.F32)
		}
		out[i] = weights.Tensor{Name: t.Name, Dims: t.Shape}
		if out[i].Data, err = t.Float32(nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func reorder(tensors []safetensors.Tensor, recorded string) ([]safetensors.Tensor, error) {
	var order []string
	if err := json.Unmarshal([]byte(recorded), &order); err != nil {
		return nil, fmt.Errorf("header: metadata %s: %w", orderKey, err)
	}
	byName := make(map[string]safetensors.Tensor, len(tensors))
	for _, t := range tensors {
		byName[t.Name] = t
	}
	sorted := slices.Clone(order)
	slices.Sort(sorted)
	if len(order) != len(tensors) || len(slices.Compact(sorted)) != len(order) {
		return nil, errors.New("header: the recorded order does not list the tensors")
	}
	out := make([]safetensors.Tensor, len(order))
	for i, name := range order {
		t, ok := byName[name]
		if !ok {
			return nil, errors.New("header: the recorded order does not list the tensors")
		}
		out[i] = t
	}
	return out, nil
}

// ReadFile decodes a file; errors name it.
func ReadFile(path string) (weights.Set, error) {
	data, err := paths.ReadFile(path, 1<<30)
	if err != nil {
		return nil, err
	}
	s, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// WriteFile writes a file as a whole, by rename.
func WriteFile(path string, s weights.Set) error {
	tensors, meta, err := pack(s)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return safetensors.WriteFile(path, tensors, meta)
}
