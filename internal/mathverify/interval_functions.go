package mathverify

import (
	"math"
	"math/big"
	"sync"
)

// Elementary functions at a point with a known error, widened to enclosures.
// Argument reduction plus Taylor series (Brent & Zimmermann, "Modern Computer
// Arithmetic", chapter 4); log by Halley steps on exp.

const (
	maxPrec   = 2048
	constPrec = maxPrec + 512
)

var piConst = sync.OnceValue(func() *big.Float { return computePi(constPrec) })
var ln2Const = sync.OnceValue(func() *big.Float { return computeLn2(constPrec) })

func newF(p uint) *big.Float { return new(big.Float).SetPrec(p) }

// computePi uses Machin's formula: pi = 16 atan(1/5) - 4 atan(1/239).
func computePi(p uint) *big.Float {
	a := atanInv(5, p+32)
	b := atanInv(239, p+32)
	a.Mul(a, big.NewFloat(16))
	b.Mul(b, big.NewFloat(4))
	return newF(p+16).Sub(a, b)
}

func atanInv(n int64, p uint) *big.Float {
	sum := newF(p)
	t := newF(p).Quo(newF(p).SetInt64(1), newF(p).SetInt64(n))
	n2 := newF(p).SetInt64(n * n)
	for k := int64(0); t.Sign() != 0 && t.MantExp(nil) > -int(p)-8; k++ {
		d := newF(p).Quo(t, newF(p).SetInt64(2*k+1))
		if k%2 == 0 {
			sum.Add(sum, d)
		} else {
			sum.Sub(sum, d)
		}
		t.Quo(t, n2)
	}
	return sum
}

// computeLn2 uses ln 2 = 18 atanh(1/26) - 2 atanh(1/4801) + 8 atanh(1/8749).
func computeLn2(p uint) *big.Float {
	w := p + 32
	s := newF(w)
	for _, t := range []struct{ c, n int64 }{{18, 26}, {-2, 4801}, {8, 8749}} {
		s.Add(s, newF(w).Mul(newF(w).SetInt64(t.c), atanhInv(t.n, w)))
	}
	return s
}

func atanhInv(n int64, p uint) *big.Float {
	sum := newF(p)
	t := newF(p).Quo(newF(p).SetInt64(1), newF(p).SetInt64(n))
	n2 := newF(p).SetInt64(n * n)
	for k := int64(0); t.Sign() != 0 && t.MantExp(nil) > -int(p)-8; k++ {
		sum.Add(sum, newF(p).Quo(t, newF(p).SetInt64(2*k+1)))
		t.Quo(t, n2)
	}
	return sum
}

func piIval(p uint) ival {
	pi := piConst()
	e := newF(64).SetMantExp(big.NewFloat(1), -int(constPrec))
	return bound(down(p).Sub(pi, e), up(p).Add(pi, e))
}

// around encloses f with a relative error of 2^-(p-8).
func around(f *big.Float, p uint) ival {
	if f.Sign() == 0 {
		return ival{new(big.Float), new(big.Float)}
	}
	e := newF(64).SetMantExp(big.NewFloat(1), f.MantExp(nil)-int(p)+8)
	return bound(down(p).Sub(f, e), up(p).Add(f, e))
}

// expPoint computes e^x to about p bits; x must satisfy |x| < 2^30.
func expPoint(x *big.Float, p uint) *big.Float {
	if x.Sign() == 0 || x.MantExp(nil) < -int(p)-64 {
		return newF(p).SetInt64(1)
	}
	w := p + 64 + uint(max(0, x.MantExp(nil)))
	s := 4 + int(math.Sqrt(float64(p)))/2
	w += uint(s)
	ln2 := ln2Const()
	q := newF(w).Quo(x, ln2)
	q.Add(q, big.NewFloat(0.5))
	k, _ := q.Int64()
	if q.Sign() < 0 {
		k--
	}
	r := newF(w).Sub(x, newF(w).Mul(newF(w).SetInt64(k), ln2))
	r.SetMantExp(r, -s)
	sum, t := newF(w).SetInt64(1), newF(w).SetInt64(1)
	for n := int64(1); ; n++ {
		t.Mul(t, r)
		t.Quo(t, newF(64).SetInt64(n))
		if t.Sign() == 0 || t.MantExp(nil) < -int(w) {
			break
		}
		sum.Add(sum, t)
	}
	for i := 0; i < s; i++ {
		sum.Mul(sum, sum)
	}
	return sum.SetMantExp(sum, int(k))
}

func (a ival) exp(p uint) ival {
	lim := newF(64).SetInt64(maxExp / 2)
	neg := newF(64).Neg(lim)
	lo, hi := new(big.Float), new(big.Float).SetInf(false)
	switch {
	case a.lo.Cmp(lim) > 0:
		lo = huge(false)
	case a.lo.Cmp(neg) > 0:
		lo = around(expPoint(a.lo, p), p).lo
	}
	switch {
	case a.hi.Cmp(neg) < 0:
		hi = tiny(false)
	case a.hi.Cmp(lim) < 0:
		hi = around(expPoint(a.hi, p), p).hi
	}
	return bound(lo, hi)
}

// logPoint computes ln x, x > 0 finite, to about p bits.
func logPoint(x *big.Float, p uint) *big.Float {
	m := newF(x.Prec())
	e := x.MantExp(m)
	if f, _ := m.Float64(); f < 0.70 {
		m.SetMantExp(m, 1)
		e--
	}
	w := p + 64
	d := newF(w).Sub(m, big.NewFloat(1))
	if d.Sign() == 0 {
		return newF(w).Mul(newF(w).SetInt64(int64(e)), ln2Const())
	}
	if k := d.MantExp(nil); k < 0 {
		w += uint(min(-k, maxPrec)) // m near 1: ln m is small, keep its digits
	}
	f, _ := m.Float64()
	y := newF(w).SetFloat64(math.Log(f))
	if k := d.MantExp(nil); k < -40 {
		y = newF(w).Set(d)
	}
	for bits := uint(40); bits < 2*w; bits *= 3 {
		ey := expPoint(y, min(w, 3*bits+64))
		n := newF(w).Sub(m, ey)
		n.Quo(n, newF(w).Add(m, ey))
		n.SetMantExp(n, 1)
		y.Add(y, n)
	}
	return y.Add(y, newF(w).Mul(newF(w).SetInt64(int64(e)), ln2Const()))
}

// log needs a > 0.
func (a ival) log(p uint) (ival, bool) {
	if a.lo.Sign() <= 0 {
		return ival{}, false
	}
	hi := new(big.Float).SetInf(false)
	if !a.hi.IsInf() {
		hi = around(logPoint(a.hi, p), p).hi
	}
	return bound(around(logPoint(a.lo, p), p).lo, hi), true
}

// atanPoint computes atan x to about p bits.
func atanPoint(x *big.Float, p uint) *big.Float {
	w := p + 64
	if x.Sign() == 0 || x.MantExp(nil) < -int(w) {
		return newF(w).Set(x) // atan x = x (1 + O(x^2))
	}
	if x.MantExp(nil) > int(w) {
		x = newF(w).SetMantExp(big.NewFloat(float64(x.Sign())), int(w))
	}
	t := newF(w).Set(x)
	inv := false
	if newF(64).Abs(t).Cmp(big.NewFloat(1)) > 0 {
		t.Quo(newF(w).SetInt64(1), t)
		inv = true
	}
	s := 3 + int(math.Sqrt(float64(p)))/3
	one := newF(w).SetInt64(1)
	for i := 0; i < s; i++ {
		q := newF(w).Mul(t, t)
		q.Add(q, one)
		q.Sqrt(q)
		q.Add(q, one)
		t.Quo(t, q)
	}
	t2 := newF(w).Mul(t, t)
	sum, pw := newF(w).Set(t), newF(w).Set(t)
	for n := int64(1); ; n++ {
		pw.Mul(pw, t2)
		d := newF(w).Quo(pw, newF(64).SetInt64(2*n+1))
		if d.Sign() == 0 || d.MantExp(nil) < t.MantExp(nil)-int(w) {
			break
		}
		if n%2 == 1 {
			sum.Sub(sum, d)
		} else {
			sum.Add(sum, d)
		}
	}
	sum.SetMantExp(sum, s)
	if inv {
		h := newF(w).Set(piConst())
		h.SetMantExp(h, -1)
		if x.Sign() < 0 {
			h.Neg(h)
		}
		sum.Sub(h, sum)
	}
	return sum
}

func (a ival) atan(p uint) ival {
	end := func(f *big.Float) ival {
		if f.IsInf() {
			h := piIval(p)
			h = h.mul(ivalRat(big.NewRat(1, 2), p), p)
			if f.Sign() < 0 {
				return h.neg()
			}
			return h
		}
		return around(atanPoint(f, p), p)
	}
	return bound(end(a.lo).lo, end(a.hi).hi)
}

// sincosPoint computes sin x and cos x with an absolute error near 2^-p;
// |x| must be below 2^256.
func sincosPoint(x *big.Float, p uint) (s, c *big.Float) {
	if x.Sign() == 0 || x.MantExp(nil) < -int(p)-64 {
		return newF(p).Set(x), newF(p).SetInt64(1)
	}
	w := p + 64 + uint(max(0, x.MantExp(nil)))
	h := newF(w).Set(piConst())
	h.SetMantExp(h, -1)
	q := newF(w).Quo(x, h)
	if q.Sign() >= 0 {
		q.Add(q, big.NewFloat(0.5))
	} else {
		q.Sub(q, big.NewFloat(0.5))
	}
	k, _ := q.Int(nil)
	r := newF(w).Sub(x, newF(w).Mul(newF(w).SetInt(k), h))
	n := 3 + int(math.Sqrt(float64(p)))/3
	r.SetMantExp(r, -n)
	w += uint(2 * n)
	r.SetPrec(w)
	r2 := newF(w).Mul(r, r)
	t := newF(w).Set(r)
	s = newF(w).Set(r)
	for i := int64(1); t.Sign() != 0 && t.MantExp(nil) > -int(w); i++ {
		t.Mul(t, r2)
		t.Quo(t, newF(64).SetInt64(2*i*(2*i+1)))
		t.Neg(t)
		s.Add(s, t)
	}
	one := newF(w).SetInt64(1)
	c = newF(w).Sub(one, newF(w).Mul(s, s))
	c.Sqrt(c)
	for i := 0; i < n; i++ {
		s, c = newF(w).Mul(newF(w).Mul(s, c), big.NewFloat(2)),
			newF(w).Sub(one, newF(w).Mul(newF(w).Mul(s, s), big.NewFloat(2)))
	}
	switch new(big.Int).And(k, big.NewInt(3)).Int64() {
	case 1:
		s, c = c, s.Neg(s)
	case 2:
		s, c = s.Neg(s), c.Neg(c)
	case 3:
		s, c = c.Neg(c), s
	}
	return s, c
}

// sincos encloses sin and cos over a by the value at the middle and the
// Lipschitz constant 1.
func (a ival) sincos(p uint) (s, c ival) {
	all := ival{big.NewFloat(-1), big.NewFloat(1)}
	if a.lo.IsInf() || a.hi.IsInf() || a.hi.MantExp(nil) > 256 || a.lo.MantExp(nil) > 256 {
		return all, all
	}
	m := a.mid(p + 300)
	sp, cp := sincosPoint(m, p)
	w := addEnd(up(64), a.hi, new(big.Float).Neg(a.lo))
	w = addEnd(up(64), w, newF(64).SetMantExp(big.NewFloat(1), -int(p)+8))
	return ival{sp, sp}.widen(w, p), ival{cp, cp}.widen(w, p)
}
