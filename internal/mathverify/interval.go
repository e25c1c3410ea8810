package mathverify

import "math/big"

// Interval arithmetic on big.Float with outward rounding (Moore, "Interval
// Analysis", 1966). Endpoints whose exponent leaves +-2^maxExp are replaced by
// infinities or by the nearest representable bound, so that towers of powers
// stay enclosed without ever being computed.

const maxExp = 1 << 30

// ival encloses a real number: lo <= x <= hi. lo is never +Inf, hi never -Inf.
type ival struct{ lo, hi *big.Float }

func down(p uint) *big.Float { return new(big.Float).SetPrec(p).SetMode(big.ToNegativeInf) }
func up(p uint) *big.Float   { return new(big.Float).SetPrec(p).SetMode(big.ToPositiveInf) }

func huge(neg bool) *big.Float {
	f := new(big.Float).SetPrec(64).SetMantExp(big.NewFloat(1), maxExp)
	if neg {
		f.Neg(f)
	}
	return f
}

func tiny(neg bool) *big.Float {
	f := new(big.Float).SetPrec(64).SetMantExp(big.NewFloat(1), -maxExp)
	if neg {
		f.Neg(f)
	}
	return f
}

// bound keeps endpoints inside the exponent range; outward for both ends.
func bound(lo, hi *big.Float) ival {
	if tooBig(lo) {
		if lo.Sign() > 0 {
			lo = huge(false)
		} else {
			lo = new(big.Float).SetInf(true)
		}
	} else if tooSmall(lo) {
		if lo.Sign() > 0 {
			lo = new(big.Float)
		} else {
			lo = tiny(true)
		}
	}
	if tooBig(hi) {
		if hi.Sign() < 0 {
			hi = huge(true)
		} else {
			hi = new(big.Float).SetInf(false)
		}
	} else if tooSmall(hi) {
		if hi.Sign() < 0 {
			hi = new(big.Float)
		} else {
			hi = tiny(false)
		}
	}
	return ival{lo, hi}
}

func tooBig(f *big.Float) bool { return f.IsInf() || f.MantExp(nil) > maxExp }
func tooSmall(f *big.Float) bool {
	return f.Sign() != 0 && !f.IsInf() && f.MantExp(nil) < -maxExp
}

func ivalRat(r *big.Rat, p uint) ival {
	return bound(down(p).SetRat(r), up(p).SetRat(r))
}

func (a ival) neg() ival {
	return ival{new(big.Float).Neg(a.hi), new(big.Float).Neg(a.lo)}
}

func (a ival) add(b ival, p uint) ival {
	return bound(addEnd(down(p), a.lo, b.lo), addEnd(up(p), a.hi, b.hi))
}

// addEnd adds two endpoints in the rounding mode of z. big.Float.Add aligns
// mantissas by shifting, which takes gigabytes when the exponents are far
// apart; then the larger operand moved by one unit is the rounded sum.
func addEnd(z, x, y *big.Float) *big.Float {
	if x.IsInf() || y.IsInf() || x.Sign() == 0 || y.Sign() == 0 {
		return z.Add(x, y)
	}
	gap := x.MantExp(nil) - y.MantExp(nil)
	limit := 8192
	if gap > -limit && gap < limit {
		return z.Add(x, y)
	}
	if gap < 0 {
		x, y = y, x
	}
	unit := newF(64).SetMantExp(big.NewFloat(1), x.MantExp(nil)-int(z.Prec()))
	switch {
	case z.Mode() == big.ToNegativeInf && y.Sign() < 0:
		return z.Sub(x, unit)
	case z.Mode() == big.ToPositiveInf && y.Sign() > 0:
		return z.Add(x, unit)
	}
	return z.Set(x)
}

func (a ival) sub(b ival, p uint) ival { return a.add(b.neg(), p) }

// mulEnd multiplies two endpoints; zero times infinity is zero because the
// zero endpoint is exact.
func mulEnd(z, x, y *big.Float) *big.Float {
	if x.Sign() == 0 || y.Sign() == 0 {
		return z.SetInt64(0)
	}
	return z.Mul(x, y)
}

func (a ival) mul(b ival, p uint) ival {
	as, bs := a.sign(), b.sign()
	switch {
	case as >= 0 && bs >= 0 && as < 2 && bs < 2:
		return bound(mulEnd(down(p), a.lo, b.lo), mulEnd(up(p), a.hi, b.hi))
	case as == -1 && bs == -1:
		return bound(mulEnd(down(p), a.hi, b.hi), mulEnd(up(p), a.lo, b.lo))
	case as == -1 && bs >= 0 && bs < 2:
		return bound(mulEnd(down(p), a.lo, b.hi), mulEnd(up(p), a.hi, b.lo))
	case bs == -1 && as >= 0 && as < 2:
		return bound(mulEnd(down(p), a.hi, b.lo), mulEnd(up(p), a.lo, b.hi))
	}
	lo, hi := mulEnd(down(p), a.lo, b.lo), mulEnd(up(p), a.lo, b.lo)
	for _, e := range [][2]*big.Float{{a.lo, b.hi}, {a.hi, b.lo}, {a.hi, b.hi}} {
		if x := mulEnd(down(p), e[0], e[1]); x.Cmp(lo) < 0 {
			lo = x
		}
		if x := mulEnd(up(p), e[0], e[1]); x.Cmp(hi) > 0 {
			hi = x
		}
	}
	return bound(lo, hi)
}

// inv is 1/a; ok is false when a may be zero.
func (a ival) inv(p uint) (ival, bool) {
	s := a.sign()
	if s != 1 && s != -1 {
		return ival{}, false
	}
	one := big.NewFloat(1)
	return bound(down(p).Quo(one, a.hi), up(p).Quo(one, a.lo)), true
}

// sign is 1 or -1 when a excludes zero, 0 when a is exactly zero or touches it
// from above only, and 2 when zero lies inside or at the upper end.
func (a ival) sign() int {
	ls, hs := a.lo.Sign(), a.hi.Sign()
	switch {
	case ls > 0:
		return 1
	case hs < 0:
		return -1
	case ls == 0:
		return 0
	}
	return 2
}

func (a ival) isZero() bool { return a.lo.Sign() == 0 && a.hi.Sign() == 0 }

// sqrt needs a >= 0; slightly negative lower ends are clamped to zero.
func (a ival) sqrt(p uint) (ival, bool) {
	if a.hi.Sign() < 0 {
		return ival{}, false
	}
	lo := new(big.Float)
	if a.lo.Sign() > 0 {
		lo = sqrtEnd(a.lo, p, false)
	}
	return bound(lo, sqrtEnd(a.hi, p, true)), true
}

// sqrtEnd widens big.Float.Sqrt by two units so that its own rounding cannot
// cross the true root.
func sqrtEnd(x *big.Float, p uint, upward bool) *big.Float {
	if x.IsInf() || x.Sign() == 0 {
		return new(big.Float).Set(x)
	}
	r := new(big.Float).SetPrec(p + 8).Sqrt(x)
	e := new(big.Float).SetPrec(64).SetMantExp(big.NewFloat(1), r.MantExp(nil)-int(p))
	if upward {
		return up(p).Add(r, e)
	}
	return down(p).Sub(r, e)
}

// widen grows a by r on both sides.
func (a ival) widen(r *big.Float, p uint) ival {
	return bound(addEnd(down(p), a.lo, new(big.Float).Neg(r)), addEnd(up(p), a.hi, r))
}

func (a ival) mid(p uint) *big.Float {
	if a.lo.IsInf() || a.hi.IsInf() {
		return new(big.Float).SetPrec(p)
	}
	m := addEnd(new(big.Float).SetPrec(p), a.lo, a.hi)
	return m.Quo(m, big.NewFloat(2))
}

// disjoint reports that no number lies in both.
func (a ival) disjoint(b ival) bool { return a.hi.Cmp(b.lo) < 0 || b.hi.Cmp(a.lo) < 0 }

// tight reports that the width is below 2^-bits of the magnitude (or of one,
// for numbers near zero) and below 2^-(bits/2) in absolute terms: enclosures of
// two huge numbers overlap also when the numbers differ by one.
func (a ival) tight(bits int) bool {
	if a.lo.IsInf() || a.hi.IsInf() {
		return false
	}
	w := addEnd(up(64), a.hi, new(big.Float).Neg(a.lo))
	if w.Sign() == 0 {
		return true
	}
	m := a.hi.MantExp(nil)
	if l := a.lo.MantExp(nil); l > m {
		m = l
	}
	if m < 0 {
		m = 0
	}
	return w.MantExp(nil) < min(m-bits, -bits/2)
}
