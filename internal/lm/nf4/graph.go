package nf4

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/blockwise"
)

// Packed is one parameter of a decoder made of tensors that were quantised each by
// itself and stand above one another: bitsandbytes quantises the projections of
// queries, keys and values separately, and so must we for equal codes.
type Packed struct {
	Dims  []int // of the whole
	Parts []*Tensor
}

// inputs is how many graph inputs a packed parameter takes: codes, scales, and the
// numbers that decode the scales.
const inputs = 3

// args appends the inputs of p's graph: codes [bytes] and scales [blocks] of all
// parts in uint8, and float32 [...] that holds for each part Tops and Offset.
func (p *Packed) args(args []any) []any {
	var codes, scales []uint8
	var stats []float32
	for _, t := range p.Parts {
		codes = append(codes, t.Codes...)
		scales = append(scales, t.Scales...)
		stats = append(append(stats, t.Tops...), t.Offset)
	}
	return append(args,
		tensors.FromFlatDataAndDimensions(codes, len(codes)),
		tensors.FromFlatDataAndDimensions(scales, len(scales)),
		tensors.FromFlatDataAndDimensions(stats, len(stats)))
}

// pairs holds for every byte of codes the two levels it means, [256, 2]: one look-up
// gives two weights, and no bit operations are needed.
func pairs(g *Graph) *Node {
	table := make([]float32, 0, 512)
	for b := range 256 {
		table = append(table, Levels[b>>4], Levels[b&15])
	}
	return Reshape(Const(g, table), 256, 2)
}

// weights builds the parameter of type dtype from its three inputs. With after not
// nil it depends on that node. The tables that everything is looked up in carry the
// dependence: they are small, and a compiler cannot see that they are constant, so
// it can neither share nor hoist what was looked up.
func (p *Packed) weights(codes, scales, stats, after *Node, dtype dtypes.DType) *Node {
	g := codes.Graph()
	table := pairs(g)
	if after != nil {
		table = SchedulingBarrier(table, StopGradient(after))
		stats = SchedulingBarrier(stats, StopGradient(after))
	}
	level := lookUp(table, codes) // [bytes, 2]
	levels8 := Const(g, blockwise.Signed()[:])
	quotient := Reshape(lookUp(Reshape(levels8, 256, 1), scales), -1)

	var scale []*Node // of the parts, [blocks]
	even := true
	block, stat := 0, 0
	for _, t := range p.Parts {
		n, m := t.scales(), t.tops()
		tops := ExpandAxes(Slice(stats, AxisRange(stat, stat+m)), -1)
		tops = Reshape(BroadcastToDims(tops, m, blockwise.Size), m*blockwise.Size)
		offset := Slice(stats, AxisRange(stat+m, stat+m+1))
		s := Mul(Slice(quotient, AxisRange(block, block+n)), Slice(tops, AxisRange(0, n)))
		scale = append(scale, Add(s, offset))
		even = even && t.Len()%Block == 0
		block, stat = block+n, stat+m+1
	}
	var w *Node
	if even {
		s := scale[0]
		if len(scale) > 1 {
			s = Concatenate(scale, 0)
		}
		w = Mul(Reshape(level, -1, Block), ExpandAxes(s, -1))
	} else {
		w = ragged(p.Parts, level, scale)
	}
	w = Reshape(w, p.Dims...)
	if dtype != dtypes.Float32 {
		w = ConvertDType(w, dtype)
	}
	return StopGradient(w)
}

// ragged multiplies levels and scales where a part's last block is not full: the
// scales are spread to the weights first.
func ragged(parts []*Tensor, level *Node, scale []*Node) *Node {
	var out []*Node
	at := 0 // in bytes
	for i, t := range parts {
		n, b := t.Len(), t.codes()
		v := Reshape(Slice(level, AxisRange(at, at+b), AxisRange()), 2*b)
		s := BroadcastToDims(ExpandAxes(scale[i], -1), t.scales(), Block)
		s = Slice(Reshape(s, t.scales()*Block), AxisRange(0, n))
		out = append(out, Mul(Slice(v, AxisRange(0, n)), s))
		at += b
	}
	if len(out) == 1 {
		return out[0]
	}
	return Concatenate(out, 0)
}

// lookUp takes the rows of table [256, k] that bytes [n] name: [n, k].
func lookUp(table, bytes *Node) *Node {
	return Gather(table, Reshape(ConvertDType(bytes, dtypes.Int32), -1, 1))
}
