package causal

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/objective"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Toy terms, one for each thing that a term may read.
var (
	squaredLoss = objective.Term{Name: "squared_loss", Reads: []string{InTokenLoss}, Loss: func(in objective.Nodes) *Node {
		return Square(in.Get(InTokenLoss))
	}}
	hiddenSum = objective.Term{Name: "hidden_sum", Reads: []string{InHidden, "real"}, Loss: func(in objective.Nodes) *Node {
		return ReduceAllSum(Mul(Sin(in.Get(InHidden)), in.Get("real")))
	}}
	soft = objective.Term{Name: "soft", Reads: []string{InLogits, InLabels, InWeight}, Loss: func(in objective.Nodes) *Node {
		w := ExpandAxes(in.Get(InWeight), -1)
		far := ExpandAxes(ConvertDType(in.Get(InLabels), w.DType()), -1)
		return ReduceAllSum(Mul(Sin(Add(in.Get(InLogits), far)), w))
	}}
	nearTarget = objective.Term{Name: "near", Reads: []string{InZ, "target"}, Loss: func(in objective.Nodes) *Node {
		return ReduceAllMean(Square(Sub(in.Get(InZ), in.Get("target"))))
	}}
	spreadOut = objective.Term{Name: "spread", Reads: []string{InZ, InPositions}, Loss: func(in objective.Nodes) *Node {
		z := in.Get(InZ)
		c := in.Once("cov", func() *Node { return DotGeneral(z, []int{0}, nil, z, []int{0}, nil) })
		return Add(ReduceAllMean(Square(c)), MulScalar(ReduceAllSum(ConvertDType(in.Get(InPositions), z.DType())), 1e-3))
	}}
)

// mixedBatch has rows of several lengths and every input, with a position that is looked
// at twice and some of weight 0.
func mixedBatch(vocab int) Batch {
	r := rand.New(rand.NewPCG(1, 2))
	b := Batch{Rows: 3, Seq: 8, Lengths: []int{7, 4, 5}, IDs: make([]int32, 24), Seed: 9}
	real := make([]float32, 24)
	for row, n := range b.Lengths {
		for c := range n {
			i := row*b.Seq + c
			b.IDs[i] = int32(r.IntN(vocab))
			real[i] = 1
			if c%3 != 1 {
				b.At, b.Labels = append(b.At, int32(i)), append(b.Labels, int32(r.IntN(vocab)))
				b.Weight = append(b.Weight, float32(c%4)*0.1)
			}
		}
	}
	b.Positions = []int32{0, 3, 3, 9, 20, 0}
	target := make([]float32, len(b.Positions)*4)
	for i := range target {
		target[i] = float32(r.NormFloat64())
	}
	b.Inputs = []objective.Input{
		{Name: "real", Value: real, Dims: []int{24, 1}},
		{Name: "target", Value: target, Dims: []int{len(b.Positions), 4}},
	}
	return b
}

// Without a graph of the decoder every term has the values and the gradients that it has
// with one, whatever it reads, for adapters and for whole models; and so have losses and
// what the head makes of the states.
func TestEnginesAgree(t *testing.T) {
	sets := map[string][]objective.Term{
		"loss":       {CrossEntropy},
		"squared":    {squaredLoss},
		"both":       {CrossEntropy, squaredLoss},
		"hidden":     {hiddenSum},
		"logits":     {soft},
		"peers":      {CrossEntropy, nearTarget, spreadOut},
		"everything": {CrossEntropy, squaredLoss, hiddenSum, soft, nearTarget, spreadOut},
	}
	for _, family := range []string{"llama", "gemma2"} {
		m, err := Open(context.Background(), open(t), folder(t, family), Options{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := lora.Config{Rank: 2, Alpha: 4, Dropout: 0.2, Targets: []string{"*_proj"}}.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		adapters, err := lora.Init(m.Config, c, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i := range adapters { // with B at zero half of the gradients would be
			for j := range adapters[i].Data {
				adapters[i].Data[j] += 0.01 * float32(j%7-3)
			}
		}
		whole, err := decoder.Init(m.Config, 3)
		if err != nil {
			t.Fatal(err)
		}
		proj := weights.Set{weights.Normal(5, 0.2, "proj", 4, m.Config.Dim)}
		head := &Head{Params: proj, States: func(h *Node, params []*Node) *Node {
			return Tanh(DotGeneral(h, []int{1}, nil, params[0], []int{1}, nil))
		}}
		for name, terms := range sets {
			for _, adapt := range []bool{true, false} {
				for _, all := range []bool{false, true} { // every position is looked at
					o := TunerOptions{Bases: []Base{m.Base()}, Head: head, Terms: terms}
					trained := whole
					if adapt {
						trained, o.LoRA = adapters, &c
					}
					b := mixedBatch(m.Config.Vocab)
					if all {
						labels, weight := make([]int32, len(b.IDs)), make([]float32, len(b.IDs))
						for i, at := range b.At {
							labels[at], weight[at] = b.Labels[i], b.Weight[i]
						}
						b.At, b.Labels, b.Weight = nil, labels, weight
					}
					b.Weights = []float32{0.9, 0.5, 2, 0.7, 0, 3}[:len(terms)]
					at := family + "/" + name
					if adapt {
						at += "/adapters"
					}
					var res [2]Result
					var nll, z, same, rank [2][][]float32
					for i := range res {
						o.graphs = i == 0
						tuner, err := NewTuner(trained, o)
						if err != nil {
							t.Fatal(err)
						}
						defer tuner.Close()
						if res[i], err = tuner.Gradients(b); err != nil {
							t.Fatal(at, err)
						}
						if nll[i], z[i], err = tuner.Losses(b); err != nil {
							t.Fatal(at, err)
						}
						if same[i], rank[i], err = tuner.Surprisals(b); err != nil {
							t.Fatal(at, err)
						}
						tuner.Close()
					}
					for i, v := range res[0].Terms {
						if math.Abs(v-res[1].Terms[i]) > 1e-4*math.Abs(v)+1e-6 {
							t.Errorf("%s: %s is %v, by a graph %v", at, terms[i].Name, res[1].Terms[i], v)
						}
					}
					if len(res[0].Grads) != len(res[1].Grads) {
						t.Fatalf("%s: %d gradients, by a graph %d", at, len(res[1].Grads), len(res[0].Grads))
					}
					for i, want := range res[0].Grads {
						tensor := "the head"
						if i < len(trained) {
							tensor = trained[i].Name
						}
						if off := distance(res[1].Grads[i], want); off > 2e-5 {
							t.Errorf("%s: the gradient of %s is off by %.2g of its size", at, tensor, off)
						}
					}
					if off := distance(z[1][0], z[0][0]); off > 1e-5 {
						t.Errorf("%s: the head's states are off by %.2g", at, off)
					}
					for i, v := range nll[0][0] {
						if pos := i; (!all || pos%b.Seq < b.Lengths[pos/b.Seq]) && math.Abs(float64(v-nll[1][0][i])) > 1e-4 {
							t.Errorf("%s: loss %d is %v, by a graph %v", at, i, nll[1][0][i], v)
						} else if !all && (same[1][0][i] != nll[1][0][i] || math.Abs(float64(same[0][0][i]-v)) > 1e-5 || rank[0][0][i] != rank[1][0][i] || v > 0 && rank[0][0][i] < 1) {
							t.Errorf("%s: loss %d and rank are %v %v, by a graph %v %v", at, i, same[1][0][i], rank[1][0][i], same[0][0][i], rank[0][0][i])
						}
					}
				}
			}
		}
	}
}

// distance of a to b as a part of the size of b, infinite where lengths differ.
func distance(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var off, size float64
	for i, v := range b {
		off += math.Pow(float64(a[i]-v), 2)
		size += float64(v) * float64(v)
	}
	if off == 0 {
		return 0
	}
	return math.Sqrt(off / max(size, 1e-24))
}

// What the head looks at, a batch's lengths and its tokens are checked.
func TestHostEngineRefuses(t *testing.T) {
	m, err := Open(context.Background(), open(t), folder(t, "llama"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := lora.Config{Rank: 2, Alpha: 4, Targets: []string{"q_proj"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	tuner, err := tune(m, c)
	if err != nil {
		t.Fatal(err)
	}
	defer tuner.Close()
	for name, spoil := range map[string]func(b *Batch){
		"lengths": func(b *Batch) { b.Lengths = b.Lengths[1:] },
		"longer":  func(b *Batch) { b.Lengths = []int{7, 9, 1} },
		"token":   func(b *Batch) { b.IDs[0] = 1 << 20 },
		"shared":  func(b *Batch) { b.Starts = make([]int32, len(b.IDs)) },
		"label":   func(b *Batch) { b.Labels = slices.Clone(b.Labels); b.Labels[2] = -1 },
	} {
		b := mixedBatch(m.Config.Vocab)
		b.Positions = nil
		spoil(&b)
		if _, err := tuner.Gradients(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if _, _, err := tuner.Losses(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
