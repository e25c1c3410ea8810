package mathverify

import "math/big"

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
