package mathverify

// collections compares lists, tuples, sets, intervals, matrices and ratios,
// and hands everything else to the scalar rules.
func (c *comparer) collections(g, p *Node) Result {
	g, p = expandPM(g), expandPM(p)
	g, p = unwrap(g), unwrap(p)
	gk, pk := g.Kind, p.Kind
	switch {
	case gk == KSetOp || pk == KSetOp || gk == KBuilder || pk == KBuilder || isInterval(g) || isInterval(p) ||
		isNumberSet(g) || isNumberSet(p):
		return c.realSets(g, p)
	case gk == KMatrix || pk == KMatrix:
		return c.matrices(g, p)
	case gk == KRatio || pk == KRatio || gk == KTime || pk == KTime:
		return c.ratios(g, p)
	case gk == KSet && pk == KSet:
		return c.multiset(dedupe(g.Args), dedupe(p.Args), "set")
	case gk == KSet && pk == KList, gk == KList && pk == KSet:
		return c.multiset(dedupe(g.Args), dedupe(p.Args), "set")
	case gk == KTuple && pk == KTuple:
		return c.tuples(g, p)
	case gk == KTuple && pk == KList, gk == KList && pk == KTuple:
		return c.ordered(g.Args, p.Args, "tuple")
	case gk == KList && pk == KList:
		return c.lists(g, p)
	}
	if collection(gk) != collection(pk) {
		if len(g.Args) == 1 && gk == KSet {
			return c.nodes(g.Args[0], p)
		}
		if len(p.Args) == 1 && pk == KSet {
			return c.nodes(g, p.Args[0])
		}
		return different("a collection against a single value")
	}
	if collection(gk) {
		return different("collections of different kinds")
	}
	return c.scalars(g, p)
}

func collection(k Kind) bool { return k == KList || k == KTuple || k == KSet || k == KMatrix }

// unwrap drops a unit after a collection.
func unwrap(n *Node) *Node {
	if (n.Kind == KUnit || n.Kind == KPercent || n.Kind == KDegree) && collection(n.Args[0].Kind) {
		return n.Args[0]
	}
	return n
}

// expandPM writes +- out as two values.
func expandPM(n *Node) *Node {
	switch n.Kind {
	case KList, KSet:
		if !n.has(KPM) {
			return n
		}
		var args []*Node
		for _, a := range n.Args {
			args = append(args, signs(a)...)
		}
		return n.with(args...)
	case KMatrix, KRel, KSetOp:
		return n
	}
	if s := signs(n); len(s) > 1 {
		return node(KList, s...)
	}
	return n
}

// signs returns the variants of n with the upper and the lower signs.
func signs(n *Node) []*Node {
	if !n.has(KPM) {
		return []*Node{n}
	}
	if n.Kind == KTuple && n.walk(func(m *Node) bool { return m.Kind != KPM || m.Name == "pm" }) {
		return signTuples(n)
	}
	variant := func(lower bool) *Node {
		return n.rewrite(func(m *Node) *Node {
			if m.Kind != KPM {
				return m
			}
			last := m.Args[len(m.Args)-1]
			if (m.Name == "pm") == lower {
				last = negate(last)
			}
			if len(m.Args) == 1 {
				return last
			}
			return join(KAdd, m.Args[0], last)
		})
	}
	return []*Node{variant(false), variant(true)}
}

// signTuples writes (\pm 1, \pm 2) as four tuples: the signs of the elements are
// independent unless \mp ties them.
func signTuples(n *Node) []*Node {
	out := []*Node{n.with()}
	for _, a := range n.Args {
		var next []*Node
		for _, head := range out {
			for _, v := range signs(a) {
				if len(next) < 64 {
					next = append(next, head.with(append(append([]*Node(nil), head.Args...), v)...))
				}
			}
		}
		out = next
	}
	return out
}

// dedupe drops repeated elements that print alike.
func dedupe(args []*Node) []*Node {
	seen := map[string]bool{}
	var out []*Node
	for _, a := range args {
		if s := a.String(); !seen[s] {
			seen[s] = true
			out = append(out, a)
		}
	}
	return out
}

// ordered compares element by element.
func (c *comparer) ordered(g, p []*Node, what string) Result {
	if len(g) != len(p) {
		return different("%ss of %d and %d elements", what, len(g), len(p))
	}
	out := equal("all %d elements equal", len(g))
	for i := range g {
		switch r := c.nodes(g[i], p[i]); r.Verdict {
		case Different:
			return different("element %d: %s", i+1, r.Reason)
		case Unknown:
			out = unknown("element %d: %s", i+1, r.Reason)
		}
	}
	return out
}

// multiset matches elements in any order. Equality is close to an equivalence,
// so matching each gold element with the first free partner suffices.
func (c *comparer) multiset(g, p []*Node, what string) Result {
	if len(g) != len(p) {
		return different("%ss of %d and %d elements", what, len(g), len(p))
	}
	used := make([]bool, len(p))
	sawUnknown := ""
	for i, x := range g {
		hit := false
		for off := range p {
			j := (i + off) % len(p)
			if used[j] {
				continue
			}
			r := c.nodes(x, p[j])
			if r.Verdict == Equal {
				used[j], hit = true, true
				break
			}
			if r.Verdict == Unknown {
				sawUnknown = r.Reason
			}
		}
		if !hit {
			if sawUnknown != "" {
				return unknown("element %d: %s", i+1, sawUnknown)
			}
			return different("element %d of the gold has no partner", i+1)
		}
	}
	return equal("same elements")
}

func hasDots(args []*Node) bool {
	for _, a := range args {
		if a.Kind == KText && a.Name == "..." {
			return true
		}
	}
	return false
}

// lists compares bare lists; assignments keep their names.
func (c *comparer) lists(g, p *Node) Result {
	ga, gn := assignments(g.Args)
	pa, pn := assignments(p.Args)
	if gn != pn { // x = 1, y = 2 against 1, 2
		r := c.ordered(ga, pa, "list")
		if r.Verdict == Equal || c.opt.OrderedLists {
			return r
		}
		if v, _ := byName(g.Args); v != nil {
			ga = v
		}
		if v, _ := byName(p.Args); v != nil {
			pa = v
		}
		return c.ordered(ga, pa, "list")
	}
	if gn == pn && gn {
		ga, pa = g.Args, p.Args
	}
	if c.opt.OrderedLists || hasDots(ga) || hasDots(pa) {
		return c.ordered(ga, pa, "list")
	}
	return c.multiset(ga, pa, "list")
}

// assignments strips names from a list whose elements are assignments to
// different names; a name before the first element only ("n = 1, 2, 3") is
// stripped as well. named reports the former.
func assignments(args []*Node) (out []*Node, named bool) {
	names := map[string]bool{}
	rels := 0
	for _, a := range args {
		if a.Kind == KRel && len(a.Ops) == 1 && a.Ops[0] == "=" && nameLike(a.Args[0]) {
			rels++
			names[a.Args[0].String()] = true
		}
	}
	if rels == 0 || rels != len(args) && !(rels == 1 && args[0].Kind == KRel) {
		return args, false
	}
	out = append([]*Node(nil), args...)
	for i, a := range out {
		if a.Kind == KRel {
			out[i] = a.Args[1]
		}
	}
	return out, rels == len(args) && len(names) == len(args)
}

func (c *comparer) tuples(g, p *Node) Result {
	if len(g.Args) == 2 && len(p.Args) == 2 && bracketShape(g.Name) != bracketShape(p.Name) {
		return different("different brackets: %s and %s", g.Name, p.Name)
	}
	return c.ordered(g.Args, p.Args, "tuple")
}

// bracketShape maps vector brackets to round ones.
func bracketShape(s string) string {
	if s == "<<>>" {
		return "()"
	}
	return s
}

// ratios compares a : b : c up to a common factor and clock times exactly.
func (c *comparer) ratios(g, p *Node) Result {
	if g.Kind == KTime && p.Kind == KTime {
		return c.ordered(g.Args, p.Args, "time")
	}
	asRatio := func(n *Node) *Node {
		if n.Kind == KTime {
			m := *n
			m.Kind, m.Name = KRatio, ""
			return &m
		}
		return n
	}
	if hour, ok := fullHour(g); ok && p.Kind == KNum {
		return c.scalars(hour, p) // 9 a.m. against 9
	}
	if hour, ok := fullHour(p); ok && g.Kind == KNum {
		return c.scalars(g, hour)
	}
	if g.Kind == KTime && g.Name == "abs" || p.Kind == KTime && p.Name == "abs" {
		return different("a clock time against something else")
	}
	g, p = asRatio(g), asRatio(p)
	if g.Kind != KRatio || p.Kind != KRatio {
		if len(g.Args) == 2 && len(p.Args) == 2 && g.Kind != p.Kind && (collection(g.Kind) || collection(p.Kind)) {
			return different("a ratio against a collection")
		}
		return c.scalars(g, p)
	}
	if len(g.Args) != len(p.Args) {
		return different("ratios of %d and %d terms", len(g.Args), len(p.Args))
	}
	if hasDots(g.Args) || hasDots(p.Args) {
		return c.ordered(g.Args, p.Args, "ratio")
	}
	for i := 1; i < len(g.Args); i++ {
		r := c.scalars(node(KMul, g.Args[i], p.Args[0]), node(KMul, p.Args[i], g.Args[0]))
		if r.Verdict != Equal {
			return r
		}
	}
	return equal("proportional")
}

// fullHour is the hour, on a twelve-hour clock, of a time such as 9 p.m.
func fullHour(n *Node) (*Node, bool) {
	if n.Kind != KTime || n.Name != "abs" || n.Args[1].Rat.Sign() != 0 {
		return nil, false
	}
	h := n.Args[0].Rat.Num().Int64() % 12
	if h == 0 {
		h = 12
	}
	return num(h), true
}

func isVector(n *Node) bool { return n.Kind == KTuple && (n.Name == "()" || n.Name == "<<>>") }
