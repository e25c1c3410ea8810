package mathverify

import "math/big"

// realRoots writes the real roots of p as expressions, in increasing order.
// It takes out rational roots and solves what is left by the quadratic
// formula; ok is false where more than that remains.
func (p poly) realRoots(c *comparer) ([]*Node, bool) {
	q, err := p.squareFree(c.b)
	if err != nil || len(q) == 0 {
		return nil, false
	}
	var roots []*Node
	if len(q) > 3 {
		var ok bool
		if q, roots, ok = q.rationalRoots(c.b); !ok {
			return nil, false
		}
	}
	switch len(q) {
	case 1:
	case 2:
		r := new(big.Rat).Quo(q[0], q[1])
		roots = append(roots, ratNode(r.Neg(r)))
	case 3:
		// x = (-b +- sqrt(b^2 - 4ac)) / 2a
		d := new(big.Rat).Mul(q[1], q[1])
		d.Sub(d, new(big.Rat).Mul(big.NewRat(4, 1), new(big.Rat).Mul(q[0], q[2])))
		if d.Sign() < 0 {
			break
		}
		b := ratNode(new(big.Rat).Neg(q[1]))
		a2 := ratNode(new(big.Rat).Mul(big.NewRat(2, 1), q[2]))
		s := fn("sqrt", ratNode(d))
		roots = append(roots, node(KDiv, join(KAdd, b, node(KNeg, s)), a2), node(KDiv, join(KAdd, b, s), a2))
	default:
		return nil, false
	}
	for i := 1; i < len(roots); i++ { // insertion sort by value
		for j := i; j > 0; j-- {
			k, ok := c.order(roots[j], roots[j-1])
			if !ok {
				return nil, false
			}
			if k >= 0 {
				break
			}
			roots[j], roots[j-1] = roots[j-1], roots[j]
		}
	}
	return roots, true
}

// rationalRoots divides out roots a/b with a | constant and b | leading
// coefficient, as the rational root theorem allows, for small coefficients.
func (p poly) rationalRoots(b *budget) (rest poly, roots []*Node, ok bool) {
	l := big.NewInt(1)
	for _, c := range p {
		g := new(big.Int).GCD(nil, nil, l, c.Denom())
		l.Mul(l, new(big.Int).Quo(c.Denom(), g))
	}
	rest = p.scale(new(big.Rat).SetInt(l))
	for rest[0].Sign() == 0 {
		rest = rest[1:]
		roots = append(roots, num(0))
	}
	a0, an := new(big.Int).Abs(rest[0].Num()), new(big.Int).Abs(rest[len(rest)-1].Num())
	if !a0.IsInt64() || !an.IsInt64() || a0.Int64() > 5000 || an.Int64() > 500 {
		return nil, nil, false
	}
	for _, d := range divisors(an.Int64()) {
		for _, n := range divisors(a0.Int64()) {
			for _, s := range []int64{1, -1} {
				r := big.NewRat(s*n, d)
				if err := b.spend(len(rest)); err != nil {
					return nil, nil, false
				}
				if r.Denom().Int64() != d || rest.at(r).Sign() != 0 {
					continue
				}
				q, err := rest.quo(poly{new(big.Rat).Neg(r), big.NewRat(1, 1)}, b)
				if err != nil {
					return nil, nil, false
				}
				rest, roots = q, append(roots, ratNode(r))
				if len(rest) <= 3 {
					return rest, roots, true
				}
			}
		}
	}
	return rest, roots, len(rest) <= 3
}

func divisors(n int64) []int64 {
	var out []int64
	for i := int64(1); i <= n; i++ {
		if n%i == 0 {
			out = append(out, i)
		}
	}
	return out
}

// at is p(x) by Horner's rule.
func (p poly) at(x *big.Rat) *big.Rat {
	acc := new(big.Rat)
	for i := len(p) - 1; i >= 0; i-- {
		acc.Mul(acc, x)
		acc.Add(acc, p[i])
	}
	return acc
}

// solvePoly solves f op 0 for a rational function f of v: the sign between two
// neighbouring roots of numerator and denominator is that at any point there.
func (c *comparer) solvePoly(diff *Node, op, v string) ([]seg, bool) {
	f, err := toPoly(diff, v, c.evaluator(128, map[string]value{}))
	if err != nil || len(f.num) == 0 || len(f.num)+len(f.den) > 24 {
		return nil, false
	}
	all, err := f.num.mul(f.den, c.b)
	if err != nil {
		return nil, false
	}
	roots, ok := all.realRoots(c)
	if !ok {
		return nil, false
	}
	holds := func(sign int) bool {
		switch op {
		case "<":
			return sign < 0
		case "<=":
			return sign <= 0
		case ">":
			return sign > 0
		case ">=":
			return sign >= 0
		case "!=":
			return sign != 0
		}
		return sign == 0
	}
	var out []seg
	for i := 0; i <= len(roots); i++ {
		x, ok := c.between(roots, i)
		if !ok {
			return nil, false
		}
		s := seg{loOpen: true, hiOpen: true}
		if i > 0 {
			s.lo = roots[i-1]
		}
		if i < len(roots) {
			s.hi = roots[i]
		}
		if holds(all.at(x).Sign()) {
			out = append(out, s)
		}
		if i < len(roots) && holds(0) && !c.isRoot(f.den, roots[i]) {
			out = append(out, seg{lo: roots[i], hi: roots[i]})
		}
	}
	return c.normal(out)
}

// between returns a rational number between roots i-1 and i.
func (c *comparer) between(roots []*Node, i int) (*big.Rat, bool) {
	bound := func(n *Node) (ival, bool) {
		v, err := c.evaluator(256, nil).eval(n)
		if err != nil || !v.real {
			return ival{}, false
		}
		re, _ := v.ival(256)
		return re, !re.lo.IsInf() && !re.hi.IsInf()
	}
	switch {
	case len(roots) == 0:
		return new(big.Rat), true
	case i == 0, i == len(roots):
		r, ok := bound(roots[min(i, len(roots)-1)])
		if !ok {
			return nil, false
		}
		x, _ := r.mid(256).Rat(nil)
		d := big.NewRat(1, 1)
		if i == 0 {
			d.Neg(d)
		}
		return d.Add(d, x), true
	}
	a, ok1 := bound(roots[i-1])
	b, ok2 := bound(roots[i])
	if !ok1 || !ok2 {
		return nil, false
	}
	x, _ := ival{a.hi, b.lo}.mid(256).Rat(nil)
	return x, true
}

// isRoot reports den(x) = 0.
func (c *comparer) isRoot(den poly, x *Node) bool {
	acc := num(0)
	for i := len(den) - 1; i >= 0; i-- {
		acc = node(KAdd, node(KMul, acc, x), ratNode(den[i]))
	}
	return c.constants(acc, num(0)).Verdict == Equal
}
