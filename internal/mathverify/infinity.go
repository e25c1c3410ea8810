package mathverify

import "math/big"

// Arithmetic with infinities, as limits have it. What has no single limit
// (infinity minus infinity, zero times infinity, 1 to the power of infinity) has no
// value.

// hasInfinity reports an infinity that is part of the value of n: not a bound of a
// sum, an integral or a limit.
func hasInfinity(n *Node) bool {
	if n.Kind == KConst {
		return n.Name == "inf"
	}
	if n.Kind == KBig {
		return hasInfinity(n.Args[0])
	}
	for _, a := range n.Args {
		if hasInfinity(a) {
			return true
		}
	}
	return false
}

// extended is a real number or a signed infinity.
type extended struct {
	inf int // 1, -1, or 0 for the number v
	v   value
}

func (c *comparer) infinities(g, p *Node) Result {
	if g.Kind == KPercent {
		g = g.Args[0]
	}
	if p.Kind == KPercent {
		p = p.Args[0]
	}
	e := c.evaluator(384, nil)
	if c.opt.Units != UnitsStrict {
		g, p = stripUnit(g), stripUnit(p)
	}
	if infinite(g) != 0 && !hasInfinity(p) || infinite(p) != 0 && !hasInfinity(g) {
		return different("infinity against something else")
	}
	if c.depth > 1 && (infinite(g) == 0 || infinite(p) == 0) {
		return unknown("an infinity inside an answer is not computed with")
	}
	a, ok1 := e.limit(g)
	b, ok2 := e.limit(p)
	if !ok1 || !ok2 {
		return unknown("an infinity without a value")
	}
	switch {
	case a.inf != b.inf:
		return different("different infinities, or infinity against a number")
	case a.inf != 0:
		return equal("same infinity")
	}
	switch e.separate(a.v, b.v) {
	case sameExact, overlapTight:
		return equal("same value in the limit")
	case apart:
		return different("different values in the limit")
	}
	return unknown("enclosures overlap but are too wide")
}

// limit is the value of n; ok is false when there is none or it is unknown.
func (e *evaluator) limit(n *Node) (extended, bool) {
	none := extended{}
	if err := e.b.spend(5); err != nil {
		return none, false
	}
	if !hasInfinity(n) {
		v, err := e.eval(n)
		return extended{v: v}, err == nil && v.real
	}
	if n.Kind == KConst {
		return extended{inf: 1}, true
	}
	args, finite := make([]extended, len(n.Args)), true
	for i, a := range n.Args {
		var ok bool
		if args[i], ok = e.limit(a); !ok {
			return none, false
		}
		finite = finite && args[i].inf == 0
	}
	if finite {
		return e.finite(n, args)
	}
	switch n.Kind {
	case KNeg:
		return e.negated(args[0]), true
	case KAdd:
		sum := 0
		for _, a := range args {
			if a.inf != 0 && sum == -a.inf {
				return none, false
			}
			if a.inf != 0 {
				sum = a.inf
			}
		}
		return extended{inf: sum}, true
	case KMul:
		return e.times(args...)
	case KDiv:
		if args[1].inf != 0 {
			return extended{v: exactInt(0)}, args[0].inf == 0
		}
		return e.times(args[0], extended{inf: e.signOf(args[1])})
	case KPow:
		return e.limitPower(args[0], args[1])
	case KFunc:
		return e.limitFunction(n, args)
	}
	return none, false
}

// finite computes with arguments of which some are limits of infinite expressions,
// 1 + 1/infinity, and none is infinite.
func (e *evaluator) finite(n *Node, args []extended) (extended, bool) {
	v, err := args[0].v, error(nil)
	switch n.Kind {
	case KNeg:
		v = e.neg(v)
	case KAdd, KMul:
		for _, a := range args[1:] {
			if n.Kind == KAdd {
				v = e.add(v, a.v)
			} else {
				v = e.mul(v, a.v)
			}
		}
	case KDiv:
		v, err = e.div(v, args[1].v)
	case KPow:
		v, err = e.pow(v, args[1].v)
	default:
		return extended{}, false
	}
	return extended{v: v}, err == nil && v.real
}

func (e *evaluator) negated(a extended) extended {
	if a.inf != 0 {
		return extended{inf: -a.inf}
	}
	return extended{v: e.neg(a.v)}
}

// signOf is 1, -1, or 0 where the sign is unknown or the number is zero.
func (e *evaluator) signOf(a extended) int {
	if a.inf != 0 {
		return a.inf
	}
	s, _ := e.cmp(a.v, exactInt(0))
	return s
}

// times multiplies factors of which one is infinite.
func (e *evaluator) times(args ...extended) (extended, bool) {
	sign := 1
	for _, a := range args {
		sign *= e.signOf(a)
	}
	return extended{inf: sign}, sign != 0
}

func (e *evaluator) limitPower(a, x extended) (extended, bool) {
	zero := extended{v: exactInt(0)}
	if x.inf != 0 {
		if a.inf < 0 {
			return zero, x.inf < 0
		}
		big := a.inf // 1 where |a| > 1, -1 where |a| < 1
		if a.inf == 0 {
			m, err := e.abs(a.v)
			if err != nil {
				return zero, false
			}
			big, _ = e.cmp(m, exactInt(1))
		}
		if big == 0 {
			return zero, false
		}
		if big*x.inf < 0 {
			return zero, a.inf != 0 || !a.v.isZero() || x.inf > 0
		}
		return extended{inf: 1}, e.signOf(a) > 0
	}
	s := e.signOf(x)
	switch {
	case s == 0:
		return zero, false
	case s < 0:
		return zero, true
	case a.inf > 0:
		return extended{inf: 1}, true
	case !x.v.exact || x.v.re.Denom().Bit(0) == 0:
		return zero, false
	case x.v.re.Num().Bit(0) == 0:
		return extended{inf: 1}, true
	}
	return extended{inf: -1}, true
}

func (e *evaluator) limitFunction(n *Node, args []extended) (extended, bool) {
	none := extended{}
	number := func(m *Node) (extended, bool) {
		v, err := e.eval(m)
		return extended{v: v}, err == nil
	}
	a := args[0]
	if a.inf == 0 {
		return none, false
	}
	halfPi := node(KDiv, &Node{Kind: KConst, Name: "pi"}, num(2))
	switch n.Name {
	case "abs", "cosh":
		return extended{inf: 1}, true
	case "sqrt", "ln", "log", "arccosh":
		return extended{inf: 1}, a.inf > 0
	case "root":
		if args[1].inf != 0 || !args[1].v.exact || args[1].v.re.Sign() <= 0 {
			return none, false
		}
		return e.limitPower(a, extended{v: exactRat(new(big.Rat).Inv(args[1].v.re))})
	case "logb":
		if args[1].inf != 0 || a.inf <= 0 {
			return none, false
		}
		s, ok := e.cmp(args[1].v, exactInt(1))
		if !ok || s == 0 || e.signOf(args[1]) <= 0 {
			return none, false
		}
		return extended{inf: s}, true
	case "exp":
		if a.inf > 0 {
			return a, true
		}
		return number(num(0))
	case "sinh", "arcsinh":
		return a, true
	case "tanh", "coth", "sgn":
		return number(num(int64(a.inf)))
	case "sech", "csch", "arccoth", "arccsch", "arccsc":
		return number(num(0))
	case "arctan":
		if a.inf < 0 {
			return number(negate(halfPi))
		}
		return number(halfPi)
	case "arcsec":
		return number(halfPi)
	case "arccot":
		return number(num(0))
	}
	return none, false
}
