package mathverify

import "math/big"

const maxAntiDepth = 40

// antiderivative integrates n with respect to v by the rules of a first course:
// linearity, powers, partial fractions, powers and products of sine and cosine,
// roots of quadratics, integration by parts and substitution.
func (e *evaluator) antiderivative(n *Node, v string, depth int) (*Node, bool) {
	if depth > maxAntiDepth || e.b.spend(20) != nil {
		return nil, false
	}
	x := &Node{Kind: KSym, Name: v}
	if free(n, v) {
		return node(KMul, n, x), true
	}
	switch n.Kind {
	case KSym:
		return node(KDiv, node(KPow, x, num(2)), num(2)), true
	case KNeg:
		a, ok := e.antiderivative(n.Args[0], v, depth+1)
		return node(KNeg, a), ok
	case KAdd:
		args := make([]*Node, len(n.Args))
		for i, a := range n.Args {
			f, ok := e.antiderivative(a, v, depth+1)
			if !ok {
				return nil, false
			}
			args[i] = f
		}
		return node(KAdd, args...), true
	case KPow:
		base, exp := n.Args[0], n.Args[1]
		if exp.Kind == KNum && exp.Rat.Cmp(big.NewRat(1, 1)) == 0 {
			return e.antiderivative(base, v, depth+1)
		}
		if slope, ok := linear(base, v); ok && free(exp, v) {
			return antiPower(base, exp, slope)
		}
		if slope, ok := linear(exp, v); ok && free(base, v) {
			// a^(kx+c) / (k ln a)
			return node(KDiv, n, node(KMul, slope, fn("ln", base))), true
		}
	case KFunc:
		if len(n.Args) == 1 {
			if slope, ok := linear(n.Args[0], v); ok {
				if f, ok := antiFunction(n, slope); ok {
					return f, true
				}
			}
		}
	}
	if f, err := toPoly(n, v, e); err == nil {
		return e.antiRational(f, v)
	}
	return e.antiProduct(n, v, depth)
}

// antiPower integrates u^p for a linear u with the given slope.
func antiPower(u, p, slope *Node) (*Node, bool) {
	if p.Kind == KNum && p.Rat.Cmp(big.NewRat(-1, 1)) == 0 || p.Kind == KNeg && p.Args[0].Kind == KNum && p.Args[0].Rat.Cmp(big.NewRat(1, 1)) == 0 {
		return node(KDiv, fn("ln", fn("abs", u)), slope), true
	}
	q := node(KAdd, p, num(1))
	return node(KDiv, node(KPow, u, q), node(KMul, slope, q)), true
}

// antiFunction integrates a function of a linear argument.
func antiFunction(n, slope *Node) (*Node, bool) {
	u := n.Args[0]
	var f *Node
	switch n.Name {
	case "sin":
		f = node(KNeg, fn("cos", u))
	case "cos":
		f = fn("sin", u)
	case "tan":
		f = node(KNeg, fn("ln", fn("abs", fn("cos", u))))
	case "cot":
		f = fn("ln", fn("abs", fn("sin", u)))
	case "sec":
		f = fn("ln", fn("abs", node(KAdd, n, fn("tan", u))))
	case "csc":
		f = node(KNeg, fn("ln", fn("abs", node(KAdd, n, fn("cot", u)))))
	case "exp":
		f = n
	case "sinh":
		f = fn("cosh", u)
	case "cosh":
		f = fn("sinh", u)
	case "sqrt":
		return antiPower(u, ratNode(big.NewRat(1, 2)), slope)
	case "ln":
		f = node(KAdd, node(KMul, u, n), node(KNeg, u))
	default:
		return nil, false
	}
	return node(KDiv, f, slope), true
}

// antiProduct splits n into a rational function and other factors and tries
// the rules for products in turn.
func (e *evaluator) antiProduct(n *Node, v string, depth int) (*Node, bool) {
	r, rest := e.splitRational(n, v)
	var consts, inner []*Node
	for _, a := range rest {
		if free(a, v) {
			consts = append(consts, a)
		} else {
			inner = append(inner, a)
		}
	}
	if r == nil || len(inner) == 0 && len(consts) == 0 {
		return nil, false
	}
	var f *Node
	ok := false
	if len(inner) == 0 {
		f, ok = e.antiRational(*r, v)
	} else {
		f, ok = e.antiFactors(*r, inner, v, depth)
	}
	if !ok {
		return nil, false
	}
	return node(KMul, append(consts, f)...), true
}

func (e *evaluator) antiFactors(r ratFunc, inner []*Node, v string, depth int) (*Node, bool) {
	if len(r.num) == 1 && len(r.den) == 1 {
		c := ratNode(new(big.Rat).Quo(r.num[0], r.den[0]))
		if f, ok := e.antiTimes(inner, v, depth); ok {
			return node(KMul, c, f), true
		}
		if f, ok := e.antiTrig(inner, v); ok {
			return node(KMul, c, f), true
		}
	}
	if f, ok := e.byParts(r, inner, v, depth); ok {
		return f, true
	}
	return e.bySubstitution(r, inner, v, depth)
}

// antiTimes integrates single factors and the product of an exponential with a
// sine or cosine.
func (e *evaluator) antiTimes(inner []*Node, v string, depth int) (*Node, bool) {
	if len(inner) == 1 {
		n := inner[0]
		if f, ok := e.antiRoot(n, v); ok {
			return f, true
		}
		if f, ok := antiSquare(n, v); ok {
			return f, true
		}
		simple := n.Kind == KPow && (free(n.Args[0], v) || free(n.Args[1], v)) || n.Kind == KFunc
		if _, lin := linear(n, v); !lin && simple && n.Kind == KPow {
			base, lin1 := linear(n.Args[0], v)
			if lin1 && free(n.Args[1], v) {
				return antiPower(n.Args[0], n.Args[1], base)
			}
			if slope, lin2 := linear(n.Args[1], v); lin2 && free(n.Args[0], v) {
				return node(KDiv, n, node(KMul, slope, fn("ln", n.Args[0]))), true
			}
		}
		if n.Kind == KFunc && len(n.Args) == 1 {
			if slope, ok := linear(n.Args[0], v); ok {
				return antiFunction(n, slope)
			}
		}
		if n.Kind == KAdd {
			return e.antiderivative(n, v, depth+1)
		}
		return nil, false
	}
	if len(inner) != 2 {
		return nil, false
	}
	ex, w := inner[0], inner[1]
	u, ok := naturalExponent(ex)
	if !ok {
		ex, w = w, ex
		if u, ok = naturalExponent(ex); !ok {
			return nil, false
		}
	}
	if w.Kind != KFunc || w.Name != "sin" && w.Name != "cos" {
		return nil, false
	}
	a, ok1 := linear(u, v)
	b, ok2 := linear(w.Args[0], v)
	if !ok1 || !ok2 {
		return nil, false
	}
	s, c := fn("sin", w.Args[0]), fn("cos", w.Args[0])
	top := node(KAdd, node(KMul, a, s), node(KNeg, node(KMul, b, c)))
	if w.Name == "cos" {
		top = node(KAdd, node(KMul, a, c), node(KMul, b, s))
	}
	sq := node(KAdd, node(KMul, a, a), node(KMul, b, b))
	return node(KDiv, node(KMul, ex, top), sq), true
}

// antiSquare: sec^2, csc^2, 1/cos^2, 1/sin^2, tan^2 and cot^2 of a linear
// argument.
func antiSquare(n *Node, v string) (*Node, bool) {
	if n.Kind != KPow || n.Args[1].Kind != KNum || n.Args[0].Kind != KFunc || len(n.Args[0].Args) != 1 {
		return nil, false
	}
	u := n.Args[0].Args[0]
	slope, ok := linear(u, v)
	k := n.Args[1].Rat
	if !ok || !k.IsInt() || k.Num().BitLen() > 2 {
		return nil, false
	}
	x := &Node{Kind: KSym, Name: v}
	tan, cot := node(KDiv, fn("tan", u), slope), node(KDiv, node(KNeg, fn("cot", u)), slope)
	switch {
	case n.Args[0].Name == "sec" && k.Num().Int64() == 2, n.Args[0].Name == "cos" && k.Num().Int64() == -2:
		return tan, true
	case n.Args[0].Name == "csc" && k.Num().Int64() == 2, n.Args[0].Name == "sin" && k.Num().Int64() == -2:
		return cot, true
	case n.Args[0].Name == "tan" && k.Num().Int64() == 2:
		return node(KAdd, tan, node(KNeg, x)), true
	case n.Args[0].Name == "cot" && k.Num().Int64() == 2:
		return node(KAdd, cot, node(KNeg, x)), true
	}
	return nil, false
}

// linear reports n = slope * v + c with both free of v.
func linear(n *Node, v string) (*Node, bool) {
	d, ok := differentiate(n, v, 0)
	if !ok || !free(d, v) {
		return nil, false
	}
	return d, !free(n, v)
}

// splitRational writes n as a rational function of v times other factors;
// a denominator becomes a power with a negative exponent.
func (e *evaluator) splitRational(n *Node, v string) (*ratFunc, []*Node) {
	one := poly{big.NewRat(1, 1)}
	r := ratFunc{one, one}
	var rest []*Node
	ok := true
	var walk func(m *Node, inverse bool, depth int)
	walk = func(m *Node, inverse bool, depth int) {
		if depth > maxDepth || !ok {
			ok = false
			return
		}
		if f, err := toPoly(m, v, e); err == nil {
			if inverse {
				if len(f.num) == 0 {
					ok = false
					return
				}
				f = ratFunc{f.den, f.num}
			}
			if r, err = r.mul(f, e.b); err != nil {
				ok = false
			}
			return
		}
		switch m.Kind {
		case KMul:
			for _, a := range m.Args {
				walk(a, inverse, depth+1)
			}
		case KDiv:
			walk(m.Args[0], inverse, depth+1)
			walk(m.Args[1], !inverse, depth+1)
		case KNeg:
			walk(num(-1), inverse, depth+1)
			walk(m.Args[0], inverse, depth+1)
		default:
			if m.Kind == KPow && m.Args[1].Kind == KNum && m.Args[1].Rat.Cmp(big.NewRat(1, 1)) == 0 {
				m = m.Args[0]
			}
			if inverse {
				m = inverted(m)
			}
			rest = append(rest, m)
		}
	}
	walk(n, false, 0)
	if !ok {
		return nil, nil
	}
	r, err := r.reduced(e.b)
	if err != nil || len(r.num) == 0 {
		return nil, nil
	}
	return &r, rest
}

// inverted is 1/m as a power.
func inverted(m *Node) *Node {
	switch {
	case m.Kind == KPow && m.Args[1].Kind == KNum:
		return node(KPow, m.Args[0], ratNode(new(big.Rat).Neg(m.Args[1].Rat)))
	case m.Kind == KPow:
		return node(KPow, m.Args[0], node(KNeg, m.Args[1]))
	case m.Kind == KFunc && m.Name == "sqrt":
		return node(KPow, m.Args[0], ratNode(big.NewRat(-1, 2)))
	case m.Kind == KFunc && m.Name == "exp":
		return fn("exp", node(KNeg, m.Args[0]))
	}
	return node(KPow, m, num(-1))
}
