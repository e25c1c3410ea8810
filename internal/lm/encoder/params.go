package encoder

import (
	"fmt"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Parameters of the embedding, in order; those of the layers follow.
const (
	wordEmbed   = iota // [V, D]
	posEmbed           // [P, D]
	typeEmbed          // [T, D]
	embedNorm          // [D], then its bias [D]
	embedParams = embedNorm + 2
)

// Parameters of a layer, in order. Matrices are [out, in]; each is followed by its
// bias [out].
const (
	qkv      = 2 * iota // [3D, D]
	attnOut             // [D, D]
	attnNorm            // [D]
	ffnUp               // [F, D]
	ffnDown             // [D, F]
	ffnNorm             // [D]
	layerParams
)

// param is one parameter: the tensors of a checkpoint that make it up, stacked.
type param struct {
	sources []string
	dims    []int // of each source
}

// layout lists the parameters in the order of the graph's inputs.
func (c Config) layout() []param {
	d, f := c.Dim, c.FFN
	out := []param{
		{[]string{"embeddings.word_embeddings.weight"}, []int{c.Vocab, d}},
		{[]string{"embeddings.position_embeddings.weight"}, []int{c.MaxPos, d}},
		{[]string{"embeddings.token_type_embeddings.weight"}, []int{c.Types, d}},
	}
	add := func(dims []int, modules ...string) {
		w, b := param{dims: dims}, param{dims: dims[:1]}
		for _, m := range modules {
			w.sources = append(w.sources, m+".weight")
			b.sources = append(b.sources, m+".bias")
		}
		out = append(out, w, b)
	}
	add([]int{d}, "embeddings.LayerNorm")
	for l := range c.Layers {
		at := fmt.Sprintf("encoder.layer.%d.", l)
		add([]int{d, d}, at+"attention.self.query", at+"attention.self.key", at+"attention.self.value")
		add([]int{d, d}, at+"attention.output.dense")
		add([]int{d}, at+"attention.output.LayerNorm")
		add([]int{f, d}, at+"intermediate.dense")
		add([]int{d, f}, at+"output.dense")
		add([]int{d}, at+"output.LayerNorm")
	}
	return out
}

// Pack reads the parameters of c out of a checkpoint, as float32. Tensor names may
// carry the prefix "bert." or "roberta.", as in checkpoints with a head, and
// normalisations may be called gamma and beta, as in those converted from
// TensorFlow. Tensors beyond the encoder (pooler, heads) are not read. Errors name
// the tensor.
func Pack(c Config, ck *safetensors.Checkpoint) (weights.Set, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	has := map[string]bool{}
	for _, n := range ck.Names() {
		has[n] = true
	}
	find := func(name string) string {
		old := name
		if strings.Contains(name, "LayerNorm.") {
			old = strings.NewReplacer("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta").Replace(name)
		}
		for _, n := range []string{name, string(c.Arch) + "." + name, old, string(c.Arch) + "." + old} {
			if has[n] {
				return n
			}
		}
		return name
	}
	var set weights.Set
	for _, p := range c.layout() {
		dims := append([]int{p.dims[0] * len(p.sources)}, p.dims[1:]...)
		t := weights.Tensor{Name: p.sources[0], Dims: dims}
		for i, name := range p.sources {
			x, err := ck.Tensor(find(name))
			if err != nil {
				return nil, err
			}
			if fmt.Sprint(x.Shape) != fmt.Sprint(p.dims) {
				return nil, fmt.Errorf("%s: tensor %q has shape %v, the configuration wants %v", ck.Dir, x.Name, x.Shape, p.dims)
			}
			if i == 0 { // the file has as many values as the configuration says
				t.Data = make([]float32, 0, weights.Size(dims))
			}
			if t.Data, err = x.Float32(t.Data); err != nil {
				return nil, fmt.Errorf("%s: %w", ck.Dir, err)
			}
		}
		set = append(set, t)
	}
	if bad := set.FirstNonFinite(); bad != "" {
		return nil, fmt.Errorf("%s: tensor %q holds a NaN or an infinity", ck.Dir, bad)
	}
	return set, nil
}
