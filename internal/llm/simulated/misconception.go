package simulated

import (
	"math/big"
	"strings"
)

// misconceive makes a calculation of two or more steps follow a misconception, the same one
// whenever the last step is of the same kind, and reports whether there is such a
// calculation:
//
//   - Where the last step takes away or divides, it adds or multiplies. The equations are
//     true and the answer is wrong.
//   - Where it adds or multiplies, the step before comes out one too high, and the last
//     makes up for it. The answer is right and both equations are false.
func (p *problem) misconceive() bool {
	var eqs []*step
	for i := range p.steps {
		if p.steps[i].lhs != "" {
			eqs = append(eqs, &p.steps[i])
		}
	}
	if len(eqs) < 2 {
		return false
	}
	last, before := eqs[len(eqs)-1], eqs[len(eqs)-2]
	f := strings.Fields(last.lhs)
	if len(f) != 3 || last.rhs != p.gold {
		return false
	}
	switch f[1] {
	case "-", "/":
		last.lhs = f[0] + map[string]string{"-": " + ", "/": " * "}[f[1]] + f[2]
		v, ok := eval(last.lhs)
		if !ok || show(v) == p.gold {
			return false
		}
		last.rhs = show(v)
		p.answer, p.rival = last.rhs, p.answer
	case "+", "*":
		v, ok := number(before.rhs)
		if !ok || substitute(last.lhs, map[string]string{before.rhs: ""}) == last.lhs {
			return false
		}
		high := show(v.Add(v, big.NewRat(1, 1)))
		last.lhs = substitute(last.lhs, map[string]string{before.rhs: high})
		before.rhs = high
	}
	return true
}
