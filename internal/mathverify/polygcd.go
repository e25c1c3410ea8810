package mathverify

import "math/big"

// monomial is coef times powers of atoms, an atom being a symbol or an
// irrational constant by its printed form.
type monomial struct {
	coef  *big.Rat
	power map[string]int64
	atoms map[string]*Node
}

// polynomialGCD replaces gcd and lcm of expressions in symbols, or of irrational
// constants, by those of polynomials, as Options.PolynomialGCD asks. Monomials
// in any number of symbols and polynomials in one symbol have a rule; anything
// else stays as it is.
func (c *comparer) polynomialGCD(n *Node) *Node {
	return n.rewrite(func(m *Node) *Node {
		if m.Kind != KFunc || m.Name != "gcd" && m.Name != "lcm" || len(m.Args) == 0 {
			return m
		}
		numbers := true
		for _, a := range m.Args {
			if _, ok := c.rational(a); !ok || symbolic(a) {
				numbers = false
				break
			}
		}
		if numbers {
			return m // eval knows the gcd of numbers
		}
		if out, ok := c.monomialGCD(m); ok {
			return out
		}
		if out, ok := c.univariateGCD(m); ok {
			return out
		}
		return m
	})
}

func (c *comparer) monomialGCD(n *Node) (*Node, bool) {
	var ms []monomial
	whole := true
	for _, a := range n.Args {
		m := monomial{big.NewRat(1, 1), map[string]int64{}, map[string]*Node{}}
		if !c.collect(a, 1, &m, 0) || m.coef.Sign() == 0 {
			return nil, false
		}
		whole = whole && m.coef.IsInt()
		ms = append(ms, m)
	}
	acc := ms[0]
	for _, m := range ms[1:] {
		g := monomial{new(big.Rat), map[string]int64{}, acc.atoms}
		for s, a := range m.atoms {
			g.atoms[s] = a
		}
		lcm := n.Name == "lcm"
		for s := range g.atoms {
			x, y := acc.power[s], m.power[s]
			if (x < y) != lcm {
				g.power[s] = x
			} else {
				g.power[s] = y
			}
		}
		switch {
		case !whole:
			g.coef.SetInt64(1) // over the rationals every number is a unit
		default:
			d := new(big.Int).GCD(nil, nil, new(big.Int).Abs(acc.coef.Num()), new(big.Int).Abs(m.coef.Num()))
			g.coef.SetInt(d)
			if lcm {
				g.coef.Quo(new(big.Rat).Mul(acc.coef, m.coef), g.coef)
			}
		}
		acc = g
	}
	out := []*Node{ratNode(acc.coef)}
	for s, k := range acc.power {
		if k != 0 {
			out = append(out, node(KPow, acc.atoms[s], num(k)))
		}
	}
	return node(KMul, out...), true
}

// collect multiplies m by n^k; false where n is a sum or not a product of
// numbers, symbols and irrational constants.
func (c *comparer) collect(n *Node, k int64, m *monomial, depth int) bool {
	if depth > 20 || c.b.spend(4) != nil {
		return false
	}
	if !symbolic(n) {
		if r, ok := c.rational(n); ok {
			for i := int64(0); i < k; i++ {
				m.coef.Mul(m.coef, r)
			}
			return k >= 0 && k < 64
		}
	}
	switch n.Kind {
	case KMul:
		for _, a := range n.Args {
			if !c.collect(a, k, m, depth+1) {
				return false
			}
		}
		return true
	case KNeg:
		if k%2 != 0 {
			m.coef.Neg(m.coef)
		}
		return c.collect(n.Args[0], k, m, depth+1)
	case KDiv:
		r, ok := c.rational(n.Args[1])
		if !ok || r.Sign() == 0 || k != 1 || symbolic(n.Args[1]) {
			return false
		}
		m.coef.Quo(m.coef, r)
		return c.collect(n.Args[0], k, m, depth+1)
	case KPow:
		if n.Args[1].Kind == KNum && n.Args[1].Rat.IsInt() && n.Args[1].Rat.Sign() > 0 && n.Args[1].Rat.Num().BitLen() < 6 && k < 64 {
			return c.collect(n.Args[0], k*n.Args[1].Rat.Num().Int64(), m, depth+1)
		}
		return false
	case KSym, KConst, KFunc:
		if n.Kind == KFunc && symbolic(n) || n.Kind == KConst && n.Name == "inf" {
			return false
		}
		s := n.String()
		m.power[s] += k
		m.atoms[s] = n
		return true
	}
	return false
}

func (c *comparer) univariateGCD(n *Node) (*Node, bool) {
	syms := freeSymbols(n)
	if len(syms) != 1 {
		return nil, false
	}
	e := c.evaluator(96, nil)
	var acc poly
	for i, a := range n.Args {
		f, err := toPoly(a, syms[0], e)
		if err != nil || len(f.den) != 1 || len(f.num) == 0 {
			return nil, false
		}
		p := f.num.scale(new(big.Rat).Inv(f.den[0]))
		if i == 0 {
			acc = p
			continue
		}
		g, err := polyGCD(acc, p, c.b)
		if err != nil {
			return nil, false
		}
		content := big.NewRat(1, 1)
		if x, y := acc.content(), p.content(); x != nil && y != nil {
			g = g.scale(new(big.Rat).Inv(g.unitContent()))
			content.SetInt(new(big.Int).GCD(nil, nil, x, y))
		}
		g = g.scale(content)
		if n.Name == "lcm" {
			w, err1 := acc.mul(p, c.b)
			if err1 != nil {
				return nil, false
			}
			if g, err = w.quo(g, c.b); err != nil {
				return nil, false
			}
		}
		acc = g
	}
	return acc.node(syms[0]), true
}

// content is the greatest common divisor of whole coefficients, nil for others.
func (p poly) content() *big.Int {
	g := new(big.Int)
	for _, c := range p {
		if !c.IsInt() {
			return nil
		}
		g.GCD(nil, nil, g, new(big.Int).Abs(c.Num()))
	}
	return g
}

// unitContent is the number that p is to be divided by to have whole
// coefficients without a common divisor.
func (p poly) unitContent() *big.Rat {
	l := big.NewInt(1)
	for _, c := range p {
		g := new(big.Int).GCD(nil, nil, l, c.Denom())
		l.Mul(l, new(big.Int).Quo(c.Denom(), g))
	}
	return new(big.Rat).SetFrac(p.scale(new(big.Rat).SetInt(l)).content(), l)
}

// node writes p in the symbol v.
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
