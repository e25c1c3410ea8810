package mathverify

import "math/big"

// function evaluates a known function.
func (e *evaluator) function(n *Node) (value, error) {
	if n.Name == "det" {
		return e.det(n.Args[0])
	}
	if err := e.b.spend(5); err != nil {
		return value{}, err
	}
	args := make([]value, len(n.Args))
	for i, a := range n.Args {
		if n.Name == "abs" && a.Kind == KMatrix {
			return e.det(a)
		}
		v, err := e.eval(a)
		if err != nil {
			return value{}, err
		}
		args[i] = v
	}
	if len(args) == 0 {
		return value{}, errNoValue
	}
	x := args[0]
	switch n.Name {
	case "sqrt":
		return e.sqrt(x)
	case "root":
		inv, err := e.inv(args[1])
		if err != nil {
			return value{}, err
		}
		return e.pow(x, inv)
	case "exp":
		return e.exp(x)
	case "ln":
		return e.log(x)
	case "log":
		if e.log10 {
			return e.logBase(x, exactInt(10))
		}
		return e.log(x)
	case "logb":
		return e.logBase(x, args[1])
	case "abs":
		return e.abs(x)
	case "factorial":
		return e.factorial(x)
	case "binomial":
		return e.binomial(x, args[1])
	case "gcd", "lcm":
		return e.gcd(n.Name, args)
	case "mod":
		q, err := e.div(x, args[1])
		if err != nil {
			return value{}, err
		}
		f, err := e.round(q, "floor")
		if err != nil {
			return value{}, err
		}
		return e.sub(x, e.mul(f, args[1])), nil
	case "floor", "ceil", "round":
		return e.round(x, n.Name)
	case "max", "min":
		best := x
		for _, v := range args[1:] {
			c, ok := e.cmp(v, best)
			if !ok {
				return value{}, errPrecision
			}
			if c > 0 == (n.Name == "max") && c != 0 {
				best = v
			}
		}
		return best, nil
	case "sgn":
		c, ok := e.cmp(x, exactInt(0))
		if !ok {
			return value{}, errPrecision
		}
		return exactInt(int64(c)), nil
	case "re", "im", "conj":
		return e.part(n.Name, x), nil
	case "arg":
		return e.arg(x)
	}
	return e.trig(n.Name, x)
}

func (e *evaluator) part(name string, x value) value {
	if x.exact {
		switch name {
		case "re":
			return exactRat(x.re)
		case "im":
			return exactRat(orZero(x.im))
		}
		return exactComplex(x.re, new(big.Rat).Neg(orZero(x.im)))
	}
	re, im := x.ival(e.p)
	switch name {
	case "re":
		return realIval(re)
	case "im":
		return realIval(im)
	}
	return complexIval(re, im.neg())
}

func (e *evaluator) logBase(x, b value) (value, error) {
	if r, ok := exactLog(x, b); ok {
		return r, nil
	}
	n, err := e.log(x)
	if err != nil {
		return value{}, err
	}
	d, err := e.log(b)
	if err != nil {
		return value{}, err
	}
	return e.div(n, d)
}

// exactLog finds integer logarithms of rationals.
func exactLog(x, b value) (value, bool) {
	if !x.exact || !b.exact || x.im != nil || b.im != nil || x.re.Sign() <= 0 || b.re.Sign() <= 0 {
		return value{}, false
	}
	one := big.NewRat(1, 1)
	if b.re.Cmp(one) <= 0 || ratBits(x.re) > 4096 {
		return value{}, false
	}
	r, k, step := new(big.Rat).Set(x.re), int64(0), int64(1)
	q := b.re
	if r.Cmp(one) < 0 {
		r.Inv(r)
		step = -1
	}
	for r.Cmp(one) > 0 {
		r.Quo(r, q)
		k += step
	}
	if r.Cmp(one) != 0 {
		return value{}, false
	}
	return exactInt(k), true
}

func (e *evaluator) factorial(x value) (value, error) {
	n, ok := x.integer()
	if !ok {
		return value{}, errNoValue
	}
	if n.Sign() < 0 {
		return value{}, errUndefined
	}
	if !n.IsInt64() || n.Int64() > int64(e.b.bits/8) {
		return value{}, errBudget
	}
	k := n.Int64()
	if err := e.b.spend(int(k)); err != nil {
		return value{}, err
	}
	return e.fit(exactRat(new(big.Rat).SetInt(new(big.Int).MulRange(1, k)))), nil
}

func (e *evaluator) binomial(a, b value) (value, error) {
	n, ok1 := a.small()
	k, ok2 := b.small()
	if !ok1 || !ok2 {
		return value{}, errNoValue
	}
	if k < 0 || n >= 0 && k > n {
		return exactInt(0), nil
	}
	if n >= 0 && n-k < k {
		k = n - k
	}
	if k > int64(e.b.bits/8) {
		return value{}, errBudget
	}
	if err := e.b.spend(int(k)); err != nil {
		return value{}, err
	}
	return e.fit(exactRat(new(big.Rat).SetInt(new(big.Int).Binomial(n, k)))), nil
}

// gcd and lcm of rationals: the largest number that divides all of them into
// integers, and the least positive common integer multiple.
func (e *evaluator) gcd(name string, args []value) (value, error) {
	var acc *big.Rat
	for _, a := range args {
		if !a.exact || a.im != nil {
			return value{}, errNoValue
		}
		r := new(big.Rat).Abs(a.re)
		if acc == nil {
			acc = r
			continue
		}
		// gcd(a/b, c/d) = gcd(ad, cb) / bd; lcm = product / gcd
		x := new(big.Int).Mul(acc.Num(), r.Denom())
		y := new(big.Int).Mul(r.Num(), acc.Denom())
		g := new(big.Int).GCD(nil, nil, x, y)
		if g.Sign() == 0 {
			acc = new(big.Rat)
			continue
		}
		gr := new(big.Rat).SetFrac(g, new(big.Int).Mul(acc.Denom(), r.Denom()))
		if name == "gcd" {
			acc = gr
			continue
		}
		acc = new(big.Rat).Quo(new(big.Rat).Mul(acc, r), gr)
		if ratBits(acc) > e.b.bits {
			return value{}, errBudget
		}
	}
	return e.fit(exactRat(acc)), nil
}

func (e *evaluator) round(x value, how string) (value, error) {
	if !x.real {
		return value{}, errNoValue
	}
	if x.exact {
		return exactRat(new(big.Rat).SetInt(roundRat(x.re, how))), nil
	}
	if x.ri.lo.IsInf() || x.ri.hi.IsInf() || x.ri.hi.MantExp(nil) > e.b.bits || x.ri.lo.MantExp(nil) > e.b.bits {
		return value{}, errBudget
	}
	for _, f := range []*big.Float{x.ri.lo, x.ri.hi} {
		if f.Sign() != 0 && f.MantExp(nil) < -e.b.bits {
			return value{}, errPrecision
		}
	}
	lo, _ := x.ri.lo.Rat(nil)
	hi, _ := x.ri.hi.Rat(nil)
	a, b := roundRat(lo, how), roundRat(hi, how)
	if a.Cmp(b) != 0 {
		return value{}, errPrecision
	}
	return exactRat(new(big.Rat).SetInt(a)), nil
}

func roundRat(r *big.Rat, how string) *big.Int {
	switch how {
	case "ceil":
		n := roundRat(new(big.Rat).Neg(r), "floor")
		return n.Neg(n)
	case "round":
		return roundRat(new(big.Rat).Add(r, big.NewRat(1, 2)), "floor")
	}
	q, m := new(big.Int), new(big.Int)
	q.DivMod(r.Num(), r.Denom(), m)
	return q
}
