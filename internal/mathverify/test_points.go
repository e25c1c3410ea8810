package mathverify

import (
	"errors"
	"math/big"
	"sort"
)

// points compares two expressions in symbols at fixed pseudo-random points.
// Real points at which both sides are real decide; only expressions that are
// real nowhere are compared as complex functions.
func (c *comparer) points(g, p *Node, syms []string) Result {
	integers := needsIntegers(g) || needsIntegers(p)
	whole := map[string]bool{}
	signExponents(g, whole)
	signExponents(p, whole)
	steep := highPower(g) || highPower(p)
	realAgree, agree, differ := 0, 0, 0
	last := unknown("no point where both sides have a value")
	budget := 0
	for i := 0; i < 14; i++ {
		env := map[string]value{}
		for _, s := range syms {
			env[s] = samplePoint(s, i, integers || whole[s])
			if v := env[s]; steep && v.real { // powers of integers are cheap to add
				env[s] = exactRat(new(big.Rat).SetInt(v.re.Num()))
			}
		}
		s, real, err := c.atPoint(g, p, env)
		if err != nil {
			if errors.Is(err, errBudget) {
				if budget++; budget > 1 {
					return unknown("%v", err)
				}
			}
			if errors.Is(err, errNoValue) && i > 8 && agree == 0 {
				return unknown("%v", err)
			}
			continue
		}
		switch {
		case s == apart && real:
			return different("values differ at a test point")
		case s == apart:
			differ++
		case s == sameExact || s == overlapTight:
			agree++
			if real {
				realAgree++
			}
		}
		if realAgree >= 6 || realAgree >= 3 && c.b.steps < c.opt.steps()/8*7 {
			break
		}
	}
	if realAgree >= 2 && differ == 0 && (stepped(g) || stepped(p)) {
		if r := c.steppedPoints(g, p, syms); r.Verdict != Equal {
			return r
		}
	}
	if realAgree >= 2 && differ == 0 && (bent(g) || bent(p)) {
		if !c.agreeFar(g, p, syms) {
			return different("values differ far from zero")
		}
	}
	switch {
	case realAgree >= 2:
		return equal("values agree at %d test points", realAgree)
	case differ > 0:
		return different("values differ at a complex test point")
	case agree >= 3:
		return equal("values agree at %d complex test points", agree)
	}
	return last
}

func (c *comparer) atPoint(g, p *Node, env map[string]value) (separation, bool, error) {
	for _, prec := range []uint{128, 512} {
		e := c.evaluator(prec, env)
		a, err := e.eval(g)
		if err != nil {
			if errors.Is(err, errPrecision) && prec == 128 {
				continue
			}
			return 0, false, err
		}
		b, err := e.eval(p)
		if err != nil {
			if errors.Is(err, errPrecision) && prec == 128 {
				continue
			}
			return 0, false, err
		}
		s := e.separate(a, b)
		if s == overlapWide && prec == 128 {
			continue
		}
		return s, a.real && b.real, nil
	}
	return 0, false, errPrecision
}

// highPower reports a symbol to a power above 100.
func highPower(n *Node) bool {
	return !n.walk(func(m *Node) bool {
		return m.Kind != KPow || m.Args[1].Kind != KNum || m.Args[1].Rat.Cmp(big.NewRat(100, 1)) <= 0 || !symbolic(m.Args[0])
	})
}

// needsIntegers reports functions that have values at integers only.
func needsIntegers(n *Node) bool {
	return !n.walk(func(m *Node) bool {
		switch m.Kind {
		case KFunc:
			switch m.Name {
			case "factorial", "binomial", "gcd", "lcm", "mod":
				return false
			}
		}
		return true
	})
}

// bent reports a function of a symbol that has one formula on this side of a point
// and another beyond it: |x + 100| is x + 100 only above -100.
func bent(n *Node) bool {
	return !n.walk(func(m *Node) bool {
		switch m.Kind {
		case KFunc:
			switch m.Name {
			case "abs", "sqrt", "root", "max", "min", "sgn", "arcsin", "arccos", "arctan":
				return !symbolic(m)
			}
		case KPow:
			if e := m.Args[1]; e.Kind == KDiv || e.Kind == KNum && !e.Rat.IsInt() {
				return !symbolic(m.Args[0])
			}
		case KCases:
			return false
		}
		return true
	})
}

// agreeFar compares at the constants of both expressions, near them and beyond all
// of them, on either side of zero; one symbol moves at a time, and the others have
// its sign. It reports false on a proof of a difference at real values.
func (c *comparer) agreeFar(g, p *Node, syms []string) bool {
	far := big.NewRat(7, 1)
	seen := map[string]bool{}
	var points []*big.Rat
	add := func(r *big.Rat) {
		if s := r.RatString(); !seen[s] && len(points) < 24 {
			seen[s] = true
			points = append(points, r)
		}
	}
	for _, n := range []*Node{g, p} {
		n.walk(func(m *Node) bool {
			if m.Kind == KNum && ratBits(m.Rat) < 128 {
				a := new(big.Rat).Abs(m.Rat)
				far = new(big.Rat).Add(far, new(big.Rat).Mul(a, big.NewRat(2, 1)))
				if a.Cmp(big.NewRat(8, 1)) > 0 {
					add(new(big.Rat).Add(a, big.NewRat(1, 3)))
					add(new(big.Rat).Sub(a, big.NewRat(1, 3)))
				}
			}
			return true
		})
	}
	points = append(points, far, new(big.Rat).Mul(far, far))
	for i, s := range syms {
		for _, x := range points {
			for _, sign := range []int64{1, -1} {
				env := map[string]value{}
				for _, o := range syms {
					env[o] = exactRat(new(big.Rat).Mul(samplePoint(o, i%4, false).re, big.NewRat(sign, 1)))
				}
				env[s] = exactRat(new(big.Rat).Mul(x, big.NewRat(sign, 1)))
				if sep, real, err := c.atPoint(g, p, env); err == nil && sep == apart && real {
					return false
				} else if errors.Is(err, errBudget) {
					return true
				}
			}
		}
	}
	return true
}

// signExponents collects the integer letters in exponents of negative numbers and
// the symbols in the bounds of sums and products: (-1)^n means an integer n.
func signExponents(n *Node, out map[string]bool) {
	n.walk(func(m *Node) bool {
		if m.Kind == KBig && (m.Name == "sum" || m.Name == "prod") {
			for _, s := range freeSymbols(m.Args[2:]...) {
				out[s] = true
			}
		}
		if m.Kind == KPow && (m.Args[0].Kind == KNum && m.Args[0].Rat.Sign() < 0 || m.Args[0].Kind == KNeg && m.Args[0].Args[0].Kind == KNum) {
			for _, s := range freeSymbols(m.Args[1]) {
				if isIntegerLetter(s) {
					out[s] = true
				}
			}
		}
		return true
	})
}

// samplePoint is the value of symbol s at point i: positive rationals first,
// then both signs, then Gaussian rationals.
func samplePoint(s string, i int, integers bool) value {
	h := hashMix(hashString(s)+uint64(i)*0x9e3779b97f4a7c15, s)
	if integers {
		if s == "i" {
			return exactInt(2)
		}
		return exactInt(int64(h%9) + 2)
	}
	// Small numerators and denominators keep powers such as x^800 small.
	primes := [...]int64{5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43}
	r := big.NewRat(primes[h%12], int64(h>>20%7)+2)
	if r.IsInt() {
		r.Add(r, big.NewRat(1, 3))
	}
	if i%4 >= 2 { // below one too, for functions defined there only
		r.Inv(r)
	}
	switch {
	case i < 4:
		return exactRat(r)
	case i < 10:
		if h>>40&1 == 1 || i == 5 {
			r.Neg(r)
		}
		return exactRat(r)
	}
	return exactComplex(r, big.NewRat(int64(h>>32%89)+3, 31))
}

// freeSymbols lists the free symbols of the trees in order.
func freeSymbols(nodes ...*Node) []string {
	seen := map[string]bool{}
	var visit func(n *Node, bound map[string]bool)
	visit = func(n *Node, bound map[string]bool) {
		if n.Kind == KSym && !bound[n.Name] {
			seen[n.Name] = true
		}
		if n.Kind == KBig && n.Name != "diff" {
			inner := map[string]bool{n.Args[1].Name: true}
			for k := range bound {
				inner[k] = true
			}
			visit(n.Args[0], inner)
			for _, a := range n.Args[2:] {
				visit(a, bound)
			}
			return
		}
		for _, a := range n.Args {
			visit(a, bound)
		}
	}
	for _, n := range nodes {
		visit(n, nil)
	}
	out := make([]string, 0, len(seen))
	for s := range seen {
		out = append(out, s)
	}
	sort.Strings(out)
	return out
}

// Functions with steps (piecewise definitions, floor, sign, maximum) may agree
// at random points and differ at or near a step, so their steps are visited.

// stepped reports a function with steps that depends on a symbol.
func stepped(n *Node) bool {
	return !n.walk(func(m *Node) bool {
		switch {
		case m.Kind == KCases:
			return false
		case m.Kind == KFunc:
			switch m.Name {
			case "floor", "ceil", "round", "sgn", "max", "min", "mod":
				return !symbolic(m)
			}
		}
		return true
	})
}

// steppedPoints compares at integers, at the constants of the conditions, close
// to them on both sides, and between them.
func (c *comparer) steppedPoints(g, p *Node, syms []string) Result {
	if len(syms) != 1 {
		return c.steppedGrid(g, p, syms)
	}
	points := []*big.Rat{}
	for k := int64(-3); k <= 4; k++ {
		points = append(points, big.NewRat(k, 1))
	}
	for _, n := range []*Node{g, p} {
		n.walk(func(m *Node) bool {
			if m.Kind != KRel && !(m.Kind == KFunc && (m.Name == "max" || m.Name == "min")) {
				return true
			}
			for _, a := range m.Args {
				if r, ok := c.rational(a); ok {
					points = append(points, r)
				} else if !symbolic(a) {
					if v, err := c.evaluator(96, nil).eval(a); err == nil && v.real && !v.exact {
						if x, _ := v.ri.mid(96).Rat(nil); x != nil {
							points = append(points, x)
						}
					}
				}
			}
			return true
		})
	}
	if len(points) > 40 {
		points = points[:40]
	}
	seen := 0
	for i, x := range points {
		near := []*big.Rat{x, new(big.Rat).Add(x, big.NewRat(1, 997)), new(big.Rat).Sub(x, big.NewRat(1, 997))}
		if i > 0 {
			m := new(big.Rat).Add(x, points[i-1])
			near = append(near, m.Quo(m, big.NewRat(2, 1)))
		}
		for _, y := range near {
			s, _, err := c.atPoint(g, p, map[string]value{syms[0]: exactRat(y)})
			if err != nil {
				continue
			}
			if s == apart {
				return different("values differ at a step or near it")
			}
			seen++
		}
	}
	if seen == 0 {
		return unknown("no value near the steps")
	}
	return equal("values agree at the steps")
}

// steppedGrid compares at a grid of points in several symbols, where every
// order of the symbols and every sign occurs.
func (c *comparer) steppedGrid(g, p *Node, syms []string) Result {
	if len(syms) > 3 {
		return unknown("a function with steps has more than three symbols")
	}
	grid := []*big.Rat{big.NewRat(-3, 1), big.NewRat(-1, 2), new(big.Rat), big.NewRat(1, 1), big.NewRat(5, 2)}
	total := 1
	for range syms {
		total *= len(grid)
	}
	seen := 0
	for i := 0; i < total; i++ {
		env, k := map[string]value{}, i
		for j, s := range syms {
			x := new(big.Rat).Add(grid[k%len(grid)], big.NewRat(int64(j*(i%2)), 97)) // ties at every other point
			env[s] = exactRat(x)
			k /= len(grid)
		}
		s, _, err := c.atPoint(g, p, env)
		if err != nil {
			continue
		}
		if s == apart {
			return different("values differ at a point near the steps")
		}
		seen++
	}
	if seen < total/4 {
		return unknown("too few values near the steps")
	}
	return equal("values agree at %d points near the steps", seen)
}
