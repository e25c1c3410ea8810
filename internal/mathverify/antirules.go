package mathverify

import "math/big"

// antiRoot integrates (A + B x + C x^2)^p for p = 1/2 and -1/2.
func (e *evaluator) antiRoot(n *Node, v string) (*Node, bool) {
	var q *Node
	up := false
	switch {
	case n.Kind == KFunc && n.Name == "sqrt":
		q, up = n.Args[0], true
	case n.Kind == KPow:
		k, ok := e.rationalConstant(n.Args[1], v)
		if !ok || k.Cmp(big.NewRat(1, 2)) != 0 && k.Cmp(big.NewRat(-1, 2)) != 0 {
			if n.Args[0].Kind == KFunc && n.Args[0].Name == "sqrt" && ok && k.Cmp(big.NewRat(-1, 1)) == 0 {
				q = n.Args[0].Args[0]
				break
			}
			return nil, false
		}
		q, up = n.Args[0], k.Sign() > 0
	default:
		return nil, false
	}
	f, err := toPoly(q, v, e)
	if err != nil || len(f.den) != 1 || len(f.num) != 3 {
		return nil, false
	}
	p := f.num.scale(new(big.Rat).Inv(f.den[0]))
	d := discriminant(p)
	top := p.derivative().node(v)
	var inv *Node
	if p[2].Sign() < 0 {
		if d.Sign() <= 0 {
			return nil, false
		}
		inv = node(KDiv, fn("arcsin", node(KDiv, node(KNeg, top), fn("sqrt", ratNode(d)))), fn("sqrt", ratNode(new(big.Rat).Neg(p[2]))))
	} else {
		s := fn("sqrt", ratNode(p[2]))
		inv = node(KDiv, fn("ln", fn("abs", node(KAdd, node(KMul, num(2), s, fn("sqrt", q)), top))), s)
	}
	if !up {
		return inv, true
	}
	c4 := new(big.Rat).Mul(p[2], big.NewRat(4, 1))
	k := new(big.Rat).Neg(new(big.Rat).Quo(d, new(big.Rat).Mul(c4, big.NewRat(2, 1)))) // (4AC - B^2)/8C
	return node(KAdd, node(KDiv, node(KMul, top, fn("sqrt", q)), ratNode(c4)), node(KMul, ratNode(k), inv)), true
}

// rationalConstant is the value of n when it does not depend on v.
func (e *evaluator) rationalConstant(n *Node, v string) (*big.Rat, bool) {
	if !free(n, v) {
		return nil, false
	}
	x, err := e.eval(n)
	if err != nil || !x.exact || x.im != nil {
		return nil, false
	}
	return x.re, true
}

// byParts integrates polynomials times functions that can be integrated again
// and again, and rational functions times logarithms and inverse functions.
func (e *evaluator) byParts(r ratFunc, inner []*Node, v string, depth int) (*Node, bool) {
	if len(r.den) == 1 && len(r.num) > 1 && len(r.num) < 16 {
		if f, ok := e.tabular(r.num.scale(new(big.Rat).Inv(r.den[0])), inner, v, depth); ok {
			return f, true
		}
	}
	// integral of r u = R u - integral of R u'
	if len(inner) != 1 {
		return nil, false
	}
	u := inner[0]
	base := u
	if u.Kind == KPow && u.Args[1].Kind == KNum && u.Args[1].Rat.Sign() > 0 {
		base = u.Args[0]
	}
	if base.Kind != KFunc || len(base.Args) != 1 {
		return nil, false
	}
	switch base.Name {
	case "ln", "log", "arctan", "arcsin", "arccos":
	default:
		return nil, false
	}
	big1, ok := e.antiRational(r, v)
	if !ok {
		return nil, false
	}
	if _, err := toPoly(big1, v, e); err != nil {
		return nil, false
	}
	du, ok := differentiate(u, v, 0)
	if !ok {
		return nil, false
	}
	rest, ok := e.antiderivative(node(KMul, big1, du), v, depth+2)
	if !ok {
		return nil, false
	}
	return node(KAdd, node(KMul, big1, u), node(KNeg, rest)), true
}

// tabular is p W1 - p' W2 + p” W3 ... with W the repeated antiderivatives.
func (e *evaluator) tabular(p poly, inner []*Node, v string, depth int) (*Node, bool) {
	w := node(KMul, inner...)
	if len(inner) == 1 {
		w = inner[0]
	}
	var terms []*Node
	sign := int64(1)
	for len(p) > 0 {
		var ok bool
		if w, ok = e.antiderivative(w, v, depth+3); !ok || w.size() > 3000 {
			return nil, false
		}
		terms = append(terms, node(KMul, num(sign), p.node(v), w))
		p, sign = p.derivative(), -sign
	}
	return node(KAdd, terms...), true
}

// bySubstitution looks for an inner function g such that the factors without g
// are a constant times g'.
func (e *evaluator) bySubstitution(r ratFunc, inner []*Node, v string, depth int) (*Node, bool) {
	if depth > 25 {
		return nil, false
	}
	var candidates []*Node
	seen := map[string]bool{}
	add := func(g *Node) {
		if _, lin := linear(g, v); lin || free(g, v) || g.Kind == KSym || len(candidates) > 8 {
			return
		}
		if s := g.String(); !seen[s] {
			seen[s] = true
			candidates = append(candidates, g)
		}
	}
	for _, f := range inner {
		f.walk(func(m *Node) bool {
			switch m.Kind {
			case KFunc:
				add(m)
				for _, a := range m.Args {
					add(a)
				}
			case KPow:
				add(m.Args[0])
				add(m.Args[1])
				if free(m.Args[0], v) {
					add(m)
				}
			}
			return true
		})
	}
	factors := append([]*Node{node(KDiv, r.num.node(v), r.den.node(v))}, inner...)
	u := v + "'" // no symbol of an answer carries a prime inside an integral
	for _, g := range candidates {
		name := g.String()
		dg, ok := differentiate(g, v, 0)
		if !ok {
			continue
		}
		var with []*Node
		without := []*Node{num(1)}
		for _, f := range factors {
			s := replaceNode(f, g, name, &Node{Kind: KSym, Name: u})
			if free(s, v) && !free(s, u) {
				with = append(with, s)
			} else {
				without = append(without, f)
			}
		}
		k, ok := e.constantQuotient(node(KMul, without...), dg, v)
		if !ok || len(with) == 0 {
			continue
		}
		if f, ok := e.antiderivative(node(KMul, with...), u, depth+8); ok {
			return node(KMul, ratNode(k), substitute(f, u, g)), true
		}
	}
	return nil, false
}

// replaceNode replaces every copy of g; name is its printed form.
func replaceNode(n, g *Node, name string, with *Node) *Node {
	return n.rewrite(func(m *Node) *Node {
		if m.Kind == g.Kind && (m == g || m.String() == name) {
			return with
		}
		return m
	})
}

// constantQuotient reports a/b = k for a rational k: exactly for rational
// functions, else at four points with the quotient recognised as a fraction.
func (e *evaluator) constantQuotient(a, b *Node, v string) (*big.Rat, bool) {
	restore := e.bind(v)
	defer restore()
	delete(e.env, v)
	if f, err := toPoly(node(KDiv, a, b), v, e); err == nil {
		f, err = f.reduced(e.b)
		if err != nil || len(f.num) != 1 || len(f.den) != 1 {
			return nil, false
		}
		return new(big.Rat).Quo(f.num[0], f.den[0]), true
	}
	var k *big.Rat
	low := evaluator{arith: arith{p: 192, b: e.b}, env: e.env, log10: e.log10, product: e.product}
	for i := int64(0); i < 4; i++ {
		low.env[v] = exactRat(big.NewRat(7*i+5, 23))
		x, err1 := low.eval(a)
		y, err2 := low.eval(b)
		if err1 != nil || err2 != nil {
			return nil, false
		}
		q, err := low.div(x, y)
		if err != nil || !q.real {
			return nil, false
		}
		if k == nil {
			re, _ := q.ival(192)
			m, _ := re.mid(192).Float64()
			k = nearFraction(m)
			if k == nil {
				return nil, false
			}
		}
		if low.separate(q, exactRat(k)) == apart {
			return nil, false
		}
	}
	return k, true
}

// nearFraction is the fraction with a denominator up to 64 at x, if any.
func nearFraction(x float64) *big.Rat {
	for d := int64(1); d <= 64; d++ {
		y := x * float64(d)
		if y > 1e9 || y < -1e9 {
			return nil
		}
		n := int64(y)
		for _, c := range []int64{n - 1, n, n + 1} {
			if diff := y - float64(c); diff < 1e-9 && diff > -1e-9 {
				return big.NewRat(c, d)
			}
		}
	}
	return nil
}
