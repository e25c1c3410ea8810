package decoder

import (
	"fmt"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Pack builds the parameters of c, in the order of [Layout], out of the tensors of
// a Hugging Face checkpoint, which get returns by name in row-major float32.
// Errors name the tensor.
func Pack(c Config, get func(name string) (data []float32, dims []int, err error)) (weights.Set, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var set weights.Set
	for _, p := range Layout(c) {
		t, err := PackOne(c, p, get)
		if err != nil {
			return nil, err
		}
		set = append(set, t)
	}
	return set, nil
}

// PackOne is the parameter p of [Layout], built as [Pack] builds it.
func PackOne(c Config, p Param, get func(name string) (data []float32, dims []int, err error)) (weights.Tensor, error) {
	t := weights.Tensor{Name: p.Name, Dims: p.Dims, Data: make([]float32, 0, weights.Size(p.Dims))}
	for k := range p.Sources {
		data, err := Source(c, p, k, get)
		if err != nil {
			return t, err
		}
		t.Data = append(t.Data, data...)
	}
	return t, nil
}

// Source gets the k-th source of p and checks its shape, which is that of
// [SourceDims].
func Source(c Config, p Param, k int, get func(name string) (data []float32, dims []int, err error)) ([]float32, error) {
	name := p.Sources[k]
	data, dims, err := get(name)
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	if want := SourceDims(c, p, k); fmt.Sprint(dims) != fmt.Sprint(want) || len(data) != weights.Size(want) {
		return nil, fmt.Errorf("tensor %q has shape %v, the configuration wants %v", name, dims, want)
	}
	return data, nil
}

// Unpack is the inverse of [Pack]: the tensors as a Hugging Face checkpoint names
// and shapes them, sharing the memory of s.
func Unpack(c Config, s weights.Set) (weights.Set, error) {
	layout := Layout(c)
	if len(s) != len(layout) {
		return nil, fmt.Errorf("%d tensors, the configuration has %d", len(s), len(layout))
	}
	var out weights.Set
	for k, p := range layout {
		at := 0
		for i, name := range p.Sources {
			dims := SourceDims(c, p, i)
			n := weights.Size(dims)
			if at+n > len(s[k].Data) {
				return nil, fmt.Errorf("tensor %q is too short", s[k].Name)
			}
			out = append(out, weights.Tensor{Name: name, Dims: dims, Data: s[k].Data[at : at+n : at+n]})
			at += n
		}
	}
	return out, nil
}

// SourceDims is the shape of the i-th source of p.
func SourceDims(c Config, p Param, i int) []int {
	if len(p.Sources) == 1 {
		return p.Dims
	}
	rows := c.FFN // gate and up
	if len(p.Sources) == len(qkvTargets) {
		rows = c.KVHeads * c.HeadDim
		if i == 0 {
			rows = c.Heads * c.HeadDim
		}
	}
	return append([]int{rows}, p.Dims[1:]...)
}

// IsProjection reports whether p is the weight of a projection inside a layer, of
// those that [Targets] names: the tensors that quantised checkpoints quantise.
func (p Param) IsProjection() bool {
	return len(p.Dims) == 2 && strings.HasPrefix(p.Name, "model.layers.")
}
