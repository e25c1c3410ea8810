// Package objective is a loss as a list of terms, and what terms read by name.
//
// A term names what it reads, and reads nothing else: a trainer knows from the names
// what to compute for it, whether it builds graphs or not.
package objective

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"
)

// Term is one term of a loss.
type Term struct {
	Name  string   // of its metric
	Reads []string // names of the values that Loss gets
	// Loss builds the term, a scalar that is not weighted yet. nil is the scalar that it
	// reads, which takes no graph.
	Loss func(in Nodes) *Node
	// Host is Loss without a graph: its value. To grad, the gradient by the first of Reads, it
	// adds that of the value times weight. nil for a term that wants a graph everywhere.
	Host func(read func(name string) []float32, weight float32, grad []float32) (value float64)
}

func (t Term) build(in Nodes) *Node {
	if t.Loss == nil {
		return in.Get(t.Reads[0])
	}
	return t.Loss(in)
}

// Input is a named value that comes from outside of a graph: plain numbers, which any
// trainer can read.
type Input struct {
	Name  string
	Value any   // []float32, []int32 or one number
	Dims  []int // of a slice; none means its length
}

// Arg is the input as the argument of a graph call.
func (in Input) Arg() any {
	switch v := in.Value.(type) {
	case []float32:
		return tensor(v, in.Dims)
	case []int32:
		return tensor(v, in.Dims)
	}
	return in.Value
}

func tensor[T int32 | float32](v []T, dims []int) *tensors.Tensor {
	if len(dims) == 0 {
		dims = []int{len(v)}
	}
	return tensors.FromFlatDataAndDimensions(v, dims...)
}

// Nodes are the values of a graph by name. Those that are made on demand, which may be
// large, exist only where a term reads them.
type Nodes struct {
	made   map[string]*Node
	shared map[string]*Node // by Once
	demand map[string]func() *Node
	term   *Term // nil: reads all
}

// NewNodes names the nodes of a call's inputs, in their order.
func NewNodes(names []string, in []*Node) Nodes {
	n := Nodes{made: map[string]*Node{}, shared: map[string]*Node{}, demand: map[string]func() *Node{}}
	for i, name := range names {
		n.made[name] = in[i]
	}
	return n
}

// Set names a node.
func (n Nodes) Set(name string, x *Node) { n.made[name] = x }

// Demand names a node that is made when it is read first.
func (n Nodes) Demand(name string, make func() *Node) { n.demand[name] = make }

// Once is a node that several terms of a graph share: the first that asks makes it.
func (n Nodes) Once(name string, make func() *Node) *Node {
	if x := n.shared[name]; x != nil {
		return x
	}
	x := make()
	n.shared[name] = x
	return x
}

// Has reports whether there is a node of that name.
func (n Nodes) Has(name string) bool { return n.made[name] != nil || n.demand[name] != nil }

// Get is the node of a name. It panics, as graph code does, if there is none, or if
// the term that asks does not say that it reads it.
func (n Nodes) Get(name string) *Node {
	if n.term != nil && !slices.Contains(n.term.Reads, name) {
		panic(fmt.Errorf("term %s reads %q and does not say so", n.term.Name, name))
	}
	if x := n.made[name]; x != nil {
		return x
	}
	if f := n.demand[name]; f != nil {
		n.made[name] = f()
		return n.made[name]
	}
	panic(fmt.Errorf("there is no %q to read, only %s", name, strings.Join(slices.Sorted(maps.Keys(n.made)), ", ")))
}

// Sum builds terms in their order, each a scalar, and the sum of each times its
// element of weights [len(terms)].
func Sum(terms []Term, in Nodes, weights *Node) (values []*Node, total *Node) {
	for i := range terms {
		in.term = &terms[i]
		v := terms[i].build(in)
		values = append(values, v)
		v = Mul(v, Reshape(Slice(weights, AxisElem(i))))
		if total == nil {
			total = v
		} else {
			total = Add(total, v)
		}
	}
	return values, total
}
