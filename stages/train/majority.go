package train

import (
	"github.com/distillflow/distillflow/internal/answer"
	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/schema"
)

// majority is the most frequent gold answer among rows, the first by text among equals,
// and the rows for which it is right. Where a row has several right answers each of them
// counts, and free text counts by its words. Rows of a declared task are graded as a
// student's answer is.
func majority(test []schema.Problem, rows []int) (string, map[int]bool, error) {
	type tally struct {
		n    int
		text string
	}
	counts := map[string]tally{}
	questions := map[int]answer.Question{}
	for _, i := range rows {
		q, err := answer.Of(test[i])
		if err != nil {
			return "", nil, err
		}
		questions[i] = q
		for _, a := range answer.Right(q) {
			c := counts[a.Key]
			if c.n++; c.n == 1 || a.Text < c.text {
				c.text = a.Text
			}
			counts[a.Key] = c
		}
	}
	best := tally{}
	for _, c := range counts {
		if c.n > best.n || c.n == best.n && c.text < best.text {
			best = c
		}
	}
	right := map[int]bool{}
	for i, q := range questions {
		if right[i] = q.Gold == best.text; len(test[i].TaskSpec) > 0 {
			right[i] = answer.Grade(q, best.text, mathverify.Options{}).Verdict == mathverify.Equal
		}
	}
	return best.text, right, nil
}
