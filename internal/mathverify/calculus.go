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
		return e.limit(n.Args[0], v, n.Args[2], 0)
	}
	return value{}, errNoValue
}

// integral is the definite integral of body over [from, to].
func (e *evaluator) integral(body *Node, v string, from, to *Node) (value, error) {
	a, err := e.eval(from)
	if err != nil {
		return value{}, err
	}
	b, err := e.eval(to)
	if err != nil {
		return value{}, err
	}
	if f, err := toPoly(body, v, e); err == nil && len(f.den) == 1 {
		return polyIntegral(e, f, a, b), nil
	}
	anti, ok := antiderivative(body, v, 0)
	if !ok {
		return value{}, errNoValue
	}
	// The rules hold on intervals where the integrand is defined: both ends
	// and the middle must have values.
	mid := e.mul(e.add(a, b), exactRat(big.NewRat(1, 2)))
	restore := e.bind(v)
	defer restore()
	at := func(n *Node, x value) (value, error) {
		e.env[v] = x
		return e.eval(n)
	}
	if _, err := at(body, mid); err != nil {
		return value{}, err
	}
	x, err := at(anti, a)
	if err != nil {
		return value{}, err
	}
	y, err := at(anti, b)
	if err != nil {
		return value{}, err
	}
	if !x.real || !y.real { // the path crosses a branch cut
		return value{}, errNoValue
	}
	return e.sub(y, x), nil
}

func polyIntegral(e *evaluator, f ratFunc, a, b value) value {
	at := func(x value) value {
		acc := exactInt(0)
		for i := len(f.num) - 1; i >= 0; i-- {
			c := new(big.Rat).Quo(f.num[i], f.den[0])
			c.Quo(c, big.NewRat(int64(i+1), 1))
			acc = e.mul(e.add(acc, exactRat(c)), x)
		}
		return acc
	}
	return e.sub(at(b), at(a))
}

// free reports that n does not contain v.
func free(n *Node, v string) bool {
	return n.walk(func(m *Node) bool { return !(m.Kind == KSym && m.Name == v) })
}

// antiderivative integrates sums, constant multiples, powers, exponentials,
// sine and cosine of linear arguments, and reciprocals of linear functions.
func antiderivative(n *Node, v string, depth int) (*Node, bool) {
	if depth > 20 {
		return nil, false
	}
	x := &Node{Kind: KSym, Name: v}
	if free(n, v) {
		return node(KMul, n, x), true
	}
	switch n.Kind {
	case KSym:
		return node(KDiv, node(KPow, x, num(2)), num(2)), true
	case KNeg:
		a, ok := antiderivative(n.Args[0], v, depth+1)
		if !ok {
			return nil, false
		}
		return node(KNeg, a), true
	case KAdd:
		args := make([]*Node, len(n.Args))
		for i, a := range n.Args {
			f, ok := antiderivative(a, v, depth+1)
			if !ok {
				return nil, false
			}
			args[i] = f
		}
		return node(KAdd, args...), true
	case KMul:
		return antiProduct(n, v, depth)
	case KDiv:
		a, b := n.Args[0], n.Args[1]
		if free(b, v) {
			f, ok := antiderivative(a, v, depth+1)
			return node(KDiv, f, b), ok
		}
		if free(a, v) {
			f, ok := antiderivative(node(KPow, b, num(-1)), v, depth+1)
			return node(KMul, a, f), ok
		}
	case KPow:
		base, exp := n.Args[0], n.Args[1]
		if slope, ok := linear(base, v); ok && free(exp, v) {
			return antiPower(base, exp, slope)
		}
		if slope, ok := linear(exp, v); ok && free(base, v) {
			// a^(kx+c) / (k ln a)
			return node(KDiv, n, node(KMul, slope, fn("ln", base))), true
		}
	case KFunc:
		if len(n.Args) != 1 {
			return nil, false
		}
		slope, ok := linear(n.Args[0], v)
		if !ok {
			return nil, false
		}
		switch n.Name {
		case "sin":
			return node(KDiv, node(KNeg, fn("cos", n.Args[0])), slope), true
		case "cos":
			return node(KDiv, fn("sin", n.Args[0]), slope), true
		case "exp":
			return node(KDiv, n, slope), true
		case "sqrt":
			return antiPower(n.Args[0], ratNode(big.NewRat(1, 2)), slope)
		case "ln":
			u := n.Args[0]
			return node(KDiv, node(KAdd, node(KMul, u, n), node(KNeg, u)), slope), true
		}
	}
	return nil, false
}

// antiPower integrates u^p for a linear u with the given slope.
func antiPower(u, p, slope *Node) (*Node, bool) {
	if p.Kind == KNum && p.Rat.Cmp(big.NewRat(-1, 1)) == 0 {
		return node(KDiv, fn("ln", fn("abs", u)), slope), true
	}
	q := node(KAdd, p, num(1))
	return node(KDiv, node(KPow, u, q), node(KMul, slope, q)), true
}

// antiProduct pulls constant factors out and merges powers of v; a product of
// v and a function with a known antiderivative goes by parts.
func antiProduct(n *Node, v string, depth int) (*Node, bool) {
	var consts, rest []*Node
	for _, a := range n.Args {
		if free(a, v) {
			consts = append(consts, a)
		} else {
			rest = append(rest, a)
		}
	}
	var f *Node
	var ok bool
	switch {
	case len(rest) == 1:
		f, ok = antiderivative(rest[0], v, depth+1)
	case len(rest) == 2:
		u, w := rest[0], rest[1]
		if _, lin := linear(u, v); !lin {
			u, w = w, u
		}
		slope, lin := linear(u, v)
		if !lin {
			return nil, false
		}
		// integral of u w = u W - slope * integral of W
		var big1, big2 *Node
		if big1, ok = antiderivative(w, v, depth+1); !ok {
			return nil, false
		}
		if big2, ok = antiderivative(big1, v, depth+1); !ok {
			return nil, false
		}
		f = node(KAdd, node(KMul, u, big1), node(KNeg, node(KMul, slope, big2)))
	}
	if !ok {
		return nil, false
	}
	return node(KMul, append(consts, f)...), true
}

// linear reports n = slope * v + c with both free of v.
func linear(n *Node, v string) (*Node, bool) {
	d, ok := differentiate(n, v, 0)
	if !ok || !free(d, v) {
		return nil, false
	}
	return d, !free(n, v)
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
		if err != nil {
			return value{}, err
		}
		one, err := e.limitInf(body.Args[0], v, sign, depth+1)
		if err != nil || !e.sub(one, exactInt(1)).isZero() {
			return value{}, errNoValue
		}
		return e.exp(x)
	}
	return value{}, errNoValue
}
