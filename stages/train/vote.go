package train

import (
	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/mathverify"
)

// ballot is an answer in a vote, and how probably it is right.
type ballot struct {
	answered
	sure float64
}

// elect is the most frequent answer: of those that are equal by the task's own comparison,
// the surest. Ballots without an answer do not count, and among equally frequent answers
// the one with the surest ballot wins, then the first.
func elect(q answer.Question, ballots []ballot) answered {
	type party struct {
		n    int
		best ballot
	}
	var parties []party
next:
	for _, b := range ballots {
		if b.pred == "" {
			continue
		}
		for i := range parties {
			p := &parties[i]
			if same(q, p.best.pred, b.pred) {
				if p.n++; b.sure > p.best.sure {
					p.best = b
				}
				continue next
			}
		}
		parties = append(parties, party{1, b})
	}
	var won party
	for _, p := range parties {
		if p.n > won.n || p.n == won.n && p.best.sure > won.best.sure {
			won = p
		}
	}
	return won.best.answered
}

// same reports whether two answers to a question are one.
func same(q answer.Question, a, b string) bool {
	if a == b {
		return true
	}
	q.Gold, q.Golds = a, nil
	return answer.Grade(q, b, mathverify.Options{}).Verdict == mathverify.Equal
}
