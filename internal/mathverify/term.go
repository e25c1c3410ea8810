package mathverify

import "math/big"

// Terms of series. A summand is split into terms
//
//	coef * ratio^k * rat(k) * prod (a k + b)!^exp
//
// in the summation index k, the form for which sums over long or infinite
// ranges have a rule (Graham, Knuth & Patashnik, "Concrete Mathematics",
// chapter 5: hypergeometric terms).

// term is one such summand.
type term struct {
	coef, ratio value
	rat         ratFunc
	facts       []factorialPower
}

// factorialPower is (a k + b)!^exp.
type factorialPower struct {
	a, b int64
	exp  int
}

const maxTermParts = 16

// terms splits n into terms in the index v.
func (e *evaluator) terms(n *Node, v string, depth int) ([]term, error) {
	if depth > maxDepth {
		return nil, errBudget
	}
	one := ratFunc{poly{big.NewRat(1, 1)}, poly{big.NewRat(1, 1)}}
	if f, err := toPoly(n, v, e); err == nil {
		return []term{{coef: exactInt(1), ratio: exactInt(1), rat: f}}, nil
	}
	if free(n, v) {
		x, err := e.eval(n)
		return []term{{coef: x, ratio: exactInt(1), rat: one}}, err
	}
	switch n.Kind {
	case KAdd:
		var out []term
		for _, a := range n.Args {
			t, err := e.terms(a, v, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, t...)
		}
		if len(out) > maxTermParts {
			return nil, errBudget
		}
		return out, nil
	case KNeg:
		return e.terms(node(KMul, num(-1), n.Args[0]), v, depth+1)
	case KMul:
		acc := []term{{coef: exactInt(1), ratio: exactInt(1), rat: one}}
		for _, a := range n.Args {
			t, err := e.terms(a, v, depth+1)
			if err != nil {
				return nil, err
			}
			if acc, err = e.crossTerms(acc, t); err != nil {
				return nil, err
			}
		}
		return acc, nil
	case KDiv:
		a, err := e.terms(n.Args[0], v, depth+1)
		if err != nil {
			return nil, err
		}
		b, err := e.terms(n.Args[1], v, depth+1)
		if err != nil {
			return nil, err
		}
		if len(b) != 1 {
			return nil, errNoValue
		}
		inv, err := e.powerTerm(b[0], -1)
		if err != nil {
			return nil, err
		}
		return e.crossTerms(a, []term{inv})
	case KPow:
		return e.powerTerms(n, v, depth)
	case KFunc:
		return e.functionTerms(n, v, depth)
	}
	return nil, errNoValue
}

func (e *evaluator) crossTerms(a, b []term) ([]term, error) {
	if len(a)*len(b) > maxTermParts {
		return nil, errBudget
	}
	var out []term
	for _, x := range a {
		for _, y := range b {
			f, err := x.rat.mul(y.rat, e.b)
			if err != nil {
				return nil, err
			}
			facts := append(append([]factorialPower(nil), x.facts...), y.facts...)
			out = append(out, term{e.mul(x.coef, y.coef), e.mul(x.ratio, y.ratio), f, facts})
		}
	}
	return out, nil
}

// powerTerm is t^k.
func (e *evaluator) powerTerm(t term, k int64) (term, error) {
	if k > 64 || k < -64 {
		return term{}, errBudget
	}
	x := exactInt(k)
	coef, err := e.pow(t.coef, x)
	if err != nil {
		return term{}, err
	}
	ratio, err := e.pow(t.ratio, x)
	if err != nil {
		return term{}, err
	}
	f := t.rat
	if k < 0 {
		if len(f.num) == 0 {
			return term{}, errUndefined
		}
		f = ratFunc{f.den, f.num}
	}
	acc := ratFunc{poly{big.NewRat(1, 1)}, poly{big.NewRat(1, 1)}}
	for i := max(k, -k); i > 0; i-- {
		if acc, err = acc.mul(f, e.b); err != nil {
			return term{}, err
		}
	}
	out := term{coef: coef, ratio: ratio, rat: acc}
	for _, g := range t.facts {
		g.exp *= int(k)
		out.facts = append(out.facts, g)
	}
	return out, nil
}

// linearIn reads n as slope*v + offset with rational numbers.
func (e *evaluator) linearIn(n *Node, v string) (slope, offset *big.Rat, ok bool) {
	f, err := toPoly(n, v, e)
	if err != nil || len(f.den) != 1 || len(f.num) > 2 {
		return nil, nil, false
	}
	slope, offset = new(big.Rat), new(big.Rat)
	if len(f.num) > 0 {
		offset.Quo(f.num[0], f.den[0])
	}
	if len(f.num) > 1 {
		slope.Quo(f.num[1], f.den[0])
	}
	return slope, offset, true
}

func (e *evaluator) powerTerms(n *Node, v string, depth int) ([]term, error) {
	base, exp := n.Args[0], n.Args[1]
	if free(exp, v) {
		x, err := e.eval(exp)
		if err != nil {
			return nil, err
		}
		k, ok := x.small()
		if !ok {
			return nil, errNoValue
		}
		t, err := e.terms(base, v, depth+1)
		if err != nil {
			return nil, err
		}
		if len(t) == 1 {
			p, err := e.powerTerm(t[0], k)
			return []term{p}, err
		}
		if k < 0 || k > 8 {
			return nil, errNoValue
		}
		acc := []term{{coef: exactInt(1), ratio: exactInt(1), rat: ratFunc{poly{big.NewRat(1, 1)}, poly{big.NewRat(1, 1)}}}}
		for ; k > 0; k-- {
			if acc, err = e.crossTerms(acc, t); err != nil {
				return nil, err
			}
		}
		return acc, nil
	}
	if !free(base, v) {
		return nil, errNoValue
	}
	return e.exponentialTerm(base, exp, v)
}

// exponentialTerm is base^(s v + c) = base^c (base^s)^v.
func (e *evaluator) exponentialTerm(base, exp *Node, v string) ([]term, error) {
	s, c, ok := e.linearIn(exp, v)
	if !ok {
		return nil, errNoValue
	}
	ratio, err := e.eval(node(KPow, base, ratNode(s)))
	if err != nil {
		return nil, err
	}
	coef, err := e.eval(node(KPow, base, ratNode(c)))
	if err != nil {
		return nil, err
	}
	one := poly{big.NewRat(1, 1)}
	if !ratio.real || ratio.isZero() {
		return nil, errNoValue
	}
	return []term{{coef: coef, ratio: ratio, rat: ratFunc{one, one}}}, nil
}

func (e *evaluator) functionTerms(n *Node, v string, depth int) ([]term, error) {
	one := poly{big.NewRat(1, 1)}
	switch {
	case n.Name == "exp":
		return e.exponentialTerm(&Node{Kind: KConst, Name: "e"}, n.Args[0], v)
	case n.Name == "factorial":
		s, c, ok := e.linearIn(n.Args[0], v)
		if !ok || !s.IsInt() || !c.IsInt() || s.Sign() <= 0 || s.Num().BitLen() > 6 || c.Num().BitLen() > 16 {
			return nil, errNoValue
		}
		return []term{{coef: exactInt(1), ratio: exactInt(1), rat: ratFunc{one, one},
			facts: []factorialPower{{s.Num().Int64(), c.Num().Int64(), 1}}}}, nil
	case n.Name == "binomial" && len(n.Args) == 2:
		a, b := n.Args[0], n.Args[1]
		rest := node(KAdd, a, node(KNeg, b))
		return e.terms(node(KDiv, fn("factorial", a), node(KMul, fn("factorial", b), fn("factorial", rest))), v, depth+1)
	case n.Name == "cos" && len(n.Args) == 1 && isPiTimes(n.Args[0], v):
		return e.exponentialTerm(num(-1), &Node{Kind: KSym, Name: v}, v)
	}
	return nil, errNoValue
}

// isPiTimes reports v pi, of which the cosine alternates in sign.
func isPiTimes(n *Node, v string) bool {
	if n.Kind != KMul || len(n.Args) != 2 {
		return false
	}
	a, b := n.Args[0], n.Args[1]
	if a.Kind == KConst {
		a, b = b, a
	}
	return a.Kind == KSym && a.Name == v && b.Kind == KConst && b.Name == "pi"
}

// at is the value of the term at k.
func (e *evaluator) at(t term, k int64) (value, error) {
	if err := e.b.spend(2 + len(t.rat.num) + len(t.rat.den) + int(e.p)/256); err != nil {
		return value{}, err
	}
	acc, err := e.pow(t.ratio, exactInt(k))
	if err != nil {
		return value{}, err
	}
	acc = e.mul(e.mul(acc, t.coef), exactRat(t.rat.num.atInt(k)))
	d := t.rat.den.atInt(k)
	if d.Sign() == 0 {
		return value{}, errUndefined
	}
	acc = e.mul(acc, exactRat(d.Inv(d)))
	for _, f := range t.facts {
		x, err := e.factorial(exactInt(f.a*k + f.b))
		if err != nil {
			return value{}, err
		}
		if x, err = e.pow(x, exactInt(int64(f.exp))); err != nil {
			return value{}, err
		}
		acc = e.mul(acc, x)
	}
	return acc, nil
}

// atInt is p(k) by Horner's rule.
func (p poly) atInt(k int64) *big.Rat {
	x, acc := new(big.Rat).SetInt64(k), new(big.Rat)
	for i := len(p) - 1; i >= 0; i-- {
		acc.Add(acc.Mul(acc, x), p[i])
	}
	return acc
}
