package mathverify

import (
	"errors"
	"math/big"
	"strconv"
)

// scalars compares two numbers or expressions, policies included.
func (c *comparer) scalars(g, p *Node) Result {
	if hasInfinity(g) || hasInfinity(p) {
		return c.infinities(g, p)
	}
	if r, done := c.policies(g, p); done {
		return r
	}
	r := c.values(g, p)
	if r.Verdict == Different && c.approximates(g, p) {
		return equal("equal to the digits stated")
	}
	if r.Verdict == Different && c.opt.Tolerance > 0 && c.within(g, p) {
		return equal("within the tolerance")
	}
	return r
}

// within reports two real numbers of which p is at most Tolerance times g away from g.
func (c *comparer) within(g, p *Node) bool {
	tolerance, ok := new(big.Rat).SetString(strconv.FormatFloat(c.opt.Tolerance, 'g', -1, 64))
	if !ok {
		return false
	}
	e := c.evaluator(96, nil)
	a, err1 := e.eval(g)
	b, err2 := e.eval(p)
	if err1 != nil || err2 != nil || !a.real || !b.real {
		return false
	}
	off, err1 := e.abs(e.sub(b, a))
	size, err2 := e.abs(a)
	if err1 != nil || err2 != nil {
		return false
	}
	s, ok := e.cmp(off, e.mul(size, exactRat(tolerance)))
	return ok && s <= 0
}

// policies applies the rules for percent, degrees, units and bases.
func (c *comparer) policies(g, p *Node) (Result, bool) {
	if isResidue(g) || isResidue(p) {
		return c.residues(g, p), true
	}
	gp, pp := g.Kind == KPercent, p.Kind == KPercent
	switch {
	case gp && pp:
		return c.scalars(g.Args[0], p.Args[0]), true
	case radians(g, p) || radians(p, g):
		return c.values(stripUnit(g), stripUnit(p)), true
	case clash(g, p) || clash(p, g):
		return different("quantities of different kinds"), true
	case gp && c.opt.Percent == PercentLenient:
		if r := c.scalars(g.Args[0], stripUnit(p)); r.Verdict == Equal {
			r.Reason = "percent sign left out: " + r.Reason
			return r, true
		}
	case pp && c.opt.Percent == PercentLenient:
		if r := c.scalars(stripUnit(g), p.Args[0]); r.Verdict == Equal && c.atLeastOne(p.Args[0]) {
			r.Reason = "percent sign added: " + r.Reason
			return r, true
		}
	}
	gd, pd := g.Kind == KDegree, p.Kind == KDegree
	if gd && pd {
		return c.scalars(g.Args[0], p.Args[0]), true
	}
	if gd != pd && c.opt.Units != UnitsStrict {
		x, y := g, p
		if gd {
			x = g.Args[0]
		} else {
			y = p.Args[0]
		}
		if r := c.scalars(x, y); r.Verdict == Equal {
			r.Reason = "degree sign left out: " + r.Reason
			return r, true
		}
	}
	if g.Kind == KUnit || p.Kind == KUnit {
		return c.unitPolicy(g, p), true
	}
	if g.Kind == KBase && p.Kind == KNum && !c.opt.StrictBase && p.Name == g.Name {
		return equal("same digits, base left out"), true
	}
	return Result{}, false
}

// clash reports a percentage or an angle against another kind of quantity; a
// noun after a percentage ("25% students") does not clash.
func clash(a, b *Node) bool {
	switch {
	case a.Kind == KPercent && b.Kind == KDegree:
		return true
	case a.Kind == KDegree && b.Kind == KUnit:
		return b.Name != "degC" && b.Name != "degF"
	case a.Kind == KPercent && b.Kind == KUnit:
		_, known := parseUnit(b.Name)
		return known
	}
	return false
}

// radians reports an angle in degrees against one in radians.
func radians(a, b *Node) bool {
	if a.Kind != KDegree || b.Kind != KUnit {
		return false
	}
	u, ok := parseUnit(b.Name)
	return ok && u.dim == units.all["rad"].dim
}

func isResidue(n *Node) bool { return n.Kind == KApp && n.Name == "pmod" }

// residues compares a mod m with another residue or with a bare number.
func (c *comparer) residues(g, p *Node) Result {
	switch {
	case !isResidue(p):
		return c.scalars(g.Args[0], p)
	case !isResidue(g):
		return c.scalars(g, p.Args[0])
	}
	if r := c.nodes(g.Args[1], p.Args[1]); r.Verdict != Equal {
		return r
	}
	return c.scalars(fn("mod", g.Args...), fn("mod", p.Args...))
}

func stripUnit(n *Node) *Node {
	if n.Kind == KUnit {
		return n.Args[0]
	}
	return n
}

// atLeastOne reports |n| >= 1.
func (c *comparer) atLeastOne(n *Node) bool {
	e := c.evaluator(96, nil)
	v, err := e.eval(n)
	if err != nil || !v.real {
		return false
	}
	v, err = e.abs(v)
	if err != nil {
		return false
	}
	s, ok := e.cmp(v, exactInt(1))
	return ok && s >= 0
}

func (c *comparer) evaluator(prec uint, env map[string]value) *evaluator {
	return &evaluator{arith: arith{p: prec, b: c.b}, env: env, log10: c.log10, product: c.prod}
}

// values compares two expressions by their values.
func (c *comparer) values(g, p *Node) Result {
	if uncomputed(g) || uncomputed(p) {
		return notEvaluated
	}
	syms := freeSymbols(g, p)
	if c.prod {
		for _, n := range []*Node{g, p} {
			n.walk(func(m *Node) bool {
				if m.Kind == KApp {
					syms = append(syms, m.Name)
				}
				return true
			})
		}
	}
	if len(syms) == 0 {
		return c.constants(g, p)
	}
	return c.points(g, p, syms)
}

var precisions = []uint{96, 384, 1536}

// constants compares two closed expressions.
func (c *comparer) constants(g, p *Node) Result {
	last := unknown("no value")
	for _, prec := range precisions {
		e := c.evaluator(prec, nil)
		a, err1 := e.eval(g)
		b, err2 := e.eval(p)
		if err1 != nil || err2 != nil {
			last = valueError(err1, err2)
			if last.Verdict == Unknown && retry(err1) && retry(err2) {
				continue
			}
			return last
		}
		s := e.separate(a, b)
		switch {
		case s == sameExact:
			return equal("exactly equal")
		case s != apart && e.samePower(g, p):
			return equal("same power of the same base")
		case s == apart:
			if a.exact && b.exact {
				return different("exact values differ")
			}
			return different("values differ (enclosed at %d bits)", prec)
		case s == overlapTight:
			last = equal("values agree to %d bits", prec/2)
		default:
			last = unknown("enclosures overlap but are too wide")
			if la, ok1 := e.logOfPower(g); ok1 {
				if lb, ok2 := e.logOfPower(p); ok2 && e.separate(la, lb) == apart {
					return different("logarithms of the powers differ")
				}
			}
		}
	}
	return last
}

// samePower reports two powers with one base above zero and exponents that are
// exactly equal.
func (e *evaluator) samePower(g, p *Node) bool {
	if g.Kind != KPow || p.Kind != KPow || g.Args[0].String() != p.Args[0].String() {
		return false
	}
	x, err1 := e.eval(g.Args[1])
	y, err2 := e.eval(p.Args[1])
	return err1 == nil && err2 == nil && e.separate(x, y) == sameExact
}

// logOfPower returns ln n for a power with a base above zero. It tells apart
// towers that are too large to enclose.
func (e *evaluator) logOfPower(n *Node) (value, bool) {
	if n.Kind != KPow {
		return value{}, false
	}
	b, err1 := e.eval(n.Args[0])
	x, err2 := e.eval(n.Args[1])
	if err1 != nil || err2 != nil || !x.real {
		return value{}, false
	}
	if s, ok := e.cmp(b, exactInt(0)); !ok || s <= 0 {
		return value{}, false
	}
	l, err := e.log(b)
	if err != nil {
		return value{}, false
	}
	return e.mul(x, l), true
}

func retry(err error) bool { return err == nil || errors.Is(err, errPrecision) }

func valueError(a, b error) Result {
	ua, ub := errors.Is(a, errUndefined), errors.Is(b, errUndefined)
	switch {
	case ua && b == nil, ub && a == nil:
		return different("only one side has a value")
	case a != nil:
		return unknown("gold: %v", a)
	}
	return unknown("prediction: %v", b)
}

type separation int

const (
	overlapWide separation = iota
	overlapTight
	sameExact
	apart
)

// separate tells whether two values are provably different or equal.
func (e *evaluator) separate(a, b value) separation {
	if a.exact && b.exact {
		if a.re.Cmp(b.re) == 0 && orZero(a.im).Cmp(orZero(b.im)) == 0 {
			return sameExact
		}
		return apart
	}
	ar, ai := a.ival(e.p)
	br, bi := b.ival(e.p)
	if ar.disjoint(br) || ai.disjoint(bi) {
		return apart
	}
	k := int(e.p) / 2
	if ar.tight(k) && br.tight(k) && ai.tight(k) && bi.tight(k) {
		return overlapTight
	}
	return overlapWide
}
