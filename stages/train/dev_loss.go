package train

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// devState is what a student's losses on the held-out problems have told so far.
type devState struct {
	best  float64     // lowest loss; +Inf before the first measurement
	set   weights.Set // what was trained then; nil unless the best is kept
	since int         // measurements since
}

// held reports whether a problem is among the share that is held out, by a hash of
// its id: a problem's paths all stay on one side, and other rows change nothing.
func held(id string, fraction float64) bool {
	h := sha256.Sum256([]byte("dev/" + id))
	return float64(binary.BigEndian.Uint64(h[:])>>11)/(1<<53) < fraction
}

// measure takes every student's loss on the held-out problems.
func (t *trainer) measure(epoch int) error {
	n := len(t.lengths) // training paths come first
	if n == t.gainFrom {
		return nil
	}
	held := make([]int, 0, t.gainFrom-n)
	for i := n; i < t.gainFrom; i++ {
		held = append(held, i)
	}
	losses := make([]float64, len(t.students))
	var g parallel.Group
	for i, s := range t.students {
		g.Go(func() error {
			nll, _, err := s.forward(held, t.plan.batch, 0)
			if err != nil {
				return err
			}
			tokens := 0
			for k, p := range held {
				losses[i] += nll[k]
				tokens += s.seqs[p].supervised()
			}
			losses[i] /= float64(tokens)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	tired := true
	for i, s := range t.students {
		t.log(epoch, t.step, s.name, "dev_loss", losses[i])
		if s.dev.since++; losses[i] < s.dev.best {
			s.dev.best, s.dev.since = losses[i], 0
			if t.plan.best {
				s.dev.set = s.params.Clone()
			}
		}
		tired = tired && s.dev.since >= t.plan.Patience
	}
	t.stopped = t.plan.Patience > 0 && tired
	return nil
}

// kept is what the student hands on: its last weights or those of its best dev loss.
func (s *student) kept() weights.Set {
	if s.dev.set != nil {
		return s.dev.set
	}
	return s.params
}
