package mathverify

import "math/big"

// solve writes a linear inequality, chain or membership in one variable as
// segments.
func (c *comparer) solve(n *Node) (string, []seg, bool) {
	if len(n.Ops) == 1 && n.Ops[0] == "in" && nameLike(n.Args[0]) {
		s, ok := c.segments(n.Args[1])
		return n.Args[0].Name, s, ok
	}
	syms := freeSymbols(n)
	if len(syms) != 1 {
		return "", nil, false
	}
	v := syms[0]
	acc := []seg{{loOpen: true, hiOpen: true}}
	for i, op := range n.Ops {
		s, ok := c.solveLink(n.Args[i], op, n.Args[i+1], v)
		if !ok {
			return "", nil, false
		}
		if acc, ok = c.intersect(acc, s); !ok {
			return "", nil, false
		}
	}
	return v, acc, true
}

// solveAbs solves |f| op r through f op r and f op -r.
func (c *comparer) solveAbs(a *Node, op string, b *Node, v string) ([]seg, bool) {
	if b.Kind == KFunc && b.Name == "abs" && a.Kind != KFunc {
		flip := map[string]string{"<": ">", ">": "<", "<=": ">=", ">=": "<="}
		if f, ok := flip[op]; ok {
			op = f
		}
		a, b = b, a
	}
	if a.Kind != KFunc || a.Name != "abs" || symbolic(b) {
		return nil, false
	}
	x, ok1 := c.solveLink(a.Args[0], op, b, v)
	back := map[string]string{"<": ">", ">": "<", "<=": ">=", ">=": "<="}
	o := op
	if f, ok := back[op]; ok {
		o = f
	}
	y, ok2 := c.solveLink(a.Args[0], o, negate(b), v)
	if !ok1 || !ok2 {
		return nil, false
	}
	if op == "<" || op == "<=" || op == "!=" {
		return c.intersect(x, y)
	}
	return c.normal(append(x, y...))
}

// solveLink solves a op b where a - b is linear in v, or |v| op constant.
func (c *comparer) solveLink(a *Node, op string, b *Node, v string) ([]seg, bool) {
	if op != "<" && op != ">" && op != "<=" && op != ">=" && op != "!=" && op != "=" {
		return nil, false
	}
	if s, ok := c.solveAbs(a, op, b, v); ok {
		return s, true
	}
	diff := join(KAdd, a, negate(b))
	at := func(k int64) *Node {
		return diff.rewrite(func(m *Node) *Node {
			if m.Kind == KSym && m.Name == v {
				return num(k)
			}
			return m
		})
	}
	// diff = s v + t exactly when its values at 0, 1, 2, 5 lie on a line.
	t := at(0)
	s := join(KAdd, at(1), negate(t))
	for _, k := range []int64{2, -3, 7} {
		line := join(KAdd, node(KMul, num(k), s), t)
		if c.constants(at(k), line).Verdict != Equal {
			return c.solvePoly(diff, op, v)
		}
	}
	sign, ok := c.order(s, num(0))
	if !ok || sign == 0 {
		return c.solvePoly(diff, op, v)
	}
	root := node(KDiv, negate(t), s)
	if root.Args[0].Kind == KNum && root.Args[1].Kind == KNum && root.Args[1].Rat.Sign() != 0 {
		root = ratNode(new(big.Rat).Quo(root.Args[0].Rat, root.Args[1].Rat))
	}
	switch op {
	case "=":
		return []seg{{lo: root, hi: root}}, true
	case "!=":
		return []seg{{loOpen: true, hi: root, hiOpen: true}, {lo: root, loOpen: true, hiOpen: true}}, true
	}
	open := op == "<" || op == ">"
	if (op[0] == '<') == (sign > 0) {
		return []seg{{loOpen: true, hi: root, hiOpen: open}}, true
	}
	return []seg{{lo: root, loOpen: open, hiOpen: true}}, true
}
