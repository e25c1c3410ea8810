package mathverify

import "math/big"

// logarithms collects the summands coef * ln|f| of a sum with rational f; rest
// are the other summands.
func (e *evaluator) logarithms(n, coef *Node, v string, logs *[][2]*Node, rest *[]*Node, depth int) {
	if depth < maxDepth {
		switch n.Kind {
		case KAdd:
			for _, a := range n.Args {
				e.logarithms(a, coef, v, logs, rest, depth+1)
			}
			return
		case KNeg:
			e.logarithms(n.Args[0], node(KMul, num(-1), coef), v, logs, rest, depth+1)
			return
		case KMul:
			inner := -1
			for i, a := range n.Args {
				if !free(a, v) {
					if inner >= 0 {
						inner = -2
						break
					}
					inner = i
				}
			}
			if inner >= 0 {
				others := []*Node{coef}
				for i, a := range n.Args {
					if i != inner {
						others = append(others, a)
					}
				}
				e.logarithms(n.Args[inner], node(KMul, others...), v, logs, rest, depth+1)
				return
			}
		case KDiv:
			if free(n.Args[1], v) {
				e.logarithms(n.Args[0], node(KDiv, coef, n.Args[1]), v, logs, rest, depth+1)
				return
			}
		case KFunc:
			if n.Name == "ln" {
				a := n.Args[0]
				if isAbs(a) {
					a = a.Args[0]
				}
				*logs = append(*logs, [2]*Node{coef, a})
				return
			}
		}
	}
	*rest = append(*rest, node(KMul, coef, n))
}

// logSumAtInfinity is the limit of sum c_i ln|f_i| with rational f_i whose
// degrees, weighted by c_i, cancel: sum c_i ln|leading coefficient of f_i|.
func (e *evaluator) logSumAtInfinity(n *Node, v string) (sum value, rest *Node, ok bool) {
	var logs [][2]*Node
	var others []*Node
	e.logarithms(n, num(1), v, &logs, &others, 0)
	sum, degree := exactInt(0), exactInt(0)
	if len(logs) < 2 {
		return value{}, nil, false
	}
	for _, l := range logs {
		f, err := toPoly(l[1], v, e)
		if err != nil || len(f.num) == 0 || len(f.den) == 0 {
			return value{}, nil, false
		}
		c, err := e.eval(l[0])
		if err != nil {
			return value{}, nil, false
		}
		lead := new(big.Rat).Quo(f.num[len(f.num)-1], f.den[len(f.den)-1])
		x, err := e.log(exactRat(lead.Abs(lead)))
		if err != nil {
			return value{}, nil, false
		}
		sum = e.add(sum, e.mul(c, x))
		degree = e.add(degree, e.mul(c, exactInt(int64(len(f.num)-len(f.den)))))
	}
	if !degree.isZero() {
		return value{}, nil, false
	}
	if len(others) == 0 {
		return sum, nil, true
	}
	return sum, node(KAdd, others...), true
}
