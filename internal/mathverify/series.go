package mathverify

import "math/big"

// infiniteSum is the sum of the body over v = a, a+1, ...; the terms of equal
// ratio are summed together, so that parts that diverge alone may cancel.
func (e *evaluator) infiniteSum(body *Node, v string, a int64) (value, error) {
	ts, err := e.groupedTerms(body, v)
	if err != nil {
		return value{}, err
	}
	acc := exactInt(0)
	for _, t := range ts {
		x, err := e.sumTerm(t, a)
		if err != nil {
			return value{}, err
		}
		acc = e.add(acc, x)
	}
	return acc, nil
}

// groupedTerms adds up the terms with the same exact ratio and no factorials.
func (e *evaluator) groupedTerms(body *Node, v string) ([]term, error) {
	ts, err := e.terms(body, v, 0)
	if err != nil {
		return nil, err
	}
	var out []term
next:
	for _, t := range ts {
		if t.coef.exact && t.coef.im == nil {
			t.rat.num = t.rat.num.scale(t.coef.re)
			t.coef = exactInt(1)
		}
		if len(t.rat.num) == 0 || t.coef.isZero() {
			continue
		}
		if !t.ratio.real || !t.coef.real {
			return nil, errNoValue
		}
		for i, o := range out {
			if len(t.facts)+len(o.facts) == 0 && t.ratio.exact && o.ratio.exact && t.ratio.re.Cmp(o.ratio.re) == 0 &&
				t.coef.exact && o.coef.exact {
				if out[i].rat, err = o.rat.add(t.rat, e.b); err != nil {
					return nil, err
				}
				continue next
			}
		}
		out = append(out, t)
	}
	return out, nil
}

func (e *evaluator) sumTerm(t term, a int64) (value, error) {
	var err error
	if t.rat, err = t.rat.reduced(e.b); err != nil || len(t.rat.num) == 0 {
		return exactInt(0), err
	}
	if len(t.facts) > 0 {
		return e.sumHypergeometric(t, a)
	}
	m, err := e.abs(t.ratio)
	if err != nil {
		return value{}, err
	}
	c, ok := e.cmp(m, exactInt(1))
	switch {
	case !ok:
		return value{}, errPrecision
	case c > 0:
		return value{}, errUndefined
	case c < 0 && len(t.rat.den) == 1:
		return e.sumGeometric(t, a)
	case c < 0:
		return e.sumHypergeometric(t, a)
	}
	sum := value{}
	if t.ratio.re.Sign() > 0 {
		sum, err = e.sumRational(t.rat, a)
	} else {
		// Pairs of neighbours: f(a+2j) - f(a+2j+1), with the sign of (-1)^a.
		if len(t.rat.num) >= len(t.rat.den) {
			return value{}, errUndefined
		}
		even, err1 := t.rat.compose(a, 2, e.b)
		odd, err2 := t.rat.compose(a+1, 2, e.b)
		if err1 != nil || err2 != nil {
			return value{}, errBudget
		}
		odd.num = odd.num.scale(big.NewRat(-1, 1))
		pair, err3 := even.add(odd, e.b)
		if err3 != nil {
			return value{}, err3
		}
		if pair, err3 = pair.reduced(e.b); err3 != nil {
			return value{}, err3
		}
		sum, err = e.sumRational(pair, 0)
		if a%2 != 0 {
			sum = e.negIf(err, sum)
		}
	}
	if err != nil {
		return value{}, err
	}
	return e.mul(t.coef, sum), nil
}

func (e *evaluator) negIf(err error, v value) value {
	if err != nil {
		return v
	}
	return e.neg(v)
}

// reduced cancels common factors.
func (f ratFunc) reduced(b *budget) (ratFunc, error) {
	if len(f.num) == 0 {
		return ratFunc{nil, poly{big.NewRat(1, 1)}}, nil
	}
	g, err := polyGCD(f.num, f.den, b)
	if err != nil || len(g) <= 1 {
		return f, err
	}
	n, err := f.num.quo(g, b)
	if err != nil {
		return f, err
	}
	d, err := f.den.quo(g, b)
	return ratFunc{n, d}, err
}

// compose is f(offset + step j) as a function of j.
func (f ratFunc) compose(offset, step int64, b *budget) (ratFunc, error) {
	n, err := f.num.compose(offset, step, b)
	if err != nil {
		return f, err
	}
	d, err := f.den.compose(offset, step, b)
	return ratFunc{n, d}, err
}

func (p poly) compose(offset, step int64, b *budget) (poly, error) {
	lin := poly{new(big.Rat).SetInt64(offset), new(big.Rat).SetInt64(step)}
	var acc poly
	var err error
	for i := len(p) - 1; i >= 0; i-- {
		if acc, err = acc.mul(lin, b); err != nil {
			return nil, err
		}
		acc = acc.add(constPoly(p[i]))
	}
	return acc, nil
}

// differences are the forward differences of p at a: p(a), (D p)(a), ...
func (p poly) differences(a int64) []*big.Rat {
	row := make([]*big.Rat, len(p))
	for i := range row {
		row[i] = p.atInt(a + int64(i))
	}
	out := make([]*big.Rat, 0, len(p))
	for len(row) > 0 {
		out = append(out, row[0])
		for i := 0; i+1 < len(row); i++ {
			row[i] = new(big.Rat).Sub(row[i+1], row[i])
		}
		row = row[:len(row)-1]
	}
	return out
}

// sumGeometric is the sum of p(k) r^k from a on, in closed form:
// r^a sum_j (D^j p)(a) r^j / (1-r)^(j+1). For |r| > 1 it is the formal value,
// whose differences are finite sums.
func (e *evaluator) sumGeometric(t term, a int64) (value, error) {
	q, err := e.div(t.ratio, e.sub(exactInt(1), t.ratio))
	if err != nil {
		return value{}, err
	}
	w, err := e.inv(e.sub(exactInt(1), t.ratio))
	if err != nil {
		return value{}, err
	}
	p := t.rat.num.scale(new(big.Rat).Inv(t.rat.den[0]))
	acc := exactInt(0)
	for _, d := range p.differences(a) {
		acc = e.add(acc, e.mul(exactRat(d), w))
		w = e.mul(w, q)
	}
	s, err := e.pow(t.ratio, exactInt(a))
	if err != nil {
		return value{}, err
	}
	return e.mul(e.mul(s, acc), t.coef), nil
}

// longSum is a finite sum over more terms than can be added one by one:
// polynomials by Newton's forward differences, polynomials times r^k by the
// difference of two formal geometric sums, convergent rational functions by
// the difference of two infinite sums.
func (e *evaluator) longSum(body *Node, v string, a, b int64) (value, error) {
	ts, err := e.groupedTerms(body, v)
	if err != nil {
		return value{}, err
	}
	acc := exactInt(0)
	for _, t := range ts {
		if len(t.facts) > 0 || b == 1<<63-1 {
			return value{}, errBudget
		}
		if t.rat, err = t.rat.reduced(e.b); err != nil {
			return value{}, err
		}
		if t.ratio.exact && t.ratio.re.Cmp(big.NewRat(1, 1)) == 0 && len(t.rat.den) == 1 {
			x := new(big.Rat)
			count := new(big.Int).Sub(big.NewInt(b), big.NewInt(a))
			count.Add(count, big.NewInt(1))
			choose := new(big.Rat).SetInt(count) // C(count, j+1)
			for j, d := range t.rat.num.differences(a) {
				x.Add(x, new(big.Rat).Mul(d, choose))
				choose.Mul(choose, new(big.Rat).SetFrac(new(big.Int).Sub(count, big.NewInt(int64(j+1))), big.NewInt(int64(j+2))))
			}
			acc = e.add(acc, e.mul(t.coef, exactRat(x.Quo(x, t.rat.den[0]))))
			continue
		}
		sum := e.sumTerm
		if len(t.rat.den) == 1 {
			sum = e.sumGeometric
		}
		x, err := sum(t, a)
		if err != nil {
			return value{}, err
		}
		y, err := sum(t, b+1)
		if err != nil {
			return value{}, err
		}
		acc = e.add(acc, e.sub(x, y))
	}
	return acc, nil
}

// sumHypergeometric adds terms until the rest is bounded by a geometric series
// far below the working precision.
func (e *evaluator) sumHypergeometric(t term, a int64) (value, error) {
	step, err := e.termRatio(t)
	if err != nil {
		return value{}, err
	}
	acc := exactInt(0)
	small := newF(64).SetMantExp(big.NewFloat(1), -int(e.p)-16)
	var x value
	for k := a; ; k++ {
		if x, err = e.following(t, step, x, k, k == a); err != nil {
			return value{}, err
		}
		if k > a+2 && k > 1 {
			m, err := e.abs(x)
			if err != nil {
				return value{}, err
			}
			re, _ := m.ival(64)
			if re.hi.Cmp(small) < 0 {
				if q, ok := step.bound(k); ok {
					// The terms from k on add up to at most |t(k)| / (1-q).
					rest := up(64).Quo(re.hi, down(64).SetRat(q.Sub(big.NewRat(1, 1), q)))
					re, im := acc.ival(e.p)
					return complexIval(re.widen(rest, e.p), im), nil
				}
			}
		}
		acc = e.add(acc, x)
		if acc.exact && ratBits(acc.re) > 4*int(e.p) {
			re, im := acc.ival(e.p)
			acc = complexIval(re, im)
		}
	}
}

// following is t(k), from x = t(k-1) where the quotient of the two is known.
func (e *evaluator) following(t term, step ratioBound, x value, k int64, first bool) (value, error) {
	if first || x.isZero() {
		return e.at(t, k)
	}
	d := step.den.atInt(k - 1)
	if d.Sign() == 0 {
		return e.at(t, k)
	}
	if err := e.b.spend(2 + len(step.num) + len(step.den) + int(e.p)/256); err != nil {
		return value{}, err
	}
	y := e.mul(e.mul(x, t.ratio), exactRat(d.Quo(step.num.atInt(k-1), d)))
	if y.exact && ratBits(y.re) > 2*int(e.p) { // long fractions cost more than they tell
		re, im := y.ival(e.p + 32)
		y = complexIval(re, im)
	}
	return y, nil
}

// ratioBound is t(k+1)/t(k) = num(k)/den(k) times scale in absolute value.
type ratioBound struct {
	num, den poly
	scale    *big.Rat
}

func (e *evaluator) termRatio(t term) (ratioBound, error) {
	m, err := e.abs(t.ratio)
	if err != nil {
		return ratioBound{}, err
	}
	re, _ := m.ival(64)
	scale, _ := re.hi.Rat(nil)
	if scale == nil {
		return ratioBound{}, errPrecision
	}
	next, err := t.rat.compose(1, 1, e.b)
	if err != nil {
		return ratioBound{}, err
	}
	f, err := next.mul(ratFunc{t.rat.den, t.rat.num}, e.b)
	if err != nil {
		return ratioBound{}, err
	}
	for _, g := range t.facts {
		for i := int64(1); i <= g.a; i++ {
			lin := poly{new(big.Rat).SetInt64(g.b + i), new(big.Rat).SetInt64(g.a)}
			for j := 0; j < max(g.exp, -g.exp); j++ {
				if g.exp > 0 {
					f.num, err = f.num.mul(lin, e.b)
				} else {
					f.den, err = f.den.mul(lin, e.b)
				}
				if err != nil {
					return ratioBound{}, err
				}
			}
		}
	}
	if len(f.num) > len(f.den) {
		return ratioBound{}, errUndefined
	}
	return ratioBound{f.num, f.den, scale}, nil
}

// bound is an upper bound below one for the ratio at every index from k on:
// the leading terms dominate and the others are largest, in proportion, at k.
func (r ratioBound) bound(k int64) (*big.Rat, bool) {
	lead := func(p poly, sign int64) *big.Rat {
		x := new(big.Rat).SetFrac64(1, k)
		acc, w := new(big.Rat).Abs(p[len(p)-1]), new(big.Rat).Set(x)
		for i := len(p) - 2; i >= 0; i-- {
			t := new(big.Rat).Mul(new(big.Rat).Abs(p[i]), w)
			acc.Add(acc, t.Mul(t, big.NewRat(sign, 1)))
			w.Mul(w, x)
		}
		return acc
	}
	a, b := lead(r.num, 1), lead(r.den, -1)
	if b.Sign() <= 0 {
		return nil, false
	}
	q := a.Quo(a, b)
	q.Mul(q, r.scale)
	for i := len(r.num); i < len(r.den); i++ {
		q.Quo(q, new(big.Rat).SetInt64(k))
	}
	return q, q.Cmp(big.NewRat(1, 1)) < 0
}
