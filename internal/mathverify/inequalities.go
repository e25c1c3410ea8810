package mathverify

import "math/big"

func inequalities(n *Node) bool {
	rel := func(m *Node) bool {
		if m.Kind != KRel {
			return false
		}
		for _, op := range m.Ops {
			if op != "=" && op != "~" && op != "equiv" && op != "cong" {
				return true
			}
		}
		return false
	}
	for _, a := range n.Args {
		if rel(a) {
			return true
		}
	}
	return rel(n)
}

func (c *comparer) twoInequalities(g, p *Node) Result {
	v, a, ok1 := c.solve(g)
	w, b, ok2 := c.solve(p)
	if ok1 && ok2 {
		if v != w {
			return different("inequalities in %s and %s", v, w)
		}
		if len(a) != len(b) {
			return different("solution sets differ")
		}
		for i := range a {
			if r := c.sameSeg(a[i], b[i]); r.Verdict != Equal {
				return r
			}
		}
		return equal("same solution set")
	}
	g, p = forward(g), forward(p)
	if len(g.Ops) == len(p.Ops) {
		if r := c.chains(g, p); r.Verdict == Equal || len(g.Ops) > 1 {
			return r
		}
	} else {
		return different("chains of different length")
	}
	if g.Ops[0] != p.Ops[0] {
		return different("different relations: %s and %s", g.Ops[0], p.Ops[0])
	}
	if g.Ops[0] == "!=" && len(g.Ops) == 1 { // the complements are zero sets
		return c.equations(g, p)
	}
	f := join(KAdd, g.Args[0], negate(g.Args[1]))
	h := join(KAdd, p.Args[0], negate(p.Args[1]))
	syms := freeSymbols(f, h)
	if len(syms) > 0 && c.proportional(f, h, syms) && c.samePositive(f, h, syms) {
		return equal("inequalities are positive multiples of each other")
	}
	return c.truthProbe(g, p, syms)
}

// samePositive reports f and h of one sign at a test point.
func (c *comparer) samePositive(f, h *Node, syms []string) bool {
	for i := 0; i < 8; i++ {
		env := map[string]value{}
		for _, s := range syms {
			env[s] = samplePoint(s, i, false)
		}
		e := c.evaluator(128, env)
		a, err1 := e.eval(f)
		b, err2 := e.eval(h)
		if err1 != nil || err2 != nil {
			continue
		}
		x, ok1 := e.cmp(a, exactInt(0))
		y, ok2 := e.cmp(b, exactInt(0))
		if ok1 && ok2 {
			return x == y
		}
	}
	return false
}

// truthProbe looks for a point where one inequality holds and the other does
// not.
func (c *comparer) truthProbe(g, p *Node, syms []string) Result {
	for i := 0; i < 40; i++ {
		env := map[string]value{}
		for j, s := range syms {
			h := hashMix(hashString(s)+uint64(i), "probe")
			env[s] = exactRat(big.NewRat(int64(h%41)-20+int64(j), int64(h>>9%4)+1))
		}
		e := c.evaluator(128, env)
		a, err1 := e.holds(g)
		b, err2 := e.holds(p)
		if err1 == nil && err2 == nil && a != b {
			return different("one relation holds at a test point, the other does not")
		}
	}
	return unknown("the inequalities could not be solved")
}

// forward turns > and >= chains around, so that all relations point one way.
func forward(n *Node) *Node {
	for _, op := range n.Ops {
		if op != ">" && op != ">=" {
			return n
		}
	}
	k := len(n.Args)
	m := &Node{Kind: KRel, Args: make([]*Node, k), Ops: make([]string, len(n.Ops))}
	for i, a := range n.Args {
		m.Args[k-1-i] = a
	}
	for i, op := range n.Ops {
		m.Ops[len(n.Ops)-1-i] = map[string]string{">": "<", ">=": "<="}[op]
	}
	return m
}

// solve writes a linear inequality, chain or membership in one variable as
// segments.
func (c *comparer) solve(n *Node) (string, []seg, bool) {
	if len(n.Ops) == 1 && n.Ops[0] == "in" && nameLike(n.Args[0]) {
		s, ok := c.segments(n.Args[1])
		return n.Args[0].Name, s, ok
	}
	n = valueSymbol(n)
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

// valueSymbol reads the value in 0 < f(x) < 1 as a symbol.
func valueSymbol(n *Node) *Node {
	var v *Node
	args := make([]*Node, len(n.Args))
	for i, a := range n.Args {
		args[i] = a
		if a.Kind == KApp {
			if v != nil || len(freeSymbols(a)) == 0 {
				return n
			}
			v = a
			args[i] = &Node{Kind: KSym, Name: a.String()}
		} else if symbolic(a) {
			return n
		}
	}
	if v == nil {
		return n
	}
	return n.with(args...)
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
