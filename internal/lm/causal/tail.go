package causal

import (
	"slices"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/objective"
)

// tail is the part of a loss behind the decoder, for an engine that has no graph of the
// whole: small graphs on the pure-Go backend, whose leaves are what the engine computed.
type tail struct {
	backend compute.Backend
	head    *Head
	made    graphs
}

// inSeen is the leaf of the hidden states [K, D] at the batch's positions: what the head
// looks at.
const inSeen = "seen"

// gradients gives the values of terms and the gradients of their sum, each times its
// weight, with respect to each of leaves and then, where the head looks, to its
// parameters. Leaves are float32; terms read them and in by name.
func (t *tail) gradients(terms []objective.Term, weights []float32, leaves, in []objective.Input) (values []float64, grads [][]float32, err error) {
	in = append(slices.Concat(leaves, in), objective.Input{Name: inWeights, Value: weights})
	out, err := t.run(terms, in, func(nodes objective.Nodes, args, head []*Node) []*Node {
		values, total := objective.Sum(terms, nodes, nodes.Get(inWeights))
		return append(values, Gradient(total, slices.Concat(args[:len(leaves)], head)...)...)
	})
	if err != nil {
		return nil, nil, err
	}
	defer finalize(out)
	return results(out, len(terms))
}

// states is what the head makes of hidden states [K, D], flat.
func (t *tail) states(seen objective.Input) ([]float32, error) {
	out, err := t.run(nil, []objective.Input{seen}, func(nodes objective.Nodes, _, _ []*Node) []*Node {
		return []*Node{nodes.Get(InZ)}
	})
	if err != nil {
		return nil, err
	}
	defer finalize(out)
	return tensors.CopyFlatData[float32](out[0])
}

// run runs the graph that build makes of inputs by name, which are args in their order,
// and of the head's parameters.
func (t *tail) run(terms []objective.Term, in []objective.Input, build func(nodes objective.Nodes, args, head []*Node) []*Node) ([]*tensors.Tensor, error) {
	var names []string
	var args []any
	for _, x := range in {
		names, args = append(names, x.Name), append(args, x.Arg())
	}
	looks := slices.Contains(names, inSeen)
	if looks {
		args = t.head.Params.Args(args)
	}
	g, err := t.made.get(t.backend, names, terms, func(all []*Node) []*Node {
		args, head := all[:len(in)], all[len(in):]
		nodes := objective.NewNodes(names, args)
		if looks {
			nodes.Demand(InZ, func() *Node { return t.head.States(args[slices.Index(names, inSeen)], head) })
		}
		return build(nodes, args, head)
	})
	if err != nil {
		return nil, err
	}
	return call(g, args, 0)
}
