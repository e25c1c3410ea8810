package mathverify

import (
	"errors"
	"math/big"
)

// integral is the definite integral of body over [from, to] by an
// antiderivative; ends may be infinite or singular. The integrand must be
// finite between the ends, which is checked with interval arithmetic.
func (e *evaluator) integral(body *Node, v string, from, to *Node) (value, error) {
	restore := e.bind(v)
	defer restore()
	delete(e.env, v)
	ia, ib := infinite(from), infinite(to)
	a, b := value{}, value{}
	var err error
	if ia == 0 {
		if a, err = e.eval(from); err != nil {
			return value{}, err
		}
	}
	if ib == 0 {
		if b, err = e.eval(to); err != nil {
			return value{}, err
		}
	}
	if ia == 0 && ib == 0 {
		if f, err := toPoly(body, v, e); err == nil && len(f.den) == 1 {
			return polyIntegral(e, f, a, b), nil
		}
		if !a.real || !b.real {
			return value{}, errNoValue
		}
		if c, ok := e.cmp(a, b); ok && c > 0 {
			x, err := e.integral(body, v, to, from)
			return e.negIf(err, x), err
		}
	}
	if ia > 0 || ib < 0 {
		return value{}, errNoValue
	}
	if x, ok := e.gaussian(body, v, ia, ib, a, b); ok {
		return x, nil
	}
	anti, ok := e.antiderivative(body, v, 0)
	if !ok {
		return value{}, errNoValue
	}
	if err := e.regularBetween(body, v, ia, ib, a, b); err != nil {
		return value{}, err
	}
	x, err := e.endValue(anti, v, from, ia, a, 1)
	if err != nil {
		return value{}, err
	}
	y, err := e.endValue(anti, v, to, ib, b, -1)
	if err != nil {
		return value{}, err
	}
	if !x.real || !y.real { // the path crosses a branch cut
		return value{}, errNoValue
	}
	return e.sub(y, x), nil
}

// endValue is the antiderivative at one end, or its limit from inside
// (side 1: from above) where it has no value there.
func (e *evaluator) endValue(anti *Node, v string, end *Node, inf int, x value, side int64) (value, error) {
	if inf != 0 {
		return e.atInfinity(anti, v, inf)
	}
	restore := e.bind(v)
	e.env[v] = x
	y, err := e.eval(anti)
	restore()
	if err == nil || !errors.Is(err, errUndefined) {
		return y, err
	}
	delete(e.env, v)
	near := node(KAdd, end, node(KDiv, num(side), &Node{Kind: KSym, Name: v}))
	if x.isZero() {
		near = node(KDiv, num(side), &Node{Kind: KSym, Name: v})
	}
	return e.atInfinity(substitute(anti, v, near), v, 1)
}

// regularBetween checks that body has a bounded value on the path, except near
// its ends, where the antiderivative decides. An infinite end is followed by
// doubling up to 2^64.
func (e *evaluator) regularBetween(body *Node, v string, ia, ib int, a, b value) error {
	const far = 1 << 12
	prec := uint(64)
	lo, hi := big.NewFloat(-far), big.NewFloat(far)
	if ia == 0 {
		re, _ := a.ival(prec)
		lo = re.lo
	}
	if ib == 0 {
		re, _ := b.ival(prec)
		hi = re.hi
	}
	if lo.IsInf() || hi.IsInf() {
		return errBudget
	}
	low := evaluator{arith: arith{p: prec, b: e.b}, env: e.env, log10: e.log10, product: e.product}
	restore := low.bind(v)
	defer restore()
	width := new(big.Float).Sub(hi, lo)
	edge := new(big.Float).SetMantExp(width, -16)
	inLo, inHi := new(big.Float).Add(lo, edge), new(big.Float).Sub(hi, edge)
	var check func(l, h *big.Float, depth int) error
	check = func(l, h *big.Float, depth int) error {
		low.env[v] = realIval(ival{l, h})
		x, err := low.eval(body)
		if err == nil && x.real {
			re, _ := x.ival(prec)
			if !re.lo.IsInf() && !re.hi.IsInf() {
				return nil
			}
		}
		if errors.Is(err, errBudget) || errors.Is(err, errNoValue) {
			return err
		}
		if h.Cmp(inLo) <= 0 || l.Cmp(inHi) >= 0 { // next to a finite end
			return nil
		}
		if depth > 26 {
			return errNoValue
		}
		m := newF(prec).Add(l, h)
		m.Quo(m, big.NewFloat(2))
		if err := check(l, m, depth+1); err != nil {
			return err
		}
		return check(m, h, depth+1)
	}
	if err := check(lo, hi, 0); err != nil {
		return err
	}
	for k := 12; k < 64; k++ {
		l, h := newF(prec).SetMantExp(big.NewFloat(1), k), newF(prec).SetMantExp(big.NewFloat(1), k+1)
		inLo, inHi = l, h
		if ib != 0 && h.Cmp(lo) > 0 {
			if err := check(l, h, 0); err != nil {
				return err
			}
		}
		if ia != 0 && new(big.Float).Neg(h).Cmp(hi) < 0 {
			inLo, inHi = new(big.Float).Neg(h), new(big.Float).Neg(l)
			if err := check(inLo, inHi, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// gaussian is the integral of c e^(-k x^2) over a half line or the whole line,
// which has a value although it has no elementary antiderivative.
func (e *evaluator) gaussian(body *Node, v string, ia, ib int, a, b value) (value, bool) {
	if ia == 0 && (ib == 0 || !a.isZero()) || ib == 0 && !b.isZero() {
		return value{}, false
	}
	r, rest := e.splitRational(body, v)
	if len(rest) != 1 || r == nil || len(r.num) != 1 || len(r.den) != 1 {
		return value{}, false
	}
	exp, ok := naturalExponent(rest[0])
	if !ok {
		return value{}, false
	}
	f, err := toPoly(exp, v, e)
	if err != nil || len(f.den) != 1 || len(f.num) != 3 || f.num[1].Sign() != 0 {
		return value{}, false
	}
	k := new(big.Rat).Quo(f.num[2], f.den[0])
	if k.Sign() >= 0 {
		return value{}, false
	}
	c := new(big.Rat).Quo(r.num[0], r.den[0])
	q, err := e.div(realIval(piIval(e.p)), exactRat(k.Neg(k)))
	if err != nil {
		return value{}, false
	}
	s, err1 := e.sqrt(q)
	w, err2 := e.exp(exactRat(new(big.Rat).Quo(f.num[0], f.den[0])))
	if err1 != nil || err2 != nil {
		return value{}, false
	}
	if ia == 0 || ib == 0 {
		c.Quo(c, big.NewRat(2, 1))
	}
	return e.mul(e.mul(s, w), exactRat(c)), true
}

// naturalExponent is x where n is e^x or exp(x).
func naturalExponent(n *Node) (*Node, bool) {
	switch {
	case n.Kind == KPow && n.Args[0].Kind == KConst && n.Args[0].Name == "e":
		return n.Args[1], true
	case n.Kind == KFunc && n.Name == "exp":
		return n.Args[0], true
	}
	return nil, false
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
