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
	// eval notices an overdraft the next time it asks for a step.
	switch {
	case v.im != nil: // six products and sums of fractions
		c.b.steps -= 6 * sizeCost(max(ratBits(v.re), ratBits(v.im)))
	case v.re.IsInt():
		c.b.steps -= ratBits(v.re) / 512
	default:
		c.b.steps -= sizeCost(ratBits(v.re))
	}
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

// Powers, roots, exponentials and logarithms of real and complex values.
// Branches are principal, except that an odd root of a negative real number is
// real, as school mathematics has it.

func (c arith) sqrt(a value) (value, error) {
	if a.exact && a.im == nil {
		neg := a.re.Sign() < 0
		r := new(big.Rat).Abs(a.re)
		if err := c.b.spend(5 + sizeCost(ratBits(r))); err != nil {
			return value{}, err
		}
		if s, ok := ratRoot(r, 2); ok {
			if neg {
				return exactComplex(new(big.Rat), s), nil
			}
			return exactRat(s), nil
		}
		x, ok := ivalRat(r, c.p).sqrt(c.p)
		if !ok {
			return value{}, errPrecision
		}
		if neg {
			return complexIval(zeroIval, x), nil
		}
		return realIval(x), nil
	}
	if a.real {
		switch a.ri.sign() {
		case 1, 0:
			x, _ := a.ri.sqrt(c.p)
			return realIval(x), nil
		case -1:
			x, _ := a.ri.neg().sqrt(c.p)
			return complexIval(zeroIval, x), nil
		}
		return value{}, errPrecision
	}
	return c.powGeneral(a, exactRat(big.NewRat(1, 2)))
}

// ratRoot returns the exact n-th root of r >= 0 when it is rational.
func ratRoot(r *big.Rat, n int64) (*big.Rat, bool) {
	a, ok := intRoot(r.Num(), n)
	if !ok {
		return nil, false
	}
	b, ok := intRoot(r.Denom(), n)
	if !ok {
		return nil, false
	}
	return new(big.Rat).SetFrac(a, b), true
}

// intRoot returns the exact n-th root of x >= 0 when x is a perfect power.
func intRoot(x *big.Int, n int64) (*big.Int, bool) {
	if x.Sign() == 0 || x.IsInt64() && x.Int64() == 1 {
		return new(big.Int).Set(x), true
	}
	if n == 2 {
		s := new(big.Int).Sqrt(x)
		return s, new(big.Int).Mul(s, s).Cmp(x) == 0
	}
	if n < 1 || int64(x.BitLen()) <= n {
		return nil, false
	}
	// Newton from above: r = ((n-1) r + x / r^(n-1)) / n.
	r := new(big.Int).Lsh(big.NewInt(1), uint(x.BitLen())/uint(n)+1)
	n1 := big.NewInt(n - 1)
	bn := big.NewInt(n)
	for {
		t := new(big.Int).Exp(r, n1, nil)
		t.Quo(x, t)
		t.Add(t, new(big.Int).Mul(r, n1))
		t.Quo(t, bn)
		if t.Cmp(r) >= 0 {
			break
		}
		r = t
	}
	return r, new(big.Int).Exp(r, bn, nil).Cmp(x) == 0
}

// pow is a^b.
func (c arith) pow(a, b value) (value, error) {
	if n, ok := b.integer(); ok {
		return c.powInt(a, n)
	}
	if a.isZero() {
		if s, ok := c.cmp(b, exactInt(0)); ok && s > 0 {
			return exactInt(0), nil
		}
		return value{}, errUndefined
	}
	if b.exact && b.im == nil && a.real {
		return c.powRat(a, b.re)
	}
	return c.powGeneral(a, b)
}

func (c arith) powInt(a value, n *big.Int) (value, error) {
	if n.Sign() == 0 {
		return exactInt(1), nil
	}
	if a.isZero() {
		if n.Sign() < 0 {
			return value{}, errUndefined
		}
		return exactInt(0), nil
	}
	if n.Sign() < 0 {
		v, err := c.powInt(a, new(big.Int).Neg(n))
		if err != nil {
			return value{}, err
		}
		return c.inv(v)
	}
	if err := c.b.spend(n.BitLen()); err != nil {
		return value{}, err
	}
	if a.exact && a.im == nil {
		if a.re.IsInt() && a.re.Num().IsInt64() {
			switch a.re.Num().Int64() {
			case 1:
				return a, nil
			case -1:
				if n.Bit(0) == 0 {
					return exactInt(1), nil
				}
				return a, nil
			}
		}
		if n.IsInt64() && n.Int64() <= int64(c.b.bits) &&
			int64(ratBits(a.re))*n.Int64() <= int64(2*c.b.bits) {
			cost := sizeCost(int(int64(ratBits(a.re)) * n.Int64()))
			if a.re.IsInt() {
				cost /= 4
			}
			if err := c.b.spend(cost); err != nil {
				return value{}, err
			}
			num := new(big.Int).Exp(a.re.Num(), n, nil)
			den := new(big.Int).Exp(a.re.Denom(), n, nil)
			return c.fit(exactRat(new(big.Rat).SetFrac(num, den))), nil
		}
	}
	if n.BitLen() > 4096 {
		// Only the size can be told: |a| > 1 grows, |a| < 1 shrinks.
		return c.powGeneral(a, exactRat(new(big.Rat).SetInt(n)))
	}
	if err := c.b.spend(n.BitLen() * (2 + int(c.p)/256)); err != nil {
		return value{}, err
	}
	r, base := exactInt(1), a
	if a.exact && n.BitLen() > 6 { // squaring exact fractions would outgrow the budget step by step
		re, im := a.ival(c.p)
		base = complexIval(re, im)
	}
	for i := 0; i < n.BitLen(); i++ {
		if n.Bit(i) == 1 {
			r = c.mul(r, base)
		}
		if i+1 < n.BitLen() {
			real := base.real
			base = c.mul(base, base)
			if real && !base.exact && base.ri.lo.Sign() < 0 { // the square of a real number
				base.ri.lo = new(big.Float)
			}
		}
	}
	return r, nil
}

// powRat raises a real a to a rational power that is not an integer.
func (c arith) powRat(a value, r *big.Rat) (value, error) {
	q, p := r.Denom(), r.Num()
	if a.exact && q.IsInt64() && q.Int64() <= 64 && p.IsInt64() {
		abs := new(big.Rat).Abs(a.re)
		if err := c.b.spend(5 + 20*sizeCost(ratBits(abs))); err != nil {
			return value{}, err
		}
		if s, ok := ratRoot(abs, q.Int64()); ok {
			switch {
			case a.re.Sign() >= 0:
				return c.powInt(exactRat(s), p)
			case q.Bit(0) == 1:
				return c.powInt(exactRat(s.Neg(s)), p)
			case q.Int64() == 2:
				return c.powInt(exactComplex(new(big.Rat), s), p)
			}
		}
	}
	x, _ := a.ival(c.p)
	sign := x.sign()
	switch {
	case sign == 2:
		return value{}, errPrecision
	case sign >= 0 && q.IsInt64() && q.Int64() == 2:
		s, err := c.sqrt(a)
		if err != nil {
			return value{}, err
		}
		return c.powInt(s, p)
	case sign == -1 && q.Bit(0) == 1:
		v, err := c.powGeneral(c.neg(a), exactRat(r))
		if err != nil {
			return value{}, err
		}
		if p.Bit(0) == 1 {
			return c.neg(v), nil
		}
		return v, nil
	case sign == -1 && q.IsInt64() && q.Int64() == 2:
		s, err := c.sqrt(c.neg(a))
		if err != nil {
			return value{}, err
		}
		return c.powInt(c.mul(s, exactComplex(new(big.Rat), big.NewRat(1, 1))), p)
	}
	return c.powGeneral(a, exactRat(r))
}

func (c arith) powGeneral(a, b value) (value, error) {
	l, err := c.log(a)
	if err != nil {
		return value{}, err
	}
	return c.exp(c.mul(b, l))
}

func (c arith) exp(a value) (value, error) {
	if a.isZero() {
		return exactInt(1), nil
	}
	if err := c.b.spendAt(c.p, 20, 8000); err != nil {
		return value{}, err
	}
	re, im := a.ival(c.p)
	m := re.exp(c.p)
	if a.real {
		return realIval(m), nil
	}
	s, co := im.sincos(c.p)
	return complexIval(m.mul(co, c.p), m.mul(s, c.p)), nil
}

// log is the principal natural logarithm.
func (c arith) log(a value) (value, error) {
	if a.isZero() {
		return value{}, errUndefined
	}
	if err := c.b.spendAt(c.p, 60, 2000); err != nil {
		return value{}, err
	}
	if a.exact && a.im == nil && a.re.Cmp(big.NewRat(1, 1)) == 0 {
		return exactInt(0), nil
	}
	if a.real {
		x, _ := a.ival(c.p)
		switch x.sign() {
		case 1:
			l, ok := x.log(c.p)
			if !ok {
				return value{}, errPrecision
			}
			return realIval(l), nil
		case -1:
			l, ok := x.neg().log(c.p)
			if !ok {
				return value{}, errPrecision
			}
			return complexIval(l, piIval(c.p)), nil
		}
		return value{}, errPrecision
	}
	m, err := c.abs(a)
	if err != nil {
		return value{}, err
	}
	mi, _ := m.ival(c.p)
	l, ok := mi.log(c.p)
	if !ok {
		return value{}, errPrecision
	}
	t, err := c.arg(a)
	if err != nil {
		return value{}, err
	}
	ti, _ := t.ival(c.p)
	return complexIval(l, ti), nil
}

// arg is the principal argument in (-pi, pi].
func (c arith) arg(a value) (value, error) {
	if err := c.b.spendAt(c.p, 40, 1400); err != nil {
		return value{}, err
	}
	re, im := a.ival(c.p)
	pi := piIval(c.p)
	half := pi.mul(ivalRat(big.NewRat(1, 2), c.p), c.p)
	if a.real {
		switch re.sign() {
		case 1:
			return exactInt(0), nil
		case -1:
			return realIval(pi), nil
		}
		return value{}, errPrecision
	}
	switch im.sign() {
	case 1, -1:
		inv, _ := im.inv(c.p)
		t := re.mul(inv, c.p).atan(c.p)
		if im.sign() == 1 {
			return realIval(half.sub(t, c.p)), nil
		}
		return realIval(half.neg().sub(t, c.p)), nil
	}
	if re.sign() == 1 {
		inv, _ := re.inv(c.p)
		return realIval(im.mul(inv, c.p).atan(c.p)), nil
	}
	return value{}, errPrecision
}
