package decoder

import (
	"fmt"
	"math"

	"github.com/distillflow/distillflow/internal/lm/vector"
)

// HostLossRows is how many positions' logits exist at a time: 256 MiB of them at the most, and
// 64 positions at the least, for the output matrix is read for each part.
func HostLossRows(vocab int) int { return min(1024, max(64, 1<<26/vocab)) }

// TokenLoss is the sum of weight times -log p(label) over the positions at (nil: all of
// them, in order), whose labels and weights are given in the same order. It adds its gradient
// to [HostTrainer.HiddenGradient] and, where all weights are trained, that of the head to
// grads. No more than some of the logits exist at once.
func (t *HostTrainer) TokenLoss(at, labels []int32, weight []float32, grads [][]float32) (total float64, err error) {
	if len(weight) != len(labels) || at != nil && len(at) != len(labels) {
		return 0, fmt.Errorf("%d positions, %d labels, %d weights", len(at), len(labels), len(weight))
	}
	// Those of weight 0 need no logits.
	some, picked, w := []int32{}, []int32{}, []float32{}
	for i, v := range weight {
		if v == 0 {
			continue
		}
		p := int32(i)
		if at != nil {
			p = at[i]
		}
		some, picked, w = append(some, p), append(picked, labels[i]), append(w, v)
	}
	err = t.chunks(some, picked, func(lo int, logits, hidden vector.View[float32]) {
		nll := t.free.take(logits.Rows)
		t.nll(nll, logits, picked[lo:], w[lo:])
		for i, v := range nll {
			total += float64(w[lo+i]) * float64(v)
		}
		t.free.give(nll)
		t.headBack(some[lo:lo+logits.Rows], logits, hidden, grads)
	})
	return total, err
}

// NLL writes -log p(label) of the positions at (nil: all of them) to nll, without gradient.
func (t *HostTrainer) NLL(nll []float32, at, labels []int32) error {
	if len(nll) != len(labels) {
		return fmt.Errorf("room for the losses of %d tokens, %d labels", len(nll), len(labels))
	}
	return t.chunks(at, labels, func(lo int, logits, _ vector.View[float32]) {
		t.nll(nll[lo:lo+logits.Rows], logits, labels[lo:], nil)
	})
}

// Surprisals writes -log p(label) of the positions at (nil: all of them) to nll, and to rank the
// label's place among the vocabulary's tokens, 1 for the most probable, without gradient.
func (t *HostTrainer) Surprisals(nll, rank []float32, at, labels []int32) error {
	if len(nll) != len(labels) || len(rank) != len(labels) {
		return fmt.Errorf("room for the losses of %d tokens and the ranks of %d, %d labels", len(nll), len(rank), len(labels))
	}
	return t.chunks(at, labels, func(lo int, logits, _ vector.View[float32]) {
		t.nll(nll[lo:lo+logits.Rows], logits, labels[lo:], nil)
		t.team.Run(logits.Rows, func(i int) {
			x := logits.Data[i*logits.Stride:][:logits.Cols]
			own, n := x[labels[lo+i]], 1
			for _, v := range x {
				if v > own {
					n++
				}
			}
			rank[lo+i] = float32(n)
		})
	})
}

// Logits writes the scores of the vocabulary [len(at), V] at positions (nil: all of them).
func (t *HostTrainer) Logits(logits []float32, at []int32) error {
	n := t.n
	if at != nil {
		n = len(at)
	}
	return t.chunks(at, make([]int32, n), func(lo int, part, _ vector.View[float32]) {
		copy(logits[lo*t.config.Vocab:], part.Data[:part.Rows*part.Cols])
	})
}

// LogitsBack adds what the gradient dLogits of what Logits gave adds to
// [HostTrainer.HiddenGradient] and, where all weights are trained, to that of the head in
// grads. It uses dLogits up.
func (t *HostTrainer) LogitsBack(dLogits, logits []float32, at []int32, grads [][]float32) error {
	v := t.config.Vocab
	n := len(dLogits) / v
	if at != nil && len(at) != n || at == nil && n != t.n {
		return fmt.Errorf("%d rows of logits' gradients, %d positions", n, len(at))
	}
	if limit := float32(t.features.LogitCap); limit != 0 {
		t.team.Run(n, func(i int) {
			x := logits[i*v:][:v]
			for k := range x {
				dLogits[i*v+k] *= 1 - x[k]/limit*(x[k]/limit)
			}
		})
	}
	t.headBack(at, view(dLogits, n, v), t.choose(at, n), grads)
	return nil
}

// choose are the hidden states of positions; nil for the first n.
func (t *HostTrainer) choose(at []int32, n int) vector.View[float32] {
	d := t.config.Dim
	if at == nil {
		return view(t.hidden, n, d)
	}
	t.selected = sized(t.selected, n*d)
	t.team.Run(n, func(i int) { copy(t.selected[i*d:][:d], t.hidden[int(at[i])*d:]) })
	return view(t.selected, n, d)
}

// chunks calls f for the logits of parts of the positions, the first of which is lo, with
// their hidden states.
func (t *HostTrainer) chunks(at, labels []int32, f func(lo int, logits, hidden vector.View[float32])) error {
	c := t.config
	if at != nil && len(at) != len(labels) || at == nil && len(labels) != t.n {
		return fmt.Errorf("%d labels, %d positions of %d", len(labels), len(at), t.n)
	}
	for i, v := range labels {
		if v < 0 || int(v) >= c.Vocab {
			return fmt.Errorf("label %d at %d is not in a vocabulary of %d", v, i, c.Vocab)
		}
	}
	for _, p := range at {
		if p < 0 || int(p) >= t.n {
			return fmt.Errorf("position %d of %d", p, t.n)
		}
	}
	for lo := 0; lo < len(labels); lo += t.logitRows {
		n := min(t.logitRows, len(labels)-lo)
		var hidden vector.View[float32]
		if at == nil {
			hidden = view(t.hidden[lo*c.Dim:], n, c.Dim)
		} else {
			hidden = t.choose(at[lo:lo+n], n)
		}
		t.logits = sized(t.logits, n*c.Vocab)
		logits := view(t.logits, n, c.Vocab)
		t.times(logits, hidden, t.params[t.head()], false)
		if limit := float32(t.features.LogitCap); limit != 0 {
			t.team.Run(n, func(i int) { vector.Cap(t.logits[i*c.Vocab:][:c.Vocab], limit) })
		}
		f(lo, logits, hidden)
	}
	return nil
}

// nll computes -log p(label) of rows of logits and, where there are weights, replaces the
// logits by the gradient with respect to what they were before their soft cap.
func (t *HostTrainer) nll(nll []float32, logits vector.View[float32], labels []int32, weight []float32) {
	limit := float32(t.features.LogitCap)
	t.team.Run(logits.Rows, func(i int) {
		x := logits.Data[i*logits.Stride:][:logits.Cols]
		label := labels[i]
		at := x[label]
		top, _ := vector.Max(x)
		if weight == nil {
			nll[i] = float32(math.Log(vector.SumExp(x, top))) + (top - at)
			return
		}
		sum := exponentials(x, top, limit)
		nll[i] = float32(math.Log(sum)) + (top - at)
		vector.Scale(x, float32(float64(weight[i])/sum))
		slope := float32(1)
		if limit != 0 {
			slope -= at / limit * (at / limit)
		}
		x[label] -= weight[i] * slope
	})
}

// headBack adds the gradients of the head and of the hidden states at positions (nil: the
// first ones) from that of their logits.
func (t *HostTrainer) headBack(at []int32, dLogits, hidden vector.View[float32], grads [][]float32) {
	d := t.config.Dim
	if t.all() {
		vector.TN(t.team, view(grads[t.head()], t.config.Vocab, d), dLogits, hidden, true)
	}
	if at == nil {
		t.back(view(t.dHidden, hidden.Rows, d), dLogits, t.params[t.head()], true)
		return
	}
	part := view(t.free.take(hidden.Rows*d), hidden.Rows, d)
	t.back(part, dLogits, t.params[t.head()], false)
	t.addRows(t.dHidden, at, part.Data, d, 1)
	t.free.give(part.Data)
}
