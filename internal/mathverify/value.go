package mathverify

import "math/big"

// value is a number during evaluation: exact (a Gaussian rational) while that
// is possible, otherwise a rectangle of two intervals.
type value struct {
	exact  bool
	re, im *big.Rat // im is nil for a real number
	ri, ii ival     // enclosures when not exact
	real   bool     // the imaginary part is exactly zero
}

func exactInt(n int64) value { return exactRat(new(big.Rat).SetInt64(n)) }

func exactRat(r *big.Rat) value { return value{exact: true, re: r, real: true} }

func exactComplex(re, im *big.Rat) value {
	if im == nil || im.Sign() == 0 {
		return exactRat(re)
	}
	return value{exact: true, re: re, im: im}
}

func realIval(a ival) value { return value{ri: a, real: true} }

func complexIval(re, im ival) value {
	if im.isZero() {
		return realIval(re)
	}
	return value{ri: re, ii: im}
}

var zeroIval = ival{new(big.Float), new(big.Float)}

// re and im as enclosures at precision p.
func (v value) ival(p uint) (re, im ival) {
	if v.exact {
		re = ivalRat(v.re, p)
		if v.im == nil {
			return re, zeroIval
		}
		return re, ivalRat(v.im, p)
	}
	if v.real {
		return v.ri, zeroIval
	}
	return v.ri, v.ii
}

func (v value) isZero() bool {
	if v.exact {
		return v.re.Sign() == 0 && v.im == nil
	}
	return v.ri.isZero() && (v.real || v.ii.isZero())
}

// integer returns the value as an integer when it is exactly one.
func (v value) integer() (*big.Int, bool) {
	if !v.exact || v.im != nil || !v.re.IsInt() {
		return nil, false
	}
	return v.re.Num(), true
}

// small returns the value as an int64 when it is an exact integer that fits.
func (v value) small() (int64, bool) {
	n, ok := v.integer()
	if !ok || !n.IsInt64() {
		return 0, false
	}
	return n.Int64(), true
}

// arith carries precision and budget through one evaluation.
type arith struct {
	p uint
	b *budget
}

func ratBits(r *big.Rat) int { return r.Num().BitLen() + r.Denom().BitLen() }

// fit turns an exact value that has outgrown the bit budget into an enclosure.
func (c arith) fit(v value) value {
	if !v.exact {
		return v
	}
	// Reduction of fractions costs more than linearly in their size; eval
	// notices the next time it asks for a step.
	c.b.steps -= ratBits(v.re) / 512
	if ratBits(v.re) <= c.b.bits && (v.im == nil || ratBits(v.im) <= c.b.bits) {
		return v
	}
	re, im := v.ival(c.p)
	return complexIval(re, im)
}

func (c arith) neg(a value) value {
	if a.exact {
		r := value{exact: true, real: a.real, re: new(big.Rat).Neg(a.re)}
		if a.im != nil {
			r.im = new(big.Rat).Neg(a.im)
		}
		return r
	}
	if a.real {
		return realIval(a.ri.neg())
	}
	return complexIval(a.ri.neg(), a.ii.neg())
}

func (c arith) add(a, b value) value {
	if a.exact && b.exact {
		re := new(big.Rat).Add(a.re, b.re)
		if a.im == nil && b.im == nil {
			return c.fit(exactRat(re))
		}
		return c.fit(exactComplex(re, new(big.Rat).Add(orZero(a.im), orZero(b.im))))
	}
	ar, ai := a.ival(c.p)
	br, bi := b.ival(c.p)
	if a.real && b.real {
		return realIval(ar.add(br, c.p))
	}
	return complexIval(ar.add(br, c.p), ai.add(bi, c.p))
}

func (c arith) sub(a, b value) value { return c.add(a, c.neg(b)) }

func orZero(r *big.Rat) *big.Rat {
	if r == nil {
		return new(big.Rat)
	}
	return r
}

func (c arith) mul(a, b value) value {
	if a.exact && b.exact {
		if a.im == nil && b.im == nil {
			return c.fit(exactRat(new(big.Rat).Mul(a.re, b.re)))
		}
		ai, bi := orZero(a.im), orZero(b.im)
		re := new(big.Rat).Sub(new(big.Rat).Mul(a.re, b.re), new(big.Rat).Mul(ai, bi))
		im := new(big.Rat).Add(new(big.Rat).Mul(a.re, bi), new(big.Rat).Mul(ai, b.re))
		return c.fit(exactComplex(re, im))
	}
	if a.isZero() || b.isZero() {
		return exactInt(0)
	}
	ar, ai := a.ival(c.p)
	br, bi := b.ival(c.p)
	if a.real && b.real {
		return realIval(ar.mul(br, c.p))
	}
	return complexIval(
		ar.mul(br, c.p).sub(ai.mul(bi, c.p), c.p),
		ar.mul(bi, c.p).add(ai.mul(br, c.p), c.p))
}

func (c arith) inv(a value) (value, error) {
	if a.isZero() {
		return value{}, errUndefined
	}
	if a.exact {
		if a.im == nil {
			return exactRat(new(big.Rat).Inv(a.re)), nil
		}
		n := new(big.Rat).Add(new(big.Rat).Mul(a.re, a.re), new(big.Rat).Mul(a.im, a.im))
		return c.fit(exactComplex(new(big.Rat).Quo(a.re, n),
			new(big.Rat).Neg(new(big.Rat).Quo(a.im, n)))), nil
	}
	if a.real {
		r, ok := a.ri.inv(c.p)
		if !ok {
			return value{}, errPrecision
		}
		return realIval(r), nil
	}
	n := square(a.ri, c.p).add(square(a.ii, c.p), c.p)
	r, ok := n.inv(c.p)
	if !ok {
		return value{}, errPrecision
	}
	return complexIval(a.ri.mul(r, c.p), a.ii.neg().mul(r, c.p)), nil
}

// square is a*a without the loss that mul has when a straddles zero.
func square(a ival, p uint) ival {
	s := a.mul(a, p)
	if s.lo.Sign() < 0 {
		s.lo = new(big.Float)
	}
	return s
}

func (c arith) div(a, b value) (value, error) {
	i, err := c.inv(b)
	if err != nil {
		return value{}, err
	}
	return c.mul(a, i), nil
}

// abs is the modulus of a.
func (c arith) abs(a value) (value, error) {
	if a.real {
		if a.exact {
			return exactRat(new(big.Rat).Abs(a.re)), nil
		}
		switch a.ri.sign() {
		case 1, 0:
			return a, nil
		case -1:
			return realIval(a.ri.neg()), nil
		}
		hi := a.ri.hi
		if n := new(big.Float).Neg(a.ri.lo); n.Cmp(hi) > 0 {
			hi = n
		}
		return realIval(ival{new(big.Float), hi}), nil
	}
	if a.exact {
		n := new(big.Rat).Add(new(big.Rat).Mul(a.re, a.re), new(big.Rat).Mul(a.im, a.im))
		return c.sqrt(exactRat(n))
	}
	n := square(a.ri, c.p).add(square(a.ii, c.p), c.p)
	r, ok := n.sqrt(c.p)
	if !ok {
		return value{}, errPrecision
	}
	return realIval(r), nil
}

// cmp orders two real values: -1, 0 or 1; ok is false when the enclosures
// overlap or a value is not real.
func (c arith) cmp(a, b value) (int, bool) {
	if !a.real || !b.real {
		return 0, false
	}
	if a.exact && b.exact {
		return a.re.Cmp(b.re), true
	}
	x, _ := a.ival(c.p)
	y, _ := b.ival(c.p)
	switch {
	case x.hi.Cmp(y.lo) < 0:
		return -1, true
	case y.hi.Cmp(x.lo) < 0:
		return 1, true
	}
	return 0, false
}
