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
