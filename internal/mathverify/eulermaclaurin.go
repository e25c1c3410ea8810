package mathverify

import (
	"math"
	"math/big"
	"sync"
)

const maxBernoulli = 400 // covers the terms needed at the highest precision

// bernoulli holds B_0, B_2, B_4, ... from the tangent numbers (Knuth & Buckholtz,
// "Computation of tangent, Euler and Bernoulli numbers", 1967).
var bernoulli = sync.OnceValue(func() []*big.Rat {
	n := maxBernoulli / 2
	t := make([]*big.Int, n+1)
	t[1] = big.NewInt(1)
	for k := 2; k <= n; k++ {
		t[k] = new(big.Int).Mul(t[k-1], big.NewInt(int64(k-1)))
	}
	for k := 2; k <= n; k++ {
		for j := k; j <= n; j++ {
			x := new(big.Int).Mul(t[j-1], big.NewInt(int64(j-k)))
			t[j] = x.Add(x, new(big.Int).Mul(t[j], big.NewInt(int64(j-k+2))))
		}
	}
	out := []*big.Rat{big.NewRat(1, 1)}
	for k := 1; k <= n; k++ {
		// B_2k = (-1)^(k-1) 2k T_k / (4^k (4^k - 1))
		p := new(big.Int).Lsh(big.NewInt(1), uint(2*k))
		d := new(big.Int).Mul(p, new(big.Int).Sub(p, big.NewInt(1)))
		x := new(big.Rat).SetFrac(new(big.Int).Mul(t[k], big.NewInt(int64(2*k))), d)
		if k%2 == 0 {
			x.Neg(x)
		}
		out = append(out, x)
	}
	return out
})

// sumRational is the sum of f(k) from a on for a rational function that falls
// at least like 1/k^2. Beyond a bound on all poles f is a convergent series
// sum c_m k^-m, and the sum of each k^-m from N on follows from the
// Euler-Maclaurin formula, whose error is below the first term left out
// (Olver, "Asymptotics and Special Functions", chapter 8).
func (e *evaluator) sumRational(f ratFunc, a int64) (value, error) {
	if len(f.num) == 0 {
		return exactInt(0), nil
	}
	if len(f.num) > len(f.den)-2 {
		return value{}, errUndefined
	}
	radius := f.den.rootBound()
	if radius > 1<<20 || a > 1<<40 || a < -1<<40 {
		return value{}, errBudget
	}
	p := e.p + 32
	first := max(2*int64(p)+32*radius, a)
	n := first
	if err := e.b.spend(int(min(n-a, 1<<30)) / 4); err != nil {
		return value{}, err
	}
	sum := ival{new(big.Float), new(big.Float)}
	top, bottom := f.wholeCoefficients()
	for k := a; k < n; k++ {
		d := hornerInt(bottom, k)
		if d.Sign() == 0 {
			return value{}, errUndefined
		}
		x, y := intIval(hornerInt(top, k), p), intIval(d, p)
		q, ok := y.inv(p)
		if !ok {
			return value{}, errPrecision
		}
		sum = sum.add(x.mul(q, p), p)
	}
	tail, err := e.rationalTail(f, radius, n, p)
	if err != nil {
		return value{}, err
	}
	return realIval(sum.add(tail, p)), nil
}

// wholeCoefficients multiplies numerator and denominator by the least number
// that makes all coefficients integers.
func (f ratFunc) wholeCoefficients() (num, den []*big.Int) {
	l := big.NewInt(1)
	for _, p := range []poly{f.num, f.den} {
		for _, c := range p {
			g := new(big.Int).GCD(nil, nil, l, c.Denom())
			l.Mul(l, new(big.Int).Quo(c.Denom(), g))
		}
	}
	out := [2][]*big.Int{}
	for i, p := range []poly{f.num, f.den} {
		for _, c := range p {
			x := new(big.Int).Quo(l, c.Denom())
			out[i] = append(out[i], x.Mul(x, c.Num()))
		}
	}
	return out[0], out[1]
}

func hornerInt(c []*big.Int, k int64) *big.Int {
	x, acc := big.NewInt(k), new(big.Int)
	for i := len(c) - 1; i >= 0; i-- {
		acc.Add(acc.Mul(acc, x), c[i])
	}
	return acc
}

func intIval(x *big.Int, p uint) ival { return ival{down(p).SetInt(x), up(p).SetInt(x)} }

// rationalTail is the sum of f(k) from n on; all poles lie within radius and n
// is at least 32 times as large.
func (e *evaluator) rationalTail(f ratFunc, radius, n int64, p uint) (ival, error) {
	gain := math.Log2(float64(n) / float64(2*radius)) // bits per coefficient
	count := int(float64(p)/gain) + 8
	js := int(p)/12 + 8
	if err := e.b.spend(count * js / 8); err != nil {
		return ival{}, err
	}
	shift := len(f.den) - len(f.num) // f(k) = k^-shift (p_d + p_(d-1)/k + ...)/(q_n + ...)
	c := f.expand(count)
	b := bernoulli()
	js = min(js, len(b)-2)
	inv := ivalRat(big.NewRat(1, n), p)
	inv2 := inv.mul(inv, p)
	total := ival{new(big.Float), new(big.Float)}
	power := inv // n^-(m-1)
	for i := 2; i < shift; i++ {
		power = power.mul(inv, p)
	}
	bs := make([]ival, js+2)
	for j := range bs {
		bs[j] = ivalRat(b[j], p)
	}
	slack := newF(64)
	for i, cm := range c {
		m := int64(shift + i)
		if cm.Sign() != 0 {
			// n^(1-m)/(m-1) + n^-m/2 + sum_j B_2j/(2j)! (m)_(2j-1) n^(-m-2j+1)
			z := power.mul(ivalRat(big.NewRat(1, m-1), p), p)
			z = z.add(power.mul(inv, p).mul(ivalRat(big.NewRat(1, 2), p), p), p)
			w := power.mul(inv2, p).mul(ivalRat(big.NewRat(m, 2), p), p) // (m)_1/2! n^(-m-1)
			var last ival
			for j := 1; j <= js+1; j++ {
				last = w.mul(bs[j], p)
				if j > js || last.hi.IsInf() || mag(last)+ratExp(cm) < -int(p) {
					break
				}
				z = z.add(last, p)
				k := m + int64(2*j)
				w = w.mul(inv2, p).mul(ivalRat(big.NewRat((k-1)*k, int64(2*j+1)*int64(2*j+2)), p), p)
			}
			z = z.widen(absHigh(last), p)
			total = total.add(z.mul(ivalRat(cm, p), p), p)
		}
		power = power.mul(inv, p)
	}
	// |c_m| <= C (2 radius)^m with C a bound of |f| on the circle of that radius
	// (Cauchy), and the sum of k^-m from n on is at most 2 n^(1-m).
	rest := f.circleBound(2 * radius)
	q := new(big.Rat).SetFrac64(2*radius, n)
	x := up(64).SetRat(rest.Mul(rest, new(big.Rat).SetInt64(4*n)))
	for i := 0; i < shift+len(c); i++ {
		x = up(64).Mul(x, up(64).SetRat(q))
	}
	slack.Set(x)
	return total.widen(slack, p), nil
}

// ratExp is the binary exponent of r, up to one.
func ratExp(r *big.Rat) int { return r.Num().BitLen() - r.Denom().BitLen() + 1 }

// mag is the binary exponent of the larger end.
func mag(a ival) int {
	h := absHigh(a)
	if h.Sign() == 0 || h.IsInf() {
		return math.MinInt32
	}
	return h.MantExp(nil)
}

func absHigh(a ival) *big.Float {
	x, y := new(big.Float).Abs(a.lo), new(big.Float).Abs(a.hi)
	if x.Cmp(y) > 0 {
		return x
	}
	return y
}

// rootBound is an integer above the modulus of every root, by Cauchy's bound.
func (p poly) rootBound() int64 {
	best := new(big.Rat)
	for _, c := range p[:len(p)-1] {
		x := new(big.Rat).Quo(c, p[len(p)-1])
		if x.Abs(x); x.Cmp(best) > 0 {
			best = x
		}
	}
	n := roundRat(best, "ceil")
	if !n.IsInt64() || n.Int64() > 1<<40 {
		return 1 << 40
	}
	return n.Int64() + 2
}

// expand gives the first coefficients of f(k) k^shift as a series in 1/k.
func (f ratFunc) expand(count int) []*big.Rat {
	c := make([]*big.Rat, count)
	top := func(p poly, i int) *big.Rat { // i-th coefficient from the highest
		if i >= len(p) {
			return new(big.Rat)
		}
		return p[len(p)-1-i]
	}
	for i := range c {
		x := new(big.Rat).Set(top(f.num, i))
		for j := 1; j <= i && j < len(f.den); j++ {
			x.Sub(x, new(big.Rat).Mul(top(f.den, j), c[i-j]))
		}
		c[i] = x.Quo(x, f.den[len(f.den)-1])
	}
	return c
}

// circleBound bounds |f| on the circle of radius r, r at least twice the
// modulus of every pole: |den| >= |lead| (r/2)^n there.
func (f ratFunc) circleBound(r int64) *big.Rat {
	x, acc := new(big.Rat).SetInt64(r), new(big.Rat)
	for i := len(f.num) - 1; i >= 0; i-- {
		acc.Mul(acc, x)
		acc.Add(acc, new(big.Rat).Abs(f.num[i]))
	}
	d := new(big.Rat).Abs(f.den[len(f.den)-1])
	half := new(big.Rat).SetFrac64(r, 2)
	for i := 1; i < len(f.den); i++ {
		d.Mul(d, half)
	}
	return acc.Quo(acc, d)
}
