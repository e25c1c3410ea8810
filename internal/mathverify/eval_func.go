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

func (e *evaluator) gcd(name string, args []value) (value, error) {
	acc := new(big.Int)
	for i, a := range args {
		n, ok := a.integer()
		if !ok {
			return value{}, errNoValue
		}
		n = new(big.Int).Abs(n)
		if i == 0 {
			acc.Set(n)
			continue
		}
		g := new(big.Int).GCD(nil, nil, acc, n)
		if name == "gcd" {
			acc = g
			continue
		}
		if g.Sign() == 0 {
			return exactInt(0), nil
		}
		acc.Mul(acc, n)
		acc.Quo(acc, g)
	}
	return e.fit(exactRat(new(big.Rat).SetInt(acc))), nil
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

// trig evaluates circular, hyperbolic and inverse functions.
func (e *evaluator) trig(name string, x value) (value, error) {
	if err := e.b.spend(20); err != nil {
		return value{}, err
	}
	switch name {
	case "sin", "cos", "tan", "cot", "sec", "csc":
		s, c, err := e.sincos(x)
		if err != nil {
			return value{}, err
		}
		switch name {
		case "sin":
			return s, nil
		case "cos":
			return c, nil
		case "tan":
			return e.div(s, c)
		case "cot":
			return e.div(c, s)
		case "sec":
			return e.inv(c)
		}
		return e.inv(s)
	case "sinh", "cosh", "tanh", "coth", "sech", "csch":
		return e.hyperbolic(name, x)
	case "arctan":
		if x.real {
			re, _ := x.ival(e.p)
			return realIval(re.atan(e.p)), nil
		}
		return e.atanComplex(x)
	case "arccot":
		i, err := e.inv(x)
		if err != nil {
			return value{}, err
		}
		return e.trig("arctan", i)
	case "arcsin", "arccos":
		return e.arcsin(name, x)
	case "arcsec", "arccsc":
		i, err := e.inv(x)
		if err != nil {
			return value{}, err
		}
		return e.arcsin(map[string]string{"arcsec": "arccos", "arccsc": "arcsin"}[name], i)
	case "arcsinh", "arccosh", "arctanh":
		return e.archyp(name, x)
	}
	return value{}, errNoValue
}

func (e *evaluator) sincos(x value) (s, c value, err error) {
	if x.isZero() {
		return exactInt(0), exactInt(1), nil
	}
	re, im := x.ival(e.p)
	si, ci := re.sincos(e.p)
	if x.real {
		return realIval(si), realIval(ci), nil
	}
	sh, ch := sinhcosh(im, e.p)
	return complexIval(si.mul(ch, e.p), ci.mul(sh, e.p)),
		complexIval(ci.mul(ch, e.p), si.mul(sh, e.p).neg()), nil
}

func sinhcosh(a ival, p uint) (sh, ch ival) {
	x, y := a.exp(p), a.neg().exp(p)
	half := ivalRat(big.NewRat(1, 2), p)
	return x.sub(y, p).mul(half, p), x.add(y, p).mul(half, p)
}

func (e *evaluator) hyperbolic(name string, x value) (value, error) {
	p, err := e.exp(x)
	if err != nil {
		return value{}, err
	}
	m, err := e.inv(p)
	if err != nil {
		return value{}, err
	}
	half := exactRat(big.NewRat(1, 2))
	sh, ch := e.mul(e.sub(p, m), half), e.mul(e.add(p, m), half)
	switch name {
	case "sinh":
		return sh, nil
	case "cosh":
		return ch, nil
	case "tanh":
		return e.div(sh, ch)
	case "coth":
		return e.div(ch, sh)
	case "sech":
		return e.inv(ch)
	}
	return e.inv(sh)
}

// arcsin and arccos over the reals: asin x = atan(x / sqrt(1 - x^2)).
func (e *evaluator) arcsin(name string, x value) (value, error) {
	if !x.real {
		return value{}, errNoValue
	}
	pi := realIval(piIval(e.p))
	half := e.mul(pi, exactRat(big.NewRat(1, 2)))
	one := exactInt(1)
	if x.exact && new(big.Rat).Abs(x.re).Cmp(one.re) == 0 {
		as := e.mul(half, x)
		if name == "arcsin" {
			return as, nil
		}
		return e.sub(half, as), nil
	}
	r := e.sub(one, e.mul(x, x))
	if c, ok := e.cmp(r, exactInt(0)); !ok {
		return value{}, errPrecision
	} else if c < 0 {
		return value{}, errUndefined
	}
	d, err := e.sqrt(r)
	if err != nil {
		return value{}, err
	}
	q, err := e.div(x, d)
	if err != nil {
		return value{}, err
	}
	re, _ := q.ival(e.p)
	as := realIval(re.atan(e.p))
	if name == "arcsin" {
		return as, nil
	}
	return e.sub(half, as), nil
}

// archyp uses the logarithmic forms of the inverse hyperbolic functions.
func (e *evaluator) archyp(name string, x value) (value, error) {
	one := exactInt(1)
	switch name {
	case "arctanh":
		q, err := e.div(e.add(one, x), e.sub(one, x))
		if err != nil {
			return value{}, err
		}
		l, err := e.log(q)
		if err != nil {
			return value{}, err
		}
		return e.mul(l, exactRat(big.NewRat(1, 2))), nil
	case "arccosh":
		one = exactInt(-1)
	}
	r, err := e.sqrt(e.add(e.mul(x, x), one))
	if err != nil {
		return value{}, err
	}
	return e.log(e.add(x, r))
}

// atanComplex: atan z = (i/2) (log(1 - iz) - log(1 + iz)).
func (e *evaluator) atanComplex(x value) (value, error) {
	i := exactComplex(new(big.Rat), big.NewRat(1, 1))
	ix := e.mul(i, x)
	a, err := e.log(e.sub(exactInt(1), ix))
	if err != nil {
		return value{}, err
	}
	b, err := e.log(e.add(exactInt(1), ix))
	if err != nil {
		return value{}, err
	}
	return e.mul(e.mul(i, exactRat(big.NewRat(1, 2))), e.sub(a, b)), nil
}
