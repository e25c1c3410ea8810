package decoder

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// ChunkedLoss is [Model.Loss] of the logits of hidden [N, D], computed for rows
// positions at a time so that no more than [rows, V] logits exist at once. The
// gradient with respect to hidden is computed with the value, while a chunk's logits
// are there, and kept in place of them: [N, D] instead of [N, V]. The head must be
// frozen: it gets no gradient, and a tied embedding none through the head.
//
// labels [N] are int32, w [N] the weights. rows below 1 or above N means one chunk.
func (m *Model) ChunkedLoss(hidden, labels, w *Node, rows int) (total, nll *Node) {
	nll, grad := m.chunks(hidden, labels, w, rows, true)
	// The adjoint of the total reaches every element alike through the carrier sum, which
	// adds exactly nothing to the value.
	in := IdentityWithCustomGradient(hidden, func(_, v *Node) *Node { return Mul(v, grad) })
	c := toF32(ReduceAllSum(in))
	total = Add(StopGradient(ReduceAllSum(Mul(w, nll))), Sub(c, StopGradient(c)))
	return total, nll
}

// ChunkedNLL is the negative log-likelihood of labels [N] after hidden [N, D], [N] in
// float32 without gradient, computed for rows positions at a time.
func (m *Model) ChunkedNLL(hidden, labels *Node, rows int) *Node {
	nll, _ := m.chunks(hidden, labels, nil, rows, false)
	return nll
}

// ChunkedSurprisals are the negative log-likelihood of labels [N] after hidden [N, D] and
// the labels' places among the vocabulary's tokens, 1 for the most probable: [N] each in
// float32 without gradient, computed for rows positions at a time.
func (m *Model) ChunkedSurprisals(hidden, labels *Node, rows int) (nll, rank *Node) {
	n := hidden.Shape().Dimensions[0]
	rows = min(max(rows, 1), n)
	head := StopGradient(m.Head())
	var nlls, ranks []*Node
	for lo := 0; lo < n; lo += rows {
		part := AxisRange(lo, min(n, lo+rows))
		h := StopGradient(Slice(hidden, part, AxisRange()))
		if k := len(nlls); k > 0 {
			h = SchedulingBarrier(h, nlls[k-1]) // see chunks
		}
		x := softCap(toF32(linear(h, head)), m.Config.Features().LogitCap)
		count, vocab := x.Shape().Dimensions[0], x.Shape().Dimensions[1]
		col := Iota(x.Graph(), shapes.Make(dtypes.Int32, count, vocab), 1)
		isLabel := Equal(col, BroadcastToDims(Reshape(Slice(labels, part), count, 1), count, vocab))
		at := ExpandAxes(ReduceSum(Where(isLabel, x, ZerosLike(x)), -1), -1)
		nlls = append(nlls, Reshape(Sub(LogSumExp(x), at), count))
		above := ConvertDType(GreaterThan(x, BroadcastToDims(at, count, vocab)), dtypes.Float32)
		ranks = append(ranks, AddScalar(ReduceSum(above, -1), 1))
	}
	return Concatenate(nlls, 0), Concatenate(ranks, 0)
}

// chunks computes nll [N] and, when it is asked for, the gradient of sum w·nll with
// respect to hidden [N, D].
func (m *Model) chunks(hidden, labels, w *Node, rows int, gradient bool) (nll, grad *Node) {
	n := hidden.Shape().Dimensions[0]
	if rows < 1 || rows > n {
		rows = n
	}
	hidden = StopGradient(hidden)
	var nlls, grads []*Node
	for lo := 0; lo < n; lo += rows {
		part := AxisRange(lo, min(n, lo+rows))
		h := Slice(hidden, part, AxisRange())
		// Without the barrier a backend may work on all chunks at once.
		if k := len(nlls); k > 0 && gradient {
			h = SchedulingBarrier(h, grads[k-1])
		} else if k > 0 {
			h = SchedulingBarrier(h, nlls[k-1])
		}
		var partW *Node
		if gradient {
			partW = StopGradient(Slice(w, part))
		}
		l, g := m.chunk(h, Slice(labels, part), partW)
		nlls = append(nlls, StopGradient(l))
		if gradient {
			grads = append(grads, StopGradient(g))
		}
	}
	join := func(parts []*Node) *Node {
		if len(parts) == 1 {
			return parts[0]
		}
		return Concatenate(parts, 0)
	}
	nll = join(nlls)
	if gradient {
		grad = join(grads)
	}
	return nll, grad
}

// chunk is one chunk's nll [n] and, when w is not nil, the gradient of sum w·nll with
// respect to h [n, D]: w·(softmax - onehot)·head, where a soft cap's slope is
// 1 - (logit/cap)².
//
// The one-hot part needs no [n, V]: the label's logit is h·head[label], and its share
// of the gradient w·head[label]. What scales rows is applied behind the product with
// the head. In bfloat16 that would not do, because softmax and one-hot cancel for
// tokens that are predicted well: there they are subtracted first.
func (m *Model) chunk(h, labels, w *Node) (nll, grad *Node) {
	head := StopGradient(m.Head())
	limit := m.Config.Features().LogitCap
	x := softCap(toF32(linear(h, head)), limit)
	n, vocab := x.Shape().Dimensions[0], x.Shape().Dimensions[1]
	top := ExpandAxes(ReduceMax(x, -1), -1)
	e := Exp(Sub(x, top))
	sum := ExpandAxes(ReduceSum(e, -1), -1)
	slope := func(x *Node) *Node { return OneMinus(Square(MulScalar(x, 1/limit))) }

	if h.DType() == dtypes.Float32 {
		row := Gather(head, Reshape(labels, n, 1)) // [n, D]
		at := softCap(ExpandAxes(ReduceSum(Mul(h, row), -1), -1), limit)
		nll = Reshape(Sub(Add(Log(sum), top), at), n)
		if w == nil {
			return nll, nil
		}
		if limit != 0 {
			e, row = Mul(e, slope(x)), Mul(row, slope(at))
		}
		mean := Mul(DotGeneral(e, []int{1}, nil, head, []int{0}, nil), Reciprocal(sum))
		return nll, Mul(Sub(mean, row), Reshape(w, n, 1))
	}
	col := Iota(x.Graph(), shapes.Make(dtypes.Int32, n, vocab), 1)
	isLabel := Equal(col, BroadcastToDims(Reshape(labels, n, 1), n, vocab))
	at := ExpandAxes(ReduceSum(Where(isLabel, x, ZerosLike(x)), -1), -1)
	nll = Reshape(Sub(Add(Log(sum), top), at), n)
	if w == nil {
		return nll, nil
	}
	p := Mul(e, Reciprocal(sum))
	p = Mul(Where(isLabel, AddScalar(p, -1), p), Reshape(w, n, 1))
	if limit != 0 {
		p = Mul(p, slope(x))
	}
	return nll, DotGeneral(ConvertDType(p, h.DType()), []int{1}, nil, head, []int{0}, nil)
}

// Supervised finds the positions whose weight is not 0: only these need logits. It
// returns their places, labels and weights, filled up with places of weight 0 to a
// whole number of parts-th parts of all positions, so that there are at most parts
// shapes to compile. Give the places to [Select].
func Supervised(labels []int32, w []float32, parts int) (at, picked []int32, weight []float32) {
	for i, v := range w {
		if v != 0 {
			at, picked, weight = append(at, int32(i)), append(picked, labels[i]), append(weight, v)
		}
	}
	step := max(1, (len(w)+max(parts, 1)-1)/max(parts, 1))
	size := min(len(w), max(1, (len(at)+step-1)/step)*step)
	for len(at) < size {
		at, picked, weight = append(at, 0), append(picked, 0), append(weight, 0)
	}
	return at, picked, weight
}

// Select takes the rows of hidden [N, D] that at [K] (int32) names: [K, D].
func Select(hidden, at *Node) *Node { return Gather(hidden, Reshape(at, -1, 1)) }
