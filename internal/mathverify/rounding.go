package mathverify

import "math/big"

// approximates reports that one side is a decimal that states the other to
// its last digit, under the rules of Options.GoldDigits and PredDigits.
func (c *comparer) approximates(g, p *Node) bool {
	gl, gok := decimalLiteral(g)
	pl, pok := decimalLiteral(p)
	if gok && c.opt.goldDigits() >= 0 && gl.Sig >= c.opt.goldDigits() {
		if pok && pl.Dec <= gl.Dec || p.Kind == KNum && p.Rat.IsInt() {
			return false // a decimal with no more digits than the gold must match it
		}
		return c.rounds(p, gl, !pok)
	}
	need := c.opt.predDigits()
	if p.Kind == KPercent && c.opt.goldDigits() >= 0 { // 33.3 % and 1/3, whichever is the gold
		need = min(need, c.opt.goldDigits())
	}
	if pok && !gok && need >= 0 && pl.Sig >= need {
		if r, ok := c.rational(g); ok && finiteDecimal(r) {
			return false
		}
		return c.rounds(g, pl, true)
	}
	return false
}

// decimalLiteral returns the literal after a sign and before a percent sign.
func decimalLiteral(n *Node) (*Node, bool) {
	if n.Kind == KPercent {
		lit, ok := decimalLiteral(n.Args[0])
		if !ok {
			return nil, false
		}
		return &Node{Kind: KNum, Rat: new(big.Rat).Quo(lit.Rat, big.NewRat(100, 1)), Dec: lit.Dec + 2, Sig: lit.Sig}, true
	}
	if n.Kind == KNeg {
		n = negate(n.Args[0])
	}
	if n.Kind == KMul && len(n.Args) == 2 && n.Args[0].Kind == KNum && n.Args[0].Dec > 0 &&
		n.Args[1].Kind == KPow && n.Args[1].Args[0].Kind == KNum && n.Args[1].Args[0].Rat.Cmp(big.NewRat(10, 1)) == 0 &&
		n.Args[1].Args[1].Kind == KNum && n.Args[1].Args[1].Rat.IsInt() {
		// m x 10^k
		k := n.Args[1].Args[1].Rat.Num()
		if !k.IsInt64() || k.Int64() > 4000 || k.Int64() < -4000 {
			return nil, false
		}
		s := new(big.Rat).SetInt(pow10(int(max(k.Int64(), -k.Int64()))))
		m := n.Args[0]
		r := new(big.Rat)
		if k.Sign() < 0 {
			r.Quo(m.Rat, s)
		} else {
			r.Mul(m.Rat, s)
		}
		return &Node{Kind: KNum, Rat: r, Dec: m.Dec - int(k.Int64()), Sig: m.Sig}, true
	}
	return n, n.Kind == KNum && n.Dec > 0
}

// rational evaluates n when it is an exact real number.
func (c *comparer) rational(n *Node) (*big.Rat, bool) {
	v, err := c.evaluator(96, nil).eval(n)
	if err != nil || !v.exact || v.im != nil {
		return nil, false
	}
	return v.re, true
}

// finiteDecimal reports a decimal expansion of at most six digits.
func finiteDecimal(r *big.Rat) bool {
	m := new(big.Rat).Mul(r, big.NewRat(1000000, 1))
	return m.IsInt()
}

// rounds reports that lit is n rounded to the digits of lit; truncation counts
// too where allowed.
func (c *comparer) rounds(n, lit *Node, truncation bool) bool {
	e := c.evaluator(256, nil)
	v, err := e.eval(n)
	if err != nil || !v.real {
		return false
	}
	ulp := new(big.Rat)
	if lit.Dec >= 0 {
		ulp.SetFrac(big.NewInt(1), pow10(lit.Dec))
	} else {
		ulp.SetInt(pow10(-lit.Dec))
	}
	diff := e.sub(v, exactRat(lit.Rat))
	abs, err := e.abs(diff)
	if err != nil {
		return false
	}
	if s, ok := e.cmp(abs, exactRat(new(big.Rat).Quo(ulp, big.NewRat(2, 1)))); ok && s <= 0 {
		return true
	}
	if !truncation {
		return false
	}
	// Cut off instead of rounded: |n| lies above |lit| by less than one unit.
	if lit.Rat.Sign() < 0 {
		diff = e.neg(diff)
	}
	lo, ok1 := e.cmp(diff, exactInt(0))
	hi, ok2 := e.cmp(diff, exactRat(ulp))
	return ok1 && ok2 && lo >= 0 && hi < 0
}
