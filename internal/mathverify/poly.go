package mathverify

import "math/big"

// Univariate rational functions over the rationals, for zero sets: two
// equations in which all other symbols have been replaced by the same random
// rationals describe the same set when their square-free numerators agree.

// poly holds coefficients, lowest power first, without leading zeros.
type poly []*big.Rat

type ratFunc struct{ num, den poly }

const maxDegree = 120

func (p poly) trim() poly {
	for len(p) > 0 && p[len(p)-1].Sign() == 0 {
		p = p[:len(p)-1]
	}
	return p
}

// bits is the size of the largest coefficient.
func (p poly) bits() int {
	n := 0
	for _, c := range p {
		n = max(n, ratBits(c))
	}
	return n
}

func constPoly(r *big.Rat) poly { return poly{r}.trim() }

func (p poly) add(q poly) poly {
	if len(p) < len(q) {
		p, q = q, p
	}
	r := make(poly, len(p))
	for i := range p {
		r[i] = new(big.Rat).Set(p[i])
		if i < len(q) {
			r[i].Add(r[i], q[i])
		}
	}
	return r.trim()
}

func (p poly) scale(c *big.Rat) poly {
	r := make(poly, len(p))
	for i := range p {
		r[i] = new(big.Rat).Mul(p[i], c)
	}
	return r.trim()
}

func (p poly) mul(q poly, b *budget) (poly, error) {
	if len(p) == 0 || len(q) == 0 {
		return nil, nil
	}
	if len(p)+len(q) > maxDegree+2 {
		return nil, errBudget
	}
	if err := b.spend(len(p) * len(q) * (3 + sizeCost(p.bits()+q.bits()))); err != nil {
		return nil, err
	}
	r := make(poly, len(p)+len(q)-1)
	for i := range r {
		r[i] = new(big.Rat)
	}
	t := new(big.Rat)
	for i, x := range p {
		for j, y := range q {
			r[i+j].Add(r[i+j], t.Mul(x, y))
		}
	}
	return r.trim(), nil
}

// rem is the remainder of p divided by q, q not zero.
func (p poly) rem(q poly, b *budget) (poly, error) {
	r := p.scale(big.NewRat(1, 1))
	for len(r) >= len(q) {
		if err := b.spend(len(q) * (5 + sizeCost(q.bits()+ratBits(r[len(r)-1])))); err != nil {
			return nil, err
		}
		f := new(big.Rat).Quo(r[len(r)-1], q[len(q)-1])
		off := len(r) - len(q)
		for i := range q {
			r[off+i].Sub(r[off+i], new(big.Rat).Mul(f, q[i]))
		}
		r = r[:len(r)-1].trim()
		if len(r) > 0 && ratBits(r[len(r)-1]) > b.bits {
			return nil, errBudget
		}
	}
	return r, nil
}

func (p poly) quo(q poly, b *budget) (poly, error) {
	if len(p) < len(q) {
		return nil, nil
	}
	r := p.scale(big.NewRat(1, 1))
	out := make(poly, len(p)-len(q)+1)
	for i := range out {
		out[i] = new(big.Rat)
	}
	for len(r) >= len(q) {
		if err := b.spend(len(q) * (5 + sizeCost(q.bits()+ratBits(r[len(r)-1])))); err != nil {
			return nil, err
		}
		f := new(big.Rat).Quo(r[len(r)-1], q[len(q)-1])
		off := len(r) - len(q)
		out[off] = f
		for i := range q {
			r[off+i].Sub(r[off+i], new(big.Rat).Mul(f, q[i]))
		}
		r = r[:len(r)-1].trim()
	}
	return out.trim(), nil
}

func (p poly) monic() poly {
	if len(p) == 0 {
		return p
	}
	return p.scale(new(big.Rat).Inv(p[len(p)-1]))
}

func polyGCD(p, q poly, b *budget) (poly, error) {
	for len(q) > 0 {
		r, err := p.rem(q, b)
		if err != nil {
			return nil, err
		}
		p, q = q, r.monic()
	}
	return p.monic(), nil
}

func (p poly) derivative() poly {
	if len(p) < 2 {
		return nil
	}
	r := make(poly, len(p)-1)
	for i := range r {
		r[i] = new(big.Rat).Mul(p[i+1], new(big.Rat).SetInt64(int64(i+1)))
	}
	return r.trim()
}

// squareFree drops repeated roots.
func (p poly) squareFree(b *budget) (poly, error) {
	g, err := polyGCD(p, p.derivative(), b)
	if err != nil || len(g) <= 1 {
		return p.monic(), err
	}
	q, err := p.quo(g, b)
	return q.monic(), err
}

func (p poly) equal(q poly) bool {
	if len(p) != len(q) {
		return false
	}
	for i := range p {
		if p[i].Cmp(q[i]) != 0 {
			return false
		}
	}
	return true
}

// toPoly expands n as a rational function of v; every other symbol takes its
// exact value from the evaluator.
func toPoly(n *Node, v string, e *evaluator) (ratFunc, error) {
	one := poly{big.NewRat(1, 1)}
	if err := e.b.spend(2); err != nil {
		return ratFunc{}, err
	}
	switch n.Kind {
	case KSym:
		if n.Name == v {
			return ratFunc{poly{new(big.Rat), big.NewRat(1, 1)}, one}, nil
		}
	case KAdd, KMul:
		acc, err := toPoly(n.Args[0], v, e)
		if err != nil {
			return ratFunc{}, err
		}
		for _, a := range n.Args[1:] {
			f, err := toPoly(a, v, e)
			if err != nil {
				return ratFunc{}, err
			}
			if n.Kind == KAdd {
				acc, err = acc.add(f, e.b)
			} else {
				acc, err = acc.mul(f, e.b)
			}
			if err != nil {
				return ratFunc{}, err
			}
		}
		return acc, nil
	case KNeg:
		f, err := toPoly(n.Args[0], v, e)
		if err != nil {
			return ratFunc{}, err
		}
		return ratFunc{f.num.scale(big.NewRat(-1, 1)), f.den}, nil
	case KDiv:
		f, err := toPoly(n.Args[0], v, e)
		if err != nil {
			return ratFunc{}, err
		}
		g, err := toPoly(n.Args[1], v, e)
		if err != nil {
			return ratFunc{}, err
		}
		if len(g.num) == 0 {
			return ratFunc{}, errUndefined
		}
		return f.mul(ratFunc{g.den, g.num}, e.b)
	case KPow:
		x, err := e.eval(n.Args[1])
		if err != nil {
			return ratFunc{}, err
		}
		k, ok := x.small()
		if !ok || k > maxDegree || k < -maxDegree {
			break
		}
		f, err := toPoly(n.Args[0], v, e)
		if err != nil {
			return ratFunc{}, err
		}
		if k < 0 {
			if len(f.num) == 0 {
				return ratFunc{}, errUndefined
			}
			f, k = ratFunc{f.den, f.num}, -k
		}
		acc := ratFunc{one, one}
		for ; k > 0; k-- {
			if acc, err = acc.mul(f, e.b); err != nil {
				return ratFunc{}, err
			}
		}
		return acc, nil
	}
	// Anything else must be a number that does not depend on v.
	if !n.walk(func(m *Node) bool { return !(m.Kind == KSym && m.Name == v) }) {
		return ratFunc{}, errNoValue
	}
	x, err := e.eval(n)
	if err != nil {
		return ratFunc{}, err
	}
	if !x.exact || x.im != nil {
		return ratFunc{}, errNoValue
	}
	return ratFunc{constPoly(x.re), one}, nil
}

func (f ratFunc) add(g ratFunc, b *budget) (ratFunc, error) {
	x, err := f.num.mul(g.den, b)
	if err != nil {
		return ratFunc{}, err
	}
	y, err := g.num.mul(f.den, b)
	if err != nil {
		return ratFunc{}, err
	}
	d, err := f.den.mul(g.den, b)
	return ratFunc{x.add(y), d}, err
}

func (f ratFunc) mul(g ratFunc, b *budget) (ratFunc, error) {
	x, err := f.num.mul(g.num, b)
	if err != nil {
		return ratFunc{}, err
	}
	d, err := f.den.mul(g.den, b)
	return ratFunc{x, d}, err
}
