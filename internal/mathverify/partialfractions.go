package mathverify

import "math/big"

// node writes p as an expression in v.
func (p poly) node(v string) *Node {
	x := &Node{Kind: KSym, Name: v}
	var args []*Node
	for i, c := range p {
		if c.Sign() != 0 {
			args = append(args, node(KMul, ratNode(c), node(KPow, x, num(int64(i)))))
		}
	}
	if len(args) == 0 {
		return num(0)
	}
	return node(KAdd, args...)
}

// shifted is p(x + r).
func (p poly) shifted(r *big.Rat, b *budget) (poly, error) {
	lin := poly{r, big.NewRat(1, 1)}
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

// antiRational integrates a rational function by partial fractions: rational
// roots of the denominator, and one quadratic or a biquadratic beside them.
func (e *evaluator) antiRational(f ratFunc, v string) (*Node, bool) {
	f, err := f.reduced(e.b)
	if err != nil || len(f.den) == 0 {
		return nil, false
	}
	whole, err := f.num.quo(f.den, e.b)
	if err != nil {
		return nil, false
	}
	if g, m := f.inPower(); m > 1 { // x^(m-1) h(x^m) dx = h(u) du / m
		const u = "power'"
		if anti, ok := e.antiRational(g, u); ok {
			return node(KDiv, substitute(anti, u, node(KPow, &Node{Kind: KSym, Name: v}, num(m))), num(m)), true
		}
	}
	terms := []*Node{whole.integrated().node(v)}
	if f.num, err = f.num.rem(f.den, e.b); err != nil {
		return nil, false
	}
	for _, r := range f.den.poleCandidates(e.b) {
		t, rest, ok := e.antiPole(f, r, v)
		if !ok {
			return nil, false
		}
		terms, f = append(terms, t...), rest
	}
	if len(f.num) > 0 && len(f.den) > 1 {
		t, ok := e.antiQuadratics(f, v)
		if !ok {
			return nil, false
		}
		terms = append(terms, t...)
	}
	return node(KAdd, terms...), true
}

// inPower finds the largest m with f = x^(m-1) h(x^m) and returns h.
func (f ratFunc) inPower() (h ratFunc, m int64) {
next:
	for m := len(f.den) - 1; m > 1; m-- {
		for i, c := range f.num {
			if c.Sign() != 0 && (i+1)%m != 0 {
				continue next
			}
		}
		for i, c := range f.den {
			if c.Sign() != 0 && i%m != 0 {
				continue next
			}
		}
		for i := m - 1; i < len(f.num); i += m {
			h.num = append(h.num, f.num[i])
		}
		for i := 0; i < len(f.den); i += m {
			h.den = append(h.den, f.den[i])
		}
		return h, int64(m)
	}
	return f, 1
}

func (p poly) integrated() poly {
	out := poly{new(big.Rat)}
	for i, c := range p {
		out = append(out, new(big.Rat).Quo(c, big.NewRat(int64(i+1), 1)))
	}
	return out.trim()
}

// poleCandidates lists the rational roots of a denominator, once each.
func (p poly) poleCandidates(b *budget) []*big.Rat {
	q, err := p.squareFree(b)
	if err != nil || len(q) < 2 {
		return nil
	}
	var out []*big.Rat
	if len(q) > 3 {
		rest, roots, _ := q.rationalRoots(b)
		if rest == nil {
			return nil
		}
		for _, r := range roots {
			out = append(out, r.Rat)
		}
		q = rest
	}
	if len(q) == 2 {
		r := new(big.Rat).Quo(q[0], q[1])
		return append(out, r.Neg(r))
	}
	if len(q) == 3 {
		d := discriminant(q)
		if s, ok := rationalSqrt(d); ok {
			for _, sign := range []int64{1, -1} {
				r := new(big.Rat).Mul(s, big.NewRat(sign, 1))
				r.Sub(r, q[1])
				out = append(out, r.Quo(r, new(big.Rat).Mul(q[2], big.NewRat(2, 1))))
			}
		}
	}
	return out
}

// rationalSqrt is the square root of r where that is rational.
func rationalSqrt(r *big.Rat) (*big.Rat, bool) {
	if r.Sign() < 0 {
		return nil, false
	}
	return ratRoot(r, 2)
}

// discriminant is b^2 - 4ac.
func discriminant(q poly) *big.Rat {
	d := new(big.Rat).Mul(q[0], q[2])
	d.Mul(d, big.NewRat(-4, 1))
	return d.Add(d, new(big.Rat).Mul(q[1], q[1]))
}

// antiPole splits the fractions with a power of x-r as denominator off f and
// integrates them.
func (e *evaluator) antiPole(f ratFunc, r *big.Rat, v string) ([]*Node, ratFunc, bool) {
	lin := poly{new(big.Rat).Neg(r), big.NewRat(1, 1)}
	rest, m := f.den, 0
	for len(rest) > 1 && rest.at(r).Sign() == 0 {
		q, err := rest.quo(lin, e.b)
		if err != nil {
			return nil, f, false
		}
		rest, m = q, m+1
	}
	if m == 0 {
		return nil, f, true
	}
	// f = sum_j c_(m-j) (x-r)^-j + num'/rest with c the Taylor coefficients of
	// num/rest at r.
	a, err1 := f.num.shifted(r, e.b)
	b, err2 := rest.shifted(r, e.b)
	if err1 != nil || err2 != nil {
		return nil, f, false
	}
	coef := func(p poly, i int) *big.Rat {
		if i < len(p) {
			return p[i]
		}
		return new(big.Rat)
	}
	c := make([]*big.Rat, m)
	for i := range c {
		x := new(big.Rat).Set(coef(a, i))
		for j := 1; j <= i; j++ {
			x.Sub(x, new(big.Rat).Mul(coef(b, j), c[i-j]))
		}
		c[i] = x.Quo(x, b[0])
	}
	u := node(KAdd, &Node{Kind: KSym, Name: v}, ratNode(new(big.Rat).Neg(r)))
	var out []*Node
	less := a // num - rest * sum c_i t^i, divided by t^m, in t = x-r
	for i, x := range c {
		j := int64(m - i) // power in the denominator
		if x.Sign() != 0 {
			if j == 1 {
				out = append(out, node(KMul, ratNode(x), fn("ln", fn("abs", u))))
			} else {
				out = append(out, node(KMul, ratNode(new(big.Rat).Quo(x, big.NewRat(1-j, 1))), node(KPow, u, num(1-j))))
			}
		}
		part := append(make(poly, 0, i+len(b)), zeros(i)...)
		part = append(part, b.scale(new(big.Rat).Neg(x))...)
		less = less.add(part.trim())
	}
	var n poly
	if len(less) > m {
		n = less[m:]
	}
	n, err := n.shifted(new(big.Rat).Neg(r), e.b)
	return out, ratFunc{n, rest}, err == nil
}

func zeros(n int) poly {
	p := make(poly, n)
	for i := range p {
		p[i] = new(big.Rat)
	}
	return p
}

// antiQuadratics integrates num/den where den is a quadratic, its square, or
// x^4 + b x^2 + c that splits into rational quadratics; deg num < deg den.
func (e *evaluator) antiQuadratics(f ratFunc, v string) ([]*Node, bool) {
	sf, err := f.den.squareFree(e.b)
	if err != nil {
		return nil, false
	}
	switch {
	case len(f.den) == 3:
		return []*Node{antiQuadratic(f.num, f.den, v)}, true
	case len(f.den) == 5 && len(sf) == 3:
		f.num = f.num.scale(new(big.Rat).Inv(f.den[4]))
		return e.antiSquaredQuadratic(f.num, sf, v)
	case len(f.den) == 5:
		q1, q2, ok := splitBiquadratic(f.den.monic())
		if !ok {
			return nil, false
		}
		n := f.num.scale(new(big.Rat).Inv(f.den[4]))
		a, b, ok := twoFractions(n, q1, q2)
		if !ok {
			return nil, false
		}
		return []*Node{antiQuadratic(a, q1, v), antiQuadratic(b, q2, v)}, true
	}
	return nil, false
}

// antiQuadratic integrates (B x + C)/(a x^2 + b x + c).
func antiQuadratic(n, q poly, v string) *Node {
	c0, c1 := new(big.Rat), new(big.Rat)
	if len(n) > 0 {
		c0 = n[0]
	}
	if len(n) > 1 {
		c1 = n[1]
	}
	half := new(big.Rat).Quo(c1, new(big.Rat).Mul(q[2], big.NewRat(2, 1))) // B/2a
	k := new(big.Rat).Sub(c0, new(big.Rat).Mul(half, q[1]))
	return node(KAdd, node(KMul, ratNode(half), fn("ln", fn("abs", q.node(v)))), node(KMul, ratNode(k), inverseQuadratic(q, v)))
}

// inverseQuadratic integrates 1/q by an arctangent or a logarithm.
func inverseQuadratic(q poly, v string) *Node {
	d := discriminant(q)
	top := q.derivative().node(v) // 2ax + b
	s := fn("sqrt", ratNode(new(big.Rat).Abs(d)))
	switch d.Sign() {
	case -1:
		return node(KMul, node(KDiv, num(2), s), fn("arctan", node(KDiv, top, s)))
	case 0:
		return node(KDiv, num(-2), top)
	}
	return node(KDiv, fn("ln", fn("abs", node(KDiv, node(KAdd, top, node(KNeg, s)), node(KAdd, top, s)))), s)
}

// antiSquaredQuadratic integrates n/q^2 for a monic q:
// integral of 1/q^2 = (2x+b)/(D q) + 2/D * integral of 1/q, D = 4c - b^2.
func (e *evaluator) antiSquaredQuadratic(n, q poly, v string) ([]*Node, bool) {
	w, err1 := n.quo(q, e.b)
	r, err2 := n.rem(q, e.b)
	d := discriminant(q)
	if err1 != nil || err2 != nil || d.Sign() == 0 {
		return nil, false
	}
	d.Neg(d)
	out := []*Node{antiQuadratic(w, q, v)}
	c0, c1 := new(big.Rat), new(big.Rat)
	if len(r) > 0 {
		c0 = r[0]
	}
	if len(r) > 1 {
		c1 = r[1]
	}
	half := new(big.Rat).Quo(c1, big.NewRat(2, 1))
	k := new(big.Rat).Sub(c0, new(big.Rat).Mul(half, q[1]))
	k.Quo(k, d)
	inv := node(KPow, q.node(v), num(-1))
	out = append(out, node(KMul, ratNode(new(big.Rat).Neg(half)), inv),
		node(KMul, ratNode(k), q.derivative().node(v), inv),
		node(KMul, ratNode(new(big.Rat).Mul(k, big.NewRat(2, 1))), inverseQuadratic(q, v)))
	return out, true
}

// splitBiquadratic factors x^4 + b x^2 + c as (x^2 - t1)(x^2 - t2) or as
// (x^2 + s)^2 - (2s - b) x^2, where that is possible with rationals.
func splitBiquadratic(p poly) (q1, q2 poly, ok bool) {
	if p[1].Sign() != 0 || p[3].Sign() != 0 {
		return nil, nil, false
	}
	one, zero := big.NewRat(1, 1), new(big.Rat)
	d := discriminant(poly{p[0], p[2], one})
	if s, ok := rationalSqrt(d); ok {
		half := big.NewRat(1, 2)
		x := new(big.Rat).Add(p[2], s)
		y := new(big.Rat).Sub(p[2], s)
		return poly{x.Mul(x, half), zero, one}, poly{y.Mul(y, half), zero, one}, true
	}
	s, ok := rationalSqrt(p[0])
	if !ok {
		return nil, nil, false
	}
	t := new(big.Rat).Sub(new(big.Rat).Mul(s, big.NewRat(2, 1)), p[2])
	r, ok := rationalSqrt(t)
	if !ok {
		return nil, nil, false
	}
	return poly{s, r, one}, poly{s, new(big.Rat).Neg(r), one}, true
}

// twoFractions writes n/(q1 q2) as a/q1 + b/q2 with linear a and b, by solving
// the four linear equations in their coefficients.
func twoFractions(n, q1, q2 poly) (a, b poly, ok bool) {
	m := make([][]*big.Rat, 4)
	for i := range m {
		m[i] = zeros(5)
		for j := 0; j < 2; j++ { // coefficient of x^i in x^j q2 and x^j q1
			if k := i - j; k >= 0 && k < 3 {
				m[i][j].Set(q2[k])
				m[i][2+j].Set(q1[k])
			}
		}
		if i < len(n) {
			m[i][4].Set(n[i])
		}
	}
	for c := 0; c < 4; c++ {
		p := c
		for p < 4 && m[p][c].Sign() == 0 {
			p++
		}
		if p == 4 {
			return nil, nil, false
		}
		m[c], m[p] = m[p], m[c]
		for r := 0; r < 4; r++ {
			if r == c || m[r][c].Sign() == 0 {
				continue
			}
			f := new(big.Rat).Quo(m[r][c], m[c][c])
			for k := c; k < 5; k++ {
				m[r][k] = new(big.Rat).Sub(m[r][k], new(big.Rat).Mul(f, m[c][k]))
			}
		}
	}
	x := make(poly, 4)
	for i := range x {
		x[i] = new(big.Rat).Quo(m[i][4], m[i][i])
	}
	return x[:2:2].trim(), x[2:].trim(), true
}
