package nf4

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Base is the parameters of a frozen decoder whose layers' projections are
// quantised. Embedding, head, norms and biases are not, as with transformers'
// load_in_4bit.
type Base struct {
	Config decoder.Config
	params []param // in the order of decoder.Layout
}

// param is either quantised or plain.
type param struct {
	packed *Packed
	plain  weights.Tensor
}

// Load quantises a checkpoint whose tensors get returns by their Hugging Face names
// in row-major float32, one after the other: only one projection is in memory
// unquantised at a time.
func Load(c decoder.Config, get func(name string) (data []float32, dims []int, err error)) (*Base, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	b := &Base{Config: c}
	for _, p := range decoder.Layout(c) {
		if !p.IsProjection() {
			plain, err := decoder.PackOne(c, p, get)
			if err != nil {
				return nil, err
			}
			b.params = append(b.params, param{plain: plain})
			continue
		}
		packed := &Packed{Dims: p.Dims}
		for k, name := range p.Sources {
			data, err := decoder.Source(c, p, k, get)
			if err != nil {
				return nil, err
			}
			t, err := Quantize(name, decoder.SourceDims(c, p, k), data)
			if err != nil {
				return nil, err
			}
			packed.Parts = append(packed.Parts, t)
		}
		b.params = append(b.params, param{packed: packed})
	}
	return b, nil
}

// Forget lets go of the parameters on the host, once [Base.Args] has given them to a
// device. What [Base.Bind] needs, their shapes, stays.
func (b *Base) Forget() {
	for i := range b.params {
		p := &b.params[i]
		p.plain.Data = nil
		if p.packed == nil {
			continue
		}
		for _, t := range p.packed.Parts {
			t.forget()
		}
	}
}

// Args appends the parameters as arguments of a graph call, the plain ones as dtype
// (float32 or bfloat16). [Base.Bind] takes their nodes.
func (b *Base) Args(args []any, dtype dtypes.DType) []any {
	for _, p := range b.params {
		switch {
		case p.packed != nil:
			args = p.packed.args(args)
		case dtype == dtypes.BFloat16:
			half := make([]bfloat16.BFloat16, len(p.plain.Data))
			for i, v := range p.plain.Data {
				half[i] = bfloat16.FromFloat32(v)
			}
			args = append(args, tensors.FromFlatDataAndDimensions(half, p.plain.Dims...))
		default:
			args = append(args, tensors.FromFlatDataAndDimensions(p.plain.Data, p.plain.Dims...))
		}
	}
	return args
}

// Bind gives m the parameters whose nodes in starts with, as [Base.Args] lists
// them, and returns the rest of in. The weights are computed as dtype in each layer
// that needs them; with m.Recompute they live for one layer at a time, in the
// backward pass too.
func (b *Base) Bind(m *decoder.Model, in []*Node, dtype dtypes.DType) (rest []*Node) {
	m.Config = b.Config
	m.Params = make([]*Node, len(b.params))
	first := make([]int, len(b.params)) // of a packed parameter's inputs
	nodes, at := in, 0
	for i, p := range b.params {
		if p.packed != nil {
			first[i] = at
			at += inputs
			continue
		}
		m.Params[i] = nodes[at]
		if m.Params[i].DType() != dtype {
			m.Params[i] = ConvertDType(m.Params[i], dtype)
		}
		at++
	}
	m.Fetch = func(i int, after *Node) *Node {
		k := first[i]
		return b.params[i].packed.weights(nodes[k], nodes[k+1], nodes[k+2], after, dtype)
	}
	return in[at:]
}

// Dequantized is the whole base in float32, in the order of [decoder.Layout], for the
// tests of this package and of those that compute with a base.
func (b *Base) Dequantized() weights.Set {
	var out weights.Set
	for i, p := range decoder.Layout(b.Config) {
		if b.params[i].packed == nil {
			out = append(out, b.params[i].plain)
			continue
		}
		t := weights.Tensor{Name: p.Name, Dims: p.Dims}
		for _, part := range b.params[i].packed.Parts {
			t.Data = append(t.Data, part.Values(nil)...)
		}
		out = append(out, t)
	}
	return out
}
