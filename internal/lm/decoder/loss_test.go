package decoder

import (
	"math"
	"slices"
	"testing"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/weights"
)

// lossCase is random hidden states with a head.
func lossCase(c Config, n int) (p weights.Set, labels []int32, w []float32) {
	p = weights.Set{weights.Normal(1, 1, "hidden", n, c.Dim), weights.Normal(1, 0.7, "head", c.Vocab, c.Dim)}
	_, labels, w = randomBatch(c, 1, n)
	return p, labels, w
}

// runLoss gives total, nll and the gradient of hidden; size counts the nodes of the
// graph with at least that many elements.
func runLoss(t *testing.T, c Config, dtype dtypes.DType, n, size int, f func(m *Model, hidden, labels, w *Node) (total, nll *Node)) (total float32, nll, grad []float32, large int) {
	t.Helper()
	p, labels, w := lossCase(c, n)
	e, err := NewExec(open(t).Backend, func(in []*Node) []*Node {
		hidden, head := ConvertDType(in[0], dtype), ConvertDType(in[1], dtype)
		m := &Model{Config: c, Params: make([]*Node, NumParams(c))}
		m.Params[0], m.Params[len(m.Params)-1] = head, head
		total, nll := f(m, hidden, in[2], in[3])
		out := []*Node{total, nll, ConvertDType(Gradient(total, hidden)[0], dtypes.Float32)}
		for _, node := range total.Graph().Nodes() {
			if node.NumOutputs() == 1 && node.Shape().Size() >= size {
				large++
			}
		}
		return out
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.Call(append(p.Args(nil), tensors.FromFlatDataAndDimensions(labels, n), tensors.FromFlatDataAndDimensions(w, n))...)
	if err != nil {
		t.Fatal(err)
	}
	return tensors.ToScalar[float32](out[0]), tensors.MustCopyFlatData[float32](out[1]), tensors.MustCopyFlatData[float32](out[2]), large
}

func relative(got, want []float32) float64 {
	var num, den float64
	for i := range want {
		d := float64(got[i]) - float64(want[i])
		num, den = num+d*d, den+float64(want[i])*float64(want[i])
	}
	return math.Sqrt(num / den)
}

func TestChunkedLossEqualsLoss(t *testing.T) {
	const n = 23
	for _, name := range []string{"llama", "gemma2"} { // without and with a soft cap
		c := variants[name]
		for dtype, tol := range map[dtypes.DType]float64{dtypes.Float32: 1e-5, dtypes.BFloat16: 2e-2} {
			whole := func(m *Model, h, labels, w *Node) (*Node, *Node) { return m.Loss(m.Logits(h), labels, w) }
			want, wantNLL, wantGrad, _ := runLoss(t, c, dtype, n, 1, whole)
			for _, rows := range []int{0, 1, 2, 5, 7, 11, 22, 23, 24} {
				total, nll, grad, _ := runLoss(t, c, dtype, n, 1, func(m *Model, h, labels, w *Node) (*Node, *Node) {
					return m.ChunkedLoss(h, labels, w, rows)
				})
				if d := math.Abs(float64(total-want)) / float64(want); !(d < 1e-5) {
					t.Errorf("%s %v, %d rows: loss %v, whole %v", name, dtype, rows, total, want)
				}
				if d := relative(nll, wantNLL); !(d < 1e-5) {
					t.Errorf("%s %v, %d rows: nll differs by %.2g", name, dtype, rows, d)
				}
				if d := relative(grad, wantGrad); !(d < tol) {
					t.Errorf("%s %v, %d rows: gradient differs by %.2g", name, dtype, rows, d)
				}
			}
			_, nll, _, _ := runLoss(t, c, dtype, n, 1, func(m *Model, h, labels, w *Node) (*Node, *Node) {
				total, _ := m.ChunkedLoss(h, labels, w, 0)
				return total, m.ChunkedNLL(h, labels, 6)
			})
			if d := relative(nll, wantNLL); !(d < 1e-5) {
				t.Errorf("%s %v: nll alone differs by %.2g", name, dtype, d)
			}
		}
	}
}

// With a large vocabulary no node of the graph has as many elements as the logits
// of all positions, nor of two chunks; in the whole loss many do.
func TestChunkedLossNeverHoldsAllLogits(t *testing.T) {
	c := variants["llama"]
	c.Vocab = 4096
	const n, rows = 64, 8
	_, _, _, whole := runLoss(t, c, dtypes.Float32, n, n*c.Vocab, func(m *Model, h, labels, w *Node) (*Node, *Node) {
		return m.Loss(m.Logits(h), labels, w)
	})
	if whole < 3 {
		t.Errorf("the whole loss has %d nodes of [N, V]: the count shows nothing", whole)
	}
	_, _, _, chunked := runLoss(t, c, dtypes.Float32, n, 2*rows*c.Vocab, func(m *Model, h, labels, w *Node) (*Node, *Node) {
		return m.ChunkedLoss(h, labels, w, rows)
	})
	if chunked != 0 {
		t.Errorf("%d nodes hold the logits of two chunks or more", chunked)
	}
}

// The loss over the supervised positions alone is the loss over all.
func TestSupervisedPositions(t *testing.T) {
	c := variants["gemma2"]
	const n = 23
	_, labels, w := lossCase(c, n)
	at, picked, weight := Supervised(labels, w, 8)
	if len(at)%3 != 0 || len(at) != len(picked) || len(at) != len(weight) || slices.Contains(weight[:len(at)-3], 0) {
		t.Fatalf("positions %v with weights %v", at, weight)
	}
	want, _, wantGrad, _ := runLoss(t, c, dtypes.Float32, n, 1, func(m *Model, h, labels, w *Node) (*Node, *Node) {
		return m.Loss(m.Logits(h), labels, w)
	})
	got, _, grad, _ := runLoss(t, c, dtypes.Float32, n, 1, func(m *Model, h, _, _ *Node) (*Node, *Node) {
		g := h.Graph()
		return m.ChunkedLoss(Select(h, Const(g, at)), Const(g, picked), Const(g, weight), 5)
	})
	if math.Abs(float64(got-want)) > 1e-5*float64(want) {
		t.Errorf("loss %v, over all positions %v", got, want)
	}
	if d := relative(grad, wantGrad); !(d < 1e-5) {
		t.Errorf("gradient differs by %.2g", d)
	}
	for _, k := range []int{0, 1, 3} { // how many are supervised
		w := make([]float32, 10)
		for i := range k {
			w[3*i] = 1
		}
		at, _, weight := Supervised(make([]int32, 10), w, 4)
		if len(at) != 3 {
			t.Errorf("%d supervised: %d positions, want 3", k, len(at))
		}
		var sum float32
		for _, v := range weight {
			sum += v
		}
		if sum != float32(k) {
			t.Errorf("%d supervised: weights sum to %v", k, sum)
		}
	}
	if at, _, _ := Supervised(make([]int32, 10), slices.Repeat([]float32{1}, 10), 4); len(at) != 10 {
		t.Errorf("all supervised: %d positions, want 10", len(at))
	}
}
