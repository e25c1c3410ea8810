package mathverify

import (
	"errors"
	"math/big"
)

// calculus evaluates derivatives by rule, definite integrals by an
// antiderivative and limits by substitution, by degrees or by l'Hopital's rule.
// What none of these rules reaches has no value here.
func (e *evaluator) calculus(n *Node) (value, error) {
	v := n.Args[1].Name
	switch n.Name {
	case "diff":
		d, ok := differentiate(n.Args[0], v, 0)
		if !ok {
			return value{}, errNoValue
		}
		return e.eval(d)
	case "int":
		if len(n.Args) < 4 {
			return value{}, errNoValue
		}
		return e.integral(n.Args[0], v, n.Args[2], n.Args[3])
	case "lim":
		if len(n.Args) > 3 && infinite(n.Args[2]) == 0 {
			return e.limitFrom(n.Args[0], v, n.Args[2], n.Args[3])
		}
		x, err := e.limit(n.Args[0], v, n.Args[2], 0)
		if err == nil || infinite(n.Args[2]) != 0 || errors.Is(err, errBudget) {
			return x, err
		}
		return e.limitBothSides(n.Args[0], v, n.Args[2], err)
	}
	return value{}, errNoValue
}

// free reports that n does not contain v.
func free(n *Node, v string) bool {
	return n.walk(func(m *Node) bool { return !(m.Kind == KSym && m.Name == v) })
}

// limitFrom is the limit for v -> to from one side, by v = to + side/v.
func (e *evaluator) limitFrom(body *Node, v string, to, side *Node) (value, error) {
	restore := e.bind(v)
	defer restore()
	delete(e.env, v)
	near := node(KDiv, side, &Node{Kind: KSym, Name: v})
	if a, err := e.eval(to); err != nil {
		return value{}, err
	} else if !a.isZero() {
		near = node(KAdd, to, near)
	}
	x, err := e.atInfinity(substitute(body, v, near), v, 1)
	if err == nil || errors.Is(err, errUndefined) {
		return x, err
	}
	return e.limit(body, v, to, 0)
}

// limitBothSides is the limit where both sides have the same; err is what the
// other rules said.
func (e *evaluator) limitBothSides(body *Node, v string, to *Node, err error) (value, error) {
	restore := e.bind(v)
	defer restore()
	delete(e.env, v)
	var sides []value
	for _, s := range []int64{1, -1} {
		near := node(KAdd, to, node(KDiv, num(s), &Node{Kind: KSym, Name: v}))
		x, err1 := e.atInfinity(substitute(body, v, near), v, 1)
		if err1 != nil {
			return value{}, err
		}
		sides = append(sides, x)
	}
	if s := e.separate(sides[0], sides[1]); s == sameExact || s == overlapTight {
		return sides[0], nil
	} else if s == apart {
		return value{}, errUndefined
	}
	return value{}, err
}

// limit evaluates lim body for v -> to.
func (e *evaluator) limit(body *Node, v string, to *Node, depth int) (value, error) {
	if inf := infinite(to); inf != 0 {
		return e.limitInf(body, v, inf, depth)
	}
	a, err := e.eval(to)
	if err != nil {
		return value{}, err
	}
	restore := e.bind(v)
	defer restore()
	e.env[v] = a
	x, err := e.eval(body)
	if err == nil || !errors.Is(err, errUndefined) && !errors.Is(err, errPrecision) {
		return x, err
	}
	if body.Kind != KDiv || depth > 6 {
		return value{}, err
	}
	// l'Hopital's rule for 0/0
	top, err1 := e.eval(body.Args[0])
	bottom, err2 := e.eval(body.Args[1])
	if err1 != nil || err2 != nil || !nearZero(top, e.p) || !nearZero(bottom, e.p) {
		return value{}, errUndefined
	}
	p, ok1 := differentiate(body.Args[0], v, 0)
	q, ok2 := differentiate(body.Args[1], v, 0)
	if !ok1 || !ok2 {
		return value{}, errNoValue
	}
	return e.limit(node(KDiv, p, q), v, to, depth+1)
}

func nearZero(v value, p uint) bool {
	if v.isZero() {
		return true
	}
	if v.exact {
		return false
	}
	re, im := v.ival(p)
	return re.sign() == 2 && re.tight(int(p)/2) && (v.real || im.sign() == 2)
}

// limitInf handles rational functions by their degrees and everything else by
// substituting 1/t for v and letting t go to zero.
func (e *evaluator) limitInf(body *Node, v string, sign, depth int) (value, error) {
	f, err := toPoly(body, v, e)
	if err == nil && len(f.den) > 0 {
		switch {
		case len(f.num) == 0 || len(f.num) < len(f.den):
			return exactInt(0), nil
		case len(f.num) == len(f.den):
			return exactRat(new(big.Rat).Quo(f.num[len(f.num)-1], f.den[len(f.den)-1])), nil
		}
		return value{}, errUndefined
	}
	// (1 + a/v)^(b v) -> e^(ab)
	if body.Kind == KPow && !free(body.Args[0], v) && !free(body.Args[1], v) && depth < 2 {
		t := node(KMul, body.Args[1], node(KAdd, body.Args[0], num(-1)))
		x, err := e.limitInf(t, v, sign, depth+1)
		one, err1 := e.limitInf(body.Args[0], v, sign, depth+1)
		if err == nil && err1 == nil && e.sub(one, exactInt(1)).isZero() {
			return e.exp(x)
		}
	}
	return e.atInfinity(body, v, sign)
}
