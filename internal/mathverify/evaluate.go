package mathverify

import (
	"math/big"
	"strings"
)

// evaluator gives a tree its value at one point.
type evaluator struct {
	arith
	env     map[string]value
	log10   bool // \log without base is the decimal logarithm
	product bool // f(x) is f times x
	depth   int
}

func (e *evaluator) eval(n *Node) (value, error) {
	if err := e.b.spend(2 + int(e.p)/256); err != nil {
		return value{}, err
	}
	if e.depth++; e.depth > 4*maxDepth {
		return value{}, errBudget
	}
	defer func() { e.depth-- }()
	switch n.Kind {
	case KNum, KBase:
		return e.fit(exactRat(n.Rat)), nil
	case KSym:
		if v, ok := e.env[n.Name]; ok {
			return v, nil
		}
		return value{}, errNoValue
	case KConst:
		return e.constant(n.Name)
	case KAdd:
		return e.fold(n.Args, e.add)
	case KMul:
		return e.fold(n.Args, e.mul)
	case KNeg:
		v, err := e.eval(n.Args[0])
		if err != nil {
			return value{}, err
		}
		return e.neg(v), nil
	case KDiv:
		a, b, err := e.two(n)
		if err != nil {
			return value{}, err
		}
		return e.div(a, b)
	case KPow:
		return e.power(n)
	case KPercent:
		v, err := e.eval(n.Args[0])
		if err != nil {
			return value{}, err
		}
		return e.mul(v, exactRat(big.NewRat(1, 100))), nil
	case KDegree:
		v, err := e.eval(n.Args[0])
		if err != nil {
			return value{}, err
		}
		return e.mul(e.mul(v, exactRat(big.NewRat(1, 180))), realIval(piIval(e.p))), nil
	case KRatio:
		if len(n.Args) != 2 {
			return value{}, errNoValue
		}
		a, b, err := e.two(n)
		if err != nil {
			return value{}, err
		}
		return e.div(a, b)
	case KFunc:
		return e.function(n)
	case KApp:
		return e.apply(n)
	case KBig:
		return e.big(n)
	case KUnit:
		v, err := e.eval(n.Args[0])
		if err != nil {
			return value{}, err
		}
		u, ok := parseUnit(n.Name)
		if !ok {
			return value{}, errNoValue
		}
		return e.add(e.mul(v, exactRat(u.factor)), exactRat(u.zero)), nil
	case KCases:
		return e.cases(n)
	}
	return value{}, errNoValue
}

func (e *evaluator) two(n *Node) (a, b value, err error) {
	if a, err = e.eval(n.Args[0]); err != nil {
		return
	}
	b, err = e.eval(n.Args[1])
	return
}

func (e *evaluator) fold(args []*Node, f func(a, b value) value) (value, error) {
	acc, err := e.eval(args[0])
	if err != nil {
		return value{}, err
	}
	for _, a := range args[1:] {
		v, err := e.eval(a)
		if err != nil {
			return value{}, err
		}
		acc = f(acc, v)
	}
	return acc, nil
}

func (e *evaluator) constant(name string) (value, error) {
	switch name {
	case "pi":
		return realIval(piIval(e.p)), nil
	case "e":
		return e.exp(exactInt(1))
	case "i":
		return exactComplex(new(big.Rat), big.NewRat(1, 1)), nil
	}
	return value{}, errNoValue
}

func (e *evaluator) power(n *Node) (value, error) {
	base := n.Args[0]
	x, err := e.eval(n.Args[1])
	if err != nil {
		return value{}, err
	}
	if base.Kind == KConst && base.Name == "e" {
		return e.exp(x)
	}
	v, err := e.eval(base)
	if err != nil {
		return value{}, err
	}
	return e.pow(v, x)
}

// apply gives an unknown function a fixed pseudo-random value at each exact
// argument, so that two expressions in f agree only where they use f alike.
func (e *evaluator) apply(n *Node) (value, error) {
	if e.product && len(n.Args) == 1 {
		f, ok := e.env[n.Name]
		if !ok {
			return value{}, errNoValue
		}
		v, err := e.eval(n.Args[0])
		if err != nil {
			return value{}, err
		}
		return e.mul(f, v), nil
	}
	h := hashString(n.Name)
	for _, a := range n.Args {
		v, err := e.eval(a)
		if err != nil {
			return value{}, err
		}
		if !v.exact {
			return value{}, errNoValue
		}
		h = hashMix(h, v.re.RatString())
		if v.im != nil {
			h = hashMix(h, v.im.RatString())
		}
	}
	return exactRat(big.NewRat(int64(h%9973)+2, int64(h/9973%97)+3)), nil
}

func (e *evaluator) cases(n *Node) (value, error) {
	for i := 0; i+1 < len(n.Args); i += 2 {
		ok, err := e.holds(n.Args[i+1])
		if err != nil {
			return value{}, err
		}
		if ok {
			return e.eval(n.Args[i])
		}
	}
	return value{}, errUndefined
}

// holds decides a condition at the current point.
func (e *evaluator) holds(n *Node) (bool, error) {
	switch n.Kind {
	case KText:
		return true, nil // "otherwise", "else"
	case KMul: // "if x > 0" may leave the word as a factor
		return e.holds(n.Args[len(n.Args)-1])
	case KList:
		for _, a := range n.Args {
			if ok, err := e.holds(a); err != nil || !ok {
				return false, err
			}
		}
		return true, nil
	case KRel:
		for i, op := range n.Ops {
			a, err := e.eval(n.Args[i])
			if err != nil {
				return false, err
			}
			b, err := e.eval(n.Args[i+1])
			if err != nil {
				return false, err
			}
			ok, err := e.relHolds(a, op, b)
			if err != nil || !ok {
				return false, err
			}
		}
		return true, nil
	}
	return false, errNoValue
}

func (e *evaluator) relHolds(a value, op string, b value) (bool, error) {
	if a.exact && b.exact && (a.im != nil || b.im != nil) {
		eq := a.re.Cmp(b.re) == 0 && orZero(a.im).Cmp(orZero(b.im)) == 0
		switch op {
		case "=":
			return eq, nil
		case "!=":
			return !eq, nil
		}
		return false, errNoValue
	}
	c, ok := e.cmp(a, b)
	if !ok {
		return false, errPrecision
	}
	switch op {
	case "=":
		return c == 0, nil
	case "!=":
		return c != 0, nil
	case "<":
		return c < 0, nil
	case "<=":
		return c <= 0, nil
	case ">":
		return c > 0, nil
	case ">=":
		return c >= 0, nil
	}
	return false, errNoValue
}

func hashString(s string) uint64 { return hashMix(14695981039346656037, s) }

// hashMix is FNV-1a.
func hashMix(h uint64, s string) uint64 {
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h ^ h>>29
}

// uncomputed reports an integral, a limit, a derivative or an endless sum or
// product in n. Such expressions are read but never evaluated.
func uncomputed(n *Node) bool {
	return !n.walk(func(m *Node) bool {
		return m.Kind != KBig || (m.Name == "sum" || m.Name == "prod") && infinite(m.Args[2]) == 0 && infinite(m.Args[3]) == 0
	})
}

var notEvaluated = unknown("integrals, limits, derivatives and infinite sums are not evaluated")

// maxTerms is the most terms that a sum or product may have.
const maxTerms = 20000

// big evaluates finite sums and products term by term.
func (e *evaluator) big(n *Node) (value, error) {
	if n.Name != "sum" && n.Name != "prod" {
		return value{}, errNoValue
	}
	from, err := e.eval(n.Args[2])
	if err != nil {
		return value{}, err
	}
	to, err := e.eval(n.Args[3])
	if err != nil {
		return value{}, err
	}
	a, ok1 := from.small()
	b, ok2 := to.small()
	if !ok1 || !ok2 {
		return value{}, errNoValue
	}
	if b > a && uint64(b-a) >= maxTerms {
		return value{}, errBudget
	}
	acc, f := exactInt(0), e.add
	if n.Name == "prod" {
		acc, f = exactInt(1), e.mul
	}
	if e.env == nil {
		e.env = map[string]value{}
	}
	index := n.Args[1].Name
	outer, shadowed := e.env[index]
	defer func() {
		delete(e.env, index)
		if shadowed {
			e.env[index] = outer
		}
	}()
	for k := a; k <= b; k++ {
		e.env[index] = exactInt(k)
		v, err := e.eval(n.Args[0])
		if err != nil {
			return value{}, err
		}
		acc = f(acc, v)
	}
	return acc, nil
}

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
		size := ratBits(r)
		r.Quo(r, q)
		k += step
		if ratBits(r) >= size { // a power of b would have become smaller
			return value{}, false
		}
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
	if k > int64(e.b.bits/8) || int(k)*big.NewInt(n).BitLen() > 2*e.b.bits {
		return value{}, errBudget
	}
	if err := e.b.spend(3 * int(k)); err != nil {
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
		if err := e.b.spend(2 * sizeCost(ratBits(acc)+ratBits(r))); err != nil {
			return value{}, err
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

// det is the determinant by fraction-free expansion along the first row; the
// budget bounds the factorial growth.
func (e *evaluator) det(n *Node) (value, error) {
	if n.Kind != KMatrix {
		return value{}, errNoValue
	}
	size := len(n.Args)
	m := make([][]value, size)
	for i, r := range n.Args {
		if len(r.Args) != size {
			return value{}, errUndefined
		}
		for _, c := range r.Args {
			v, err := e.eval(c)
			if err != nil {
				return value{}, err
			}
			m[i] = append(m[i], v)
		}
	}
	return e.minor(m)
}

func (e *evaluator) minor(m [][]value) (value, error) {
	if err := e.b.spend(len(m) * len(m)); err != nil {
		return value{}, err
	}
	if len(m) == 1 {
		return m[0][0], nil
	}
	acc := exactInt(0)
	for j := range m {
		if m[0][j].isZero() {
			continue
		}
		sub := make([][]value, 0, len(m)-1)
		for _, r := range m[1:] {
			row := append(append([]value(nil), r[:j]...), r[j+1:]...)
			sub = append(sub, row)
		}
		d, err := e.minor(sub)
		if err != nil {
			return value{}, err
		}
		t := e.mul(m[0][j], d)
		if j%2 == 1 {
			t = e.neg(t)
		}
		acc = e.add(acc, t)
	}
	return acc, nil
}

// trig evaluates circular, hyperbolic and inverse functions.
func (e *evaluator) trig(name string, x value) (value, error) {
	base, div := 20, 8000
	if strings.HasPrefix(name, "arc") {
		base, div = 60, 1400
	}
	if err := e.b.spendAt(e.p, base, div); err != nil {
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
	case "arccoth", "arcsech", "arccsch":
		i, err := e.inv(x)
		if err != nil {
			return value{}, err
		}
		return e.archyp(map[string]string{"arccoth": "arctanh", "arcsech": "arccosh", "arccsch": "arcsinh"}[name], i)
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
