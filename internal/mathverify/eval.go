package mathverify

import (
	"math/big"
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
	if err := e.b.spend(1 + int(e.p)/256); err != nil {
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
		return e.mul(v, exactRat(u.factor)), nil
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
