package decoder

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
)

// Loss is the weighted cross-entropy of logits [N, V] against labels [N] (int32)
// with weights [N]: the scalar sum_n w_n·nll_n, and nll [N] without gradient.
// Positions with weight 0 must still carry a label in range.
func (m *Model) Loss(logits, labels, w *Node) (total, nll *Node) {
	g := logits.Graph()
	d := logits.Shape().Dimensions
	hot := func() *Node {
		col := Iota(g, shapes.Make(dtypes.Int32, d[0], d[1]), 1)
		lab := BroadcastToDims(Reshape(labels, d[0], 1), d[0], d[1])
		return Equal(col, lab)
	}
	if m.plain() {
		y := ConvertDType(hot(), dtypes.Float32)
		nll = Reshape(Sub(LogSumExp(logits), ExpandAxes(ReduceSum(Mul(logits, y), -1), -1)), d[0])
		return ReduceAllSum(Mul(w, nll)), StopGradient(nll)
	}
	x := StopGradient(logits)
	top := ExpandAxes(ReduceMax(x, -1), -1)
	e := Exp(Sub(x, top))
	sum := ExpandAxes(ReduceSum(e, -1), -1)
	isLabel := hot()
	at := ExpandAxes(ReduceSum(Where(isLabel, x, ZerosLike(x)), -1), -1)
	nll = Reshape(Sub(Add(Log(sum), top), at), d[0])

	// The gradient is w·(softmax - onehot) times the adjoint of the total, which
	// reaches every logit alike through the carrier sum.
	in := IdentityWithCustomGradient(logits, func(_, v *Node) *Node {
		p := Mul(e, Reciprocal(sum))
		p = Where(isLabel, AddScalar(p, -1), p)
		return Mul(Mul(v, p), Reshape(w, d[0], 1))
	})
	c := ReduceAllSum(in)
	total = Add(StopGradient(ReduceAllSum(Mul(w, nll))), Sub(c, StopGradient(c)))
	return total, nll
}
