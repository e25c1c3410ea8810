package train

import (
	"math"
	"slices"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/objective"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
)

func TestAlignPath(t *testing.T) {
	a := sequence{prompt: 3, ends: []int{1, 3, 4, 9}}
	b := sequence{prompt: 5, ends: []int{3, 3, 6, 9}} // two tokens end at 3: the last counts
	pos, coverage := alignPath([]sequence{a, b})
	if !slices.Equal(pos[0], []int{4, 6}) || !slices.Equal(pos[1], []int{6, 8}) {
		t.Errorf("positions %v", pos)
	}
	if coverage != 0.5 {
		t.Errorf("coverage %v, want 0.5", coverage)
	}
}

// At an aligned position both students have read the same bytes of the completion.
func TestAlignedPositionsHaveReadTheSameText(t *testing.T) {
	texts := []string{
		"4 + 3 = 7. 7 - 2 = 5. The answer is 5.",
		"a = 4 + 3 # 7\nb = a - 2 # 5\nprint(b)\nThe answer is 5.",
		"caf\u00e9 \u4f60\u597d 12 + 3",
	}
	var toks []tokenizer.Tokenizer
	for _, kind := range []string{"word", "bpe"} {
		tok, err := tokenizer.Train(kind, texts[:2], 60)
		if err != nil {
			t.Fatal(err)
		}
		toks = append(toks, tok)
	}
	for _, text := range texts {
		var seqs []sequence
		for _, tok := range toks {
			s, ok := encodePath(tok, "A question?\n", text, 200)
			if !ok {
				t.Fatal("too long")
			}
			seqs = append(seqs, s)
		}
		pos, coverage := alignPath(seqs)
		if len(pos[0]) == 0 || coverage <= 0 {
			t.Fatalf("%q: nothing aligned", text)
		}
		for k := range pos[0] {
			var read []string
			for s, tok := range toks {
				read = append(read, tok.Decode(seqs[s].ids[seqs[s].prompt:pos[s][k]+1]))
			}
			if read[0] != read[1] {
				t.Errorf("%q: aligned position %d has read %q and %q", text, k, read[0], read[1])
			}
		}
	}
}

func TestPromptCarriesNoLoss(t *testing.T) {
	tok, err := tokenizer.Train("word", []string{"one two three four"}, 40)
	if err != nil {
		t.Fatal(err)
	}
	long, _ := encodePath(tok, "one two\n", "three four", 50)
	short, _ := encodePath(tok, "one\n", "four", 50)
	b, err := makeBatch([]sequence{long, short}, inRows(2, 12), 3, 12, tok.Special().Pad)
	if err != nil {
		t.Fatal(err)
	}
	tokens := make([]int, 3)
	for i, m := range b.mask {
		tokens[i/b.seq] += int(m)
	}
	if !slices.Equal(tokens, []int{3, 2, 0}) {
		t.Errorf("supervised tokens %v: want completion and end, none for the spare row", tokens)
	}
	for r, s := range []sequence{long, short} {
		var labels []int32
		for p := range b.seq {
			if b.mask[r*b.seq+p] == 1 {
				labels = append(labels, b.labels[r*b.seq+p])
			}
		}
		if !slices.Equal(labels, s.ids[s.prompt:]) {
			t.Errorf("row %d: supervised labels %v, want %v", r, labels, s.ids[s.prompt:])
		}
		if last := labels[len(labels)-1]; last != tok.Special().EOS {
			t.Errorf("row %d: the last label is %d, not the end token", r, last)
		}
	}
	if _, ok := encodePath(tok, "one two\n", "three four", 5); ok {
		t.Error("a path that is too long was accepted")
	}
	if _, err := makeBatch([]sequence{long}, []int{0}, 1, 2, 0); err == nil {
		t.Error("a sequence longer than the batch was accepted")
	}
}

// peerValues evaluates the three terms of peer teaching and the gradient of their sum.
func peerValues(t *testing.T, z, mask, target []float32, dim int) (vals [3]float64, grad []float32) {
	t.Helper()
	dev, err := device.Open(device.CPU)
	if err != nil {
		t.Fatal(err)
	}
	n := len(mask)
	out, err := MustNewExec(dev.Backend, func(z, mask, target *Node) []*Node {
		in := objective.NewNodes([]string{causal.InZ, inMask, inTarget}, []*Node{z, mask, target})
		values, total := objective.Sum(formulas([]term{peer(peerMSE, 1, false), peerVariance(1), peerCovariance(1)}), in, Ones(z.Graph(), shapes.Make(dtypes.Float32, 3)))
		return append(values, Gradient(total, z)[0])
	}).Call(tensors.FromFlatDataAndDimensions(z, n, dim), tensors.FromFlatDataAndDimensions(mask, n, 1), tensors.FromFlatDataAndDimensions(target, n, dim))
	if err != nil {
		t.Fatal(err)
	}
	for i := range vals {
		vals[i] = float64(tensors.ToScalar[float32](out[i]))
	}
	return vals, tensors.MustCopyFlatData[float32](out[3])
}

// distanceOf evaluates the peers' loss of a kind, and its gradient, in two directions.
func distanceOf(t *testing.T, kind string, z, mask, target []float32) (v float64, grad []float32) {
	t.Helper()
	dev, err := device.Open(device.CPU)
	if err != nil {
		t.Fatal(err)
	}
	n := len(mask)
	out, err := MustNewExec(dev.Backend, func(z, mask, target *Node) []*Node {
		l := peer(kind, 1, false).Loss(objective.NewNodes([]string{causal.InZ, inMask, inTarget}, []*Node{z, mask, target}))
		return []*Node{l, Gradient(l, z)[0]}
	}).Call(tensors.FromFlatDataAndDimensions(z, n, 2), tensors.FromFlatDataAndDimensions(mask, n, 1), tensors.FromFlatDataAndDimensions(target, n, 2))
	if err != nil {
		t.Fatal(err)
	}
	return float64(tensors.ToScalar[float32](out[0])), tensors.MustCopyFlatData[float32](out[1])
}

func TestPeerLosses(t *testing.T) {
	mask := []float32{1, 1, 1, 0}
	z := []float32{1, 1, -1, -1, 3, 3, 99, -99}
	vals, grad := peerValues(t, z, mask, z, 2)
	if vals[0] != 0 {
		t.Errorf("distance to itself: %v", vals[0])
	}
	// Both columns are 1, -1, 3: variance 4, so no floor; covariance 4, all of it
	// off the diagonal: (16 + 16)/2.
	if vals[1] != 0 || math.Abs(vals[2]-16) > 1e-4 {
		t.Errorf("variance %v, covariance %v: want 0 and 16", vals[1], vals[2])
	}
	if grad[6] != 0 || grad[7] != 0 {
		t.Errorf("a masked row has gradient %v", grad[6:])
	}
	// A collapsed z agrees with a constant target; the floor notices.
	flat := []float32{2, 2, 2, 2, 2, 2, 2, 2}
	vals, _ = peerValues(t, flat, mask, flat, 2)
	if vals[0] != 0 || math.Abs(vals[1]-0.99) > 1e-3 {
		t.Errorf("collapsed: distance %v, floor %v: want 0 and 0.99", vals[0], vals[1])
	}
	vals, _ = peerValues(t, []float32{1, 0, 0, 1, 0, 0, 0, 0}, mask, make([]float32, 8), 2)
	if math.Abs(vals[0]-2.0/6) > 1e-5 {
		t.Errorf("distance %v, want 1/3", vals[0])
	}
}

func TestEnsembleWeights(t *testing.T) {
	w := [][]float32{{1, 0}, {0, 1}}
	states := [][][]float32{{{2, 0}, {0, 0}}, {{0, 0}, {0, 3}}}
	g := ensembleWeights(w, states)
	for i, want := range []float64{math.Exp(2) / (math.Exp(2) + 1), 1 / (1 + math.Exp(3))} {
		if math.Abs(g[i][0]-want) > 1e-9 || math.Abs(g[i][0]+g[i][1]-1) > 1e-9 {
			t.Errorf("row %d: %v, want first %v", i, g[i], want)
		}
	}
}
