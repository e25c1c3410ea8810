package mathverify

import "math/big"

// differentiate returns d n / d v for elementary functions; ok is false for
// anything else.
func differentiate(n *Node, v string, depth int) (*Node, bool) {
	if depth > 40 || n == nil {
		return nil, false
	}
	if n.walk(func(m *Node) bool { return !(m.Kind == KSym && m.Name == v) }) {
		return num(0), true
	}
	d := func(m *Node) (*Node, bool) { return differentiate(m, v, depth+1) }
	switch n.Kind {
	case KSym:
		return num(1), true
	case KNeg:
		a, ok := d(n.Args[0])
		return node(KNeg, a), ok
	case KAdd:
		args := make([]*Node, len(n.Args))
		for i, a := range n.Args {
			x, ok := d(a)
			if !ok {
				return nil, false
			}
			args[i] = x
		}
		return node(KAdd, args...), true
	case KMul:
		var terms []*Node
		for i := range n.Args {
			x, ok := d(n.Args[i])
			if !ok {
				return nil, false
			}
			if x.Kind == KNum && x.Rat.Sign() == 0 {
				continue
			}
			f := append([]*Node(nil), n.Args...)
			f[i] = x
			terms = append(terms, node(KMul, f...))
		}
		if len(terms) == 0 {
			return num(0), true
		}
		return node(KAdd, terms...), true
	case KDiv:
		if free(n.Args[1], v) {
			a, ok := d(n.Args[0])
			return node(KDiv, a, n.Args[1]), ok
		}
		a, ok1 := d(n.Args[0])
		b, ok2 := d(n.Args[1])
		if !ok1 || !ok2 {
			return nil, false
		}
		top := node(KAdd, node(KMul, a, n.Args[1]), node(KNeg, node(KMul, n.Args[0], b)))
		return node(KDiv, top, node(KPow, n.Args[1], num(2))), true
	case KBig:
		if n.Name == "diff" {
			inner, ok := differentiate(n.Args[0], n.Args[1].Name, depth+1)
			if !ok {
				return nil, false
			}
			return d(inner)
		}
	case KPow:
		return diffPow(n, d)
	case KFunc:
		return diffFunc(n, d)
	}
	return nil, false
}

// diffPow: (f^g)' = f^g (g' ln f + g f'/f), with the simple cases apart.
func diffPow(n *Node, d func(*Node) (*Node, bool)) (*Node, bool) {
	f, g := n.Args[0], n.Args[1]
	df, ok1 := d(f)
	dg, ok2 := d(g)
	if !ok1 || !ok2 {
		return nil, false
	}
	if dg.Kind == KNum && dg.Rat.Sign() == 0 {
		less := node(KAdd, g, num(-1))
		if g.Kind == KNum {
			less = ratNode(new(big.Rat).Sub(g.Rat, big.NewRat(1, 1)))
		}
		return node(KMul, g, node(KPow, f, less), df), true
	}
	return node(KMul, n, node(KAdd, node(KMul, dg, fn("ln", f)), node(KDiv, node(KMul, g, df), f))), true
}

func diffFunc(n *Node, d func(*Node) (*Node, bool)) (*Node, bool) {
	if len(n.Args) != 1 {
		return nil, false
	}
	x := n.Args[0]
	dx, ok := d(x)
	if !ok {
		return nil, false
	}
	one, two := num(1), num(2)
	sq := node(KPow, x, two)
	var outer *Node
	switch n.Name {
	case "sin":
		outer = fn("cos", x)
	case "cos":
		outer = node(KNeg, fn("sin", x))
	case "tan":
		outer = node(KPow, fn("sec", x), two)
	case "cot":
		outer = node(KNeg, node(KPow, fn("csc", x), two))
	case "sec":
		outer = node(KMul, fn("sec", x), fn("tan", x))
	case "csc":
		outer = node(KNeg, node(KMul, fn("csc", x), fn("cot", x)))
	case "exp":
		outer = n
	case "ln", "log":
		outer = node(KDiv, one, x)
	case "sqrt":
		outer = node(KDiv, one, node(KMul, two, n))
	case "sinh":
		outer = fn("cosh", x)
	case "cosh":
		outer = fn("sinh", x)
	case "arctan":
		outer = node(KDiv, one, node(KAdd, one, sq))
	case "arcsin":
		outer = node(KDiv, one, fn("sqrt", node(KAdd, one, node(KNeg, sq))))
	case "arccos":
		outer = node(KDiv, num(-1), fn("sqrt", node(KAdd, one, node(KNeg, sq))))
	default:
		return nil, false
	}
	return node(KMul, outer, dx), true
}
