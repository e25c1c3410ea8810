package mathverify

import "math/big"

// Leading behaviour for v -> +infinity in the scale
// c e^(rate v) v^pow (ln v)^log, the simplest part of Hardy's "Orders of
// Infinity". It gives limits and the ends of improper integrals; where leading
// terms cancel there is no answer.

// growth is one leading term. super is the sign of an exponent that grows
// faster than v itself. An oscillating factor (sin v) leaves c an enclosure
// and sets osc.
type growth struct {
	c     value
	super int
	rate  value
	pow   *big.Rat
	log   int64
	osc   bool
}

func constantGrowth(c value) growth {
	return growth{c: c, rate: exactInt(0), pow: new(big.Rat)}
}

// order is 1 when the term grows without bound, -1 when it vanishes, 0 when it
// stays of constant size.
func (e *evaluator) order(g growth) (int, error) {
	if g.super != 0 {
		return g.super, nil
	}
	if c, ok := e.cmp(g.rate, exactInt(0)); !ok {
		if re, _ := g.rate.ival(e.p); !re.tight(int(e.p) / 2) {
			return 0, errPrecision
		}
	} else if c != 0 {
		return c, nil
	}
	if s := g.pow.Sign(); s != 0 {
		return s, nil
	}
	return sign64(g.log), nil
}

func sign64(n int64) int {
	switch {
	case n > 0:
		return 1
	case n < 0:
		return -1
	}
	return 0
}

func (e *evaluator) timesGrowth(a, b growth) (growth, error) {
	if a.super*b.super < 0 {
		return growth{}, errNoValue
	}
	s := a.super
	if s == 0 {
		s = b.super
	}
	return growth{e.mul(a.c, b.c), s, e.add(a.rate, b.rate), new(big.Rat).Add(a.pow, b.pow), a.log + b.log, a.osc || b.osc}, nil
}

// powGrowth is g^k; a negative coefficient needs a whole k.
func (e *evaluator) powGrowth(g growth, k *big.Rat) (growth, error) {
	if g.osc && k.Sign() < 0 || !k.IsInt() && g.log != 0 {
		return growth{}, errNoValue
	}
	if !k.IsInt() {
		if s, ok := e.cmp(g.c, exactInt(0)); !ok || s <= 0 {
			return growth{}, errNoValue
		}
	}
	c, err := e.pow(g.c, exactRat(k))
	if err != nil {
		return growth{}, err
	}
	l := g.log
	if l != 0 {
		if k.Num().BitLen() > 16 {
			return growth{}, errNoValue
		}
		l *= k.Num().Int64()
	}
	return growth{c, g.super * k.Sign(), e.mul(g.rate, exactRat(k)), new(big.Rat).Mul(g.pow, k), l, g.osc}, nil
}

func (e *evaluator) growth(n *Node, v string, depth int) (growth, error) {
	if err := e.b.spend(4); err != nil || depth > maxDepth {
		return growth{}, errBudget
	}
	if free(n, v) {
		c, err := e.eval(n)
		if err == nil && !c.real {
			err = errNoValue
		}
		if err == nil && !c.exact {
			if _, ok := e.cmp(c, exactInt(0)); !ok { // may be zero: no leading term
				err = errPrecision
			}
		}
		return constantGrowth(c), err
	}
	if f, err := toPoly(n, v, e); err == nil && len(f.den) > 0 {
		if len(f.num) == 0 {
			return constantGrowth(exactInt(0)), nil
		}
		c := new(big.Rat).Quo(f.num[len(f.num)-1], f.den[len(f.den)-1])
		return growth{c: exactRat(c), rate: exactInt(0), pow: big.NewRat(int64(len(f.num)-len(f.den)), 1)}, nil
	}
	switch n.Kind {
	case KSym:
		return growth{c: exactInt(1), rate: exactInt(0), pow: big.NewRat(1, 1)}, nil
	case KNeg:
		g, err := e.growth(n.Args[0], v, depth+1)
		g.c = e.negIf(err, g.c)
		return g, err
	case KAdd:
		return e.sumGrowth(n.Args, v, depth)
	case KMul:
		acc := constantGrowth(exactInt(1))
		for _, a := range n.Args {
			g, err := e.growth(a, v, depth+1)
			if err != nil {
				return g, err
			}
			if acc, err = e.timesGrowth(acc, g); err != nil {
				return g, err
			}
		}
		return acc, nil
	case KDiv:
		a, err := e.growth(n.Args[0], v, depth+1)
		if err != nil {
			return a, err
		}
		b, err := e.growth(n.Args[1], v, depth+1)
		if err != nil {
			return b, err
		}
		if b, err = e.powGrowth(b, big.NewRat(-1, 1)); err != nil {
			return b, err
		}
		return e.timesGrowth(a, b)
	case KPow:
		if !free(n.Args[1], v) {
			if !free(n.Args[0], v) { // f^g = e^(g ln f)
				return e.exponentialGrowth(&Node{Kind: KConst, Name: "e"}, node(KMul, n.Args[1], fn("ln", n.Args[0])), v, depth+1)
			}
			return e.exponentialGrowth(n.Args[0], n.Args[1], v, depth)
		}
		g, err := e.growth(n.Args[0], v, depth+1)
		if err != nil {
			return g, err
		}
		k, err := e.eval(n.Args[1])
		if err != nil || !k.exact || k.im != nil {
			return g, errNoValue
		}
		return e.powGrowth(g, k.re)
	case KFunc:
		if len(n.Args) == 1 {
			return e.functionGrowth(n, v, depth)
		}
	}
	return growth{}, errNoValue
}

// sumGrowth keeps the summands of the highest order, which must not cancel.
func (e *evaluator) sumGrowth(args []*Node, v string, depth int) (growth, error) {
	var best growth
	have := false
	for _, a := range args {
		g, err := e.growth(a, v, depth+1)
		if err != nil {
			return g, err
		}
		if g.c.isZero() {
			continue
		}
		if !have {
			best, have = g, true
			continue
		}
		if best.super != 0 && best.super == g.super {
			return g, errNoValue // two towers of exponentials are not compared
		}
		q := growth{super: g.super - best.super, rate: e.sub(g.rate, best.rate), pow: new(big.Rat).Sub(g.pow, best.pow), log: g.log - best.log}
		q.super = sign64(int64(q.super))
		o, err := e.order(q)
		switch {
		case err != nil:
			return g, err
		case o > 0:
			best = g
		case o == 0:
			best.c = e.add(best.c, g.c)
			best.osc = best.osc || g.osc
			if s, ok := e.cmp(best.c, exactInt(0)); !best.osc && (!ok || s == 0) {
				return e.conjugateGrowth(args, v, depth)
			}
		}
	}
	if !have {
		return constantGrowth(exactInt(0)), nil
	}
	return best, nil
}

// conjugateGrowth handles a + b whose leading terms cancel where a or b is a
// square root: (a^2 - b^2)/(a - b).
func (e *evaluator) conjugateGrowth(args []*Node, v string, depth int) (growth, error) {
	if len(args) != 2 {
		return growth{}, errNoValue
	}
	square := func(n *Node) *Node {
		m := n
		if m.Kind == KNeg {
			m = m.Args[0]
		}
		if m.Kind == KFunc && m.Name == "sqrt" {
			return m.Args[0]
		}
		return node(KPow, m, num(2))
	}
	top := node(KAdd, square(args[0]), node(KNeg, square(args[1])))
	if _, err := toPoly(top, v, e); err != nil {
		return growth{}, errNoValue
	}
	return e.growth(node(KDiv, top, node(KAdd, args[0], negate(args[1]))), v, depth+2)
}

// exponentialGrowth is base^exp with a constant base.
func (e *evaluator) exponentialGrowth(base, exp *Node, v string, depth int) (growth, error) {
	b, err := e.eval(base)
	if err != nil {
		return growth{}, err
	}
	if s, ok := e.cmp(b, exactInt(0)); !ok || s <= 0 {
		return growth{}, errNoValue
	}
	l := exactInt(1)
	if base.Kind != KConst || base.Name != "e" {
		if l, err = e.log(b); err != nil {
			return growth{}, err
		}
	}
	if slope, ok := linear(exp, v); ok {
		s, err := e.eval(slope)
		if err != nil {
			return growth{}, err
		}
		restore := e.bind(v)
		defer restore()
		e.env[v] = exactInt(0)
		c, err := e.eval(node(KPow, base, exp))
		return growth{c: c, rate: e.mul(s, l), pow: new(big.Rat)}, err
	}
	g, err := e.growth(exp, v, depth+1)
	if err != nil || g.osc {
		return growth{}, errNoValue
	}
	o, err := e.order(g)
	if err != nil {
		return g, err
	}
	switch {
	case o < 0:
		return constantGrowth(exactInt(1)), nil
	case o == 0:
		x, err := e.pow(b, g.c)
		return constantGrowth(x), err
	}
	if g.super == 0 && g.rate.isZero() && g.pow.Cmp(big.NewRat(1, 1)) <= 0 {
		return growth{}, errNoValue // between powers and exponentials
	}
	s, ok1 := e.cmp(g.c, exactInt(0))
	t, ok2 := e.cmp(l, exactInt(0))
	if !ok1 || !ok2 || s*t == 0 {
		return growth{}, errPrecision
	}
	return growth{c: exactInt(1), super: s * t, rate: exactInt(0), pow: new(big.Rat)}, nil
}

func (e *evaluator) functionGrowth(n *Node, v string, depth int) (growth, error) {
	if n.Name == "exp" {
		return e.exponentialGrowth(&Node{Kind: KConst, Name: "e"}, n.Args[0], v, depth)
	}
	g, err := e.growth(n.Args[0], v, depth+1)
	if err != nil {
		return g, err
	}
	if n.Name == "sqrt" {
		return e.powGrowth(g, big.NewRat(1, 2))
	}
	o, err := e.order(g)
	if err != nil {
		return g, err
	}
	if g.osc {
		if o != 0 && (n.Name == "sin" || n.Name == "cos") {
			o, g.osc = 1, false
		} else {
			return g, errNoValue
		}
	}
	switch n.Name {
	case "abs":
		g.c, err = e.abs(g.c)
		return g, err
	case "ln", "log":
		switch {
		case g.super != 0 || n.Name == "log" && e.log10:
			return g, errNoValue
		case !g.rate.isZero():
			return growth{c: g.rate, rate: exactInt(0), pow: big.NewRat(1, 1)}, nil
		case g.pow.Sign() != 0:
			return growth{c: exactRat(g.pow), rate: exactInt(0), pow: new(big.Rat), log: 1}, nil
		case g.log != 0:
			return g, errNoValue
		}
		if g.c.exact && e.sub(g.c, exactInt(1)).isZero() { // ln(1+h) ~ h
			return e.growth(node(KAdd, n.Args[0], num(-1)), v, depth+1)
		}
		x, err := e.log(g.c)
		if err == nil {
			err = e.mustNotVanish(x)
		}
		return constantGrowth(x), err
	case "sin", "cos", "arctan", "tanh", "arcsin", "tan":
		if o > 0 {
			return e.functionAtInfinity(n.Name, g)
		}
		if o < 0 && n.Name != "cos" {
			return g, nil // f(x) ~ x near zero
		}
		c := g.c
		if o < 0 {
			c = exactInt(0)
		}
		x, err := e.trig(n.Name, c)
		if err == nil {
			err = e.mustNotVanish(x)
		}
		return constantGrowth(x), err
	}
	return g, errNoValue
}

// mustNotVanish refuses a leading coefficient that may be zero, because the
// next term would decide then.
func (e *evaluator) mustNotVanish(x value) error {
	if s, ok := e.cmp(x, exactInt(0)); !ok || s == 0 {
		return errNoValue
	}
	return nil
}

func (e *evaluator) functionAtInfinity(name string, g growth) (growth, error) {
	s, ok := e.cmp(g.c, exactInt(0))
	if !ok || s == 0 {
		return g, errPrecision
	}
	switch name {
	case "arctan":
		return constantGrowth(e.mul(realIval(piIval(e.p)), exactRat(big.NewRat(int64(s), 2)))), nil
	case "tanh":
		return constantGrowth(exactInt(int64(s))), nil
	case "sin", "cos":
		one := big.NewFloat(1)
		r := constantGrowth(realIval(ival{new(big.Float).Neg(one), one}))
		r.osc = true
		return r, nil
	}
	return g, errNoValue
}

// atInfinity is the limit of n for v -> +infinity, or -infinity where sign is
// negative.
func (e *evaluator) atInfinity(n *Node, v string, sign int) (value, error) {
	if sign < 0 {
		n = substitute(n, v, node(KNeg, &Node{Kind: KSym, Name: v}))
	}
	if sum, rest, ok := e.logSumAtInfinity(n, v); ok {
		if rest == nil {
			return sum, nil
		}
		x, err := e.atInfinity(rest, v, 1)
		if err != nil {
			return value{}, err
		}
		return e.add(sum, x), nil
	}
	g, err := e.growth(n, v, 0)
	if err != nil {
		return value{}, err
	}
	o, err := e.order(g)
	switch {
	case err != nil:
		return value{}, err
	case g.c.isZero() || o < 0:
		return exactInt(0), nil
	case o > 0 || g.osc:
		return value{}, errUndefined
	}
	return g.c, nil
}

// substitute replaces the symbol v by with.
func substitute(n *Node, v string, with *Node) *Node {
	return n.rewrite(func(m *Node) *Node {
		if m.Kind == KSym && m.Name == v {
			return with
		}
		return m
	})
}
