package mathverify

import (
	"math/big"
	"strconv"
	"strings"
)

// relations compares equations, inequalities and memberships with each other
// and with values and sets.
func (c *comparer) relations(g, p *Node) Result {
	switch {
	case g.Kind == KRel && p.Kind == KRel:
		return c.twoRelations(g, p)
	case isRelList(g) || isRelList(p):
		return c.relLists(g, p)
	}
	rel, other := g, p
	if p.Kind == KRel {
		rel, other = p, g
	}
	if (rel.Ops[0] == "=" || rel.Ops[0] == "equiv") && len(rel.Ops) == 1 {
		name, val := rel.Args[0], rel.Args[1]
		if !nameLike(name) && nameLike(val) {
			name, val = val, name
		}
		if c.opt.StrictAssignment || !nameLike(name) {
			return different("an equation against a value")
		}
		if rel == g {
			return c.nodes(val, other)
		}
		return c.nodes(other, val)
	}
	if scalarKind(other) {
		return different("a relation against a value")
	}
	return c.realSets(g, p)
}

// trivial compares an equation that always or never holds with the set of all
// numbers or the empty set.
func (c *comparer) trivial(rel, set *Node) (Result, bool) {
	all, none := isNumberSet(set) && (set.Name == "Reals" || set.Name == "Complexes"), set.Kind == KSet && len(set.Args) == 0
	if !all && !none || len(rel.Ops) != 1 || rel.Ops[0] != "=" {
		return Result{}, false
	}
	r := c.nodes(rel.Args[0], rel.Args[1])
	switch {
	case all && r.Verdict == Equal:
		return equal("the equation always holds"), true
	case none && r.Verdict == Different && !symbolic(rel):
		return equal("the equation never holds"), true
	}
	return Result{}, false
}

func isRelList(n *Node) bool {
	if n.Kind != KList && n.Kind != KSet {
		return false
	}
	for _, a := range n.Args {
		if a.Kind == KRel {
			return true
		}
	}
	return false
}

// relLists compares lists in which some elements are relations.
func (c *comparer) relLists(g, p *Node) Result {
	if inequalities(g) || inequalities(p) {
		if r := c.realSets(g, p); r.Verdict != Unknown {
			return r
		}
	}
	// "x = 2" against "x = 2 or x = -2", +- included.
	list := func(n *Node) *Node {
		if n.Kind == KRel && n.Ops[0] == "=" && len(n.Ops) == 1 && nameLike(n.Args[0]) {
			if v := expandPM(n.Args[1]); v.Kind == KList || v.Kind == KSet {
				return v
			}
			return node(KList, n)
		}
		return expandPM(n)
	}
	alt, ok := c.alternatives(g, p)
	if ok {
		return alt
	}
	g, p = list(g), list(p)
	if g.Kind == KList && p.Kind == KList {
		r := c.lists(g, p)
		if r.Verdict == Different && alt.Reason != "" {
			return alt // the products could not be compared
		}
		return r
	}
	ga, _ := assignments(g.Args)
	pa, _ := assignments(p.Args)
	switch {
	case g.Kind == KSet || p.Kind == KSet:
		if g.Kind == KList || p.Kind == KList || g.Kind == p.Kind {
			return c.multiset(ga, pa, "set")
		}
	case g.Kind == KTuple, p.Kind == KTuple:
		// (3, -2) against y = -2, x = 3
		if v, _ := byName(g.Args); v != nil {
			ga = v
		}
		if v, _ := byName(p.Args); v != nil {
			pa = v
		}
		return c.ordered(ga, pa, "tuple")
	}
	return different("a system of relations against a single value")
}

// alternatives compares "x = 2 or x = -2" with another list of equations or
// with one equation: a list of alternatives is the product of its parts.
func (c *comparer) alternatives(g, p *Node) (Result, bool) {
	product := func(n *Node) *Node {
		parts := []*Node{n}
		if n.Kind == KList && n.Name == "or" {
			parts = n.Args
		}
		var f []*Node
		for _, a := range parts {
			if a.Kind != KRel || len(a.Ops) != 1 || a.Ops[0] != "=" {
				return nil
			}
			l, r := a.Args[0], a.Args[1]
			if isAbs(l) && isAbs(r) { // |u| = |w|: u = w or u = -w
				f = append(f, join(KAdd, l.Args[0], negate(r.Args[0])), join(KAdd, l.Args[0], r.Args[0]))
				continue
			}
			f = append(f, signs(join(KAdd, l, negate(r)))...)
		}
		return &Node{Kind: KRel, Ops: []string{"="}, Args: []*Node{node(KMul, f...), num(0)}}
	}
	if (g.Kind != KList || g.Name != "or") && (p.Kind != KList || p.Name != "or") {
		return Result{}, false
	}
	a, b := product(g), product(p)
	if a == nil || b == nil {
		return Result{}, false
	}
	r := c.equations(a, b)
	return r, r.Verdict != Unknown
}

func isAbs(n *Node) bool { return n.Kind == KFunc && n.Name == "abs" && n.Args[0].Kind != KMatrix }

func (c *comparer) twoRelations(g, p *Node) Result {
	gi, pi := inequalities(g), inequalities(p)
	switch {
	case gi && pi:
		return c.twoInequalities(g, p)
	case gi != pi && (isElement(g) && isSetEquation(p) || isElement(p) && isSetEquation(g)):
		return c.nodes(g.Args[1], p.Args[1]) // x in {1, 2} and x = {1, 2}
	case gi != pi:
		if r := c.realSets(g, p); r.Verdict != Unknown {
			return r
		}
		return different("an equation against an inequality")
	}
	if len(g.Ops) != 1 || len(p.Ops) != 1 {
		return c.chains(g, p)
	}
	gn, gv := sides(g)
	pn, pv := sides(p)
	if nameLike(gn) && nameLike(pn) {
		gn, gv, pn, pv = renameArgs(gn, gv, pn, pv)
		if isLabel(gn) && isLabel(pn) && node(KTuple, gn.Args...).String() != node(KTuple, pn.Args...).String() {
			return different("values at different arguments: %s and %s", gn, pn)
		}
		if gn.Kind == KText && pn.Kind == KText && c.depth > 1 && words(gn) != words(pn) {
			return different("different names in a list: %s and %s", gn, pn)
		}
		same := gn.String() == pn.String() || isLabel(gn) || isLabel(pn) || gn.Kind == KText || pn.Kind == KText
		if same {
			r := c.nodes(gv, pv)
			own := func(v *Node) bool { // the name does not occur on the right
				return v.walk(func(m *Node) bool { return !(m.Kind == KSym && m.Name == gn.Name) })
			}
			if r.Verdict == Equal || own(gv) && own(pv) && !gv.has(KPM) && !pv.has(KPM) || expandPM(gv).Kind != KList && expandPM(pv).Kind != KList && !symbolic(gv) && !symbolic(pv) {
				return r
			}
		}
	}
	return c.equations(g, p)
}

// isLabel reports f(x): the name of a value, whatever the function is called. A
// derivative keeps its name.
func isLabel(n *Node) bool { return n.Kind == KApp && !strings.HasPrefix(n.Name, "diff") }

func isElement(n *Node) bool { return len(n.Ops) == 1 && n.Ops[0] == "in" && n.Args[1].Kind == KSet }

func isSetEquation(n *Node) bool {
	return len(n.Ops) == 1 && n.Ops[0] == "=" && n.Args[1].Kind == KSet
}

func symbolic(n *Node) bool { return len(freeSymbols(n)) > 0 }

// renameArgs gives the arguments of two function labels the same new names, in the
// values too: f(m) = 2m is f(n) = 2n. It leaves labels of other arguments as they
// are.
func renameArgs(gn, gv, pn, pv *Node) (gn2, gv2, pn2, pv2 *Node) {
	if gn.Kind != KApp || pn.Kind != KApp || len(gn.Args) != len(pn.Args) || gn.String() == pn.String() {
		return gn, gv, pn, pv
	}
	gto, pto := map[string]*Node{}, map[string]*Node{}
	for i, a := range gn.Args {
		b := pn.Args[i]
		if a.Kind != KSym || b.Kind != KSym || gto[a.Name] != nil || pto[b.Name] != nil {
			return gn, gv, pn, pv
		}
		name := "argument "
		if isIntegerLetter(a.Name) && isIntegerLetter(b.Name) {
			name = integerName
		}
		gto[a.Name] = &Node{Kind: KSym, Name: name + strconv.Itoa(i)}
		pto[b.Name] = gto[a.Name]
	}
	rename := func(n *Node, to map[string]*Node) *Node {
		return n.rewrite(func(m *Node) *Node {
			if m.Kind == KSym && to[m.Name] != nil {
				return to[m.Name]
			}
			return m
		})
	}
	return rename(gn, gto), rename(gv, gto), rename(pn, pto), rename(pv, pto)
}

// sides returns an equation with the name on the left.
func sides(n *Node) (name, val *Node) {
	if !nameLike(n.Args[0]) && nameLike(n.Args[1]) {
		return n.Args[1], n.Args[0]
	}
	return n.Args[0], n.Args[1]
}

// chains compares relations of several links part by part.
func (c *comparer) chains(g, p *Node) Result {
	if len(g.Ops) != len(p.Ops) {
		return different("chains of different length")
	}
	for i := range g.Ops {
		if g.Ops[i] != p.Ops[i] {
			return different("different relations: %s and %s", g.Ops[i], p.Ops[i])
		}
	}
	return c.ordered(g.Args, p.Args, "chain")
}

// equations compares two equations by their zero sets.
func (c *comparer) equations(g, p *Node) Result {
	f := join(KAdd, g.Args[0], negate(g.Args[1]))
	h := join(KAdd, p.Args[0], negate(p.Args[1]))
	for _, n := range []*Node{f, h} {
		if n.has(KMatrix) || n.has(KTuple) || n.has(KText) || n.has(KSet) || n.has(KList) {
			return c.chains(g, p)
		}
	}
	if f.has(KPM) || h.has(KPM) {
		fs, hs := signs(f), signs(h)
		f, h = node(KMul, fs...), node(KMul, hs...)
	}
	syms := freeSymbols(f, h)
	if len(syms) == 0 {
		return c.chains(g, p)
	}
	poly := c.zeroSets(f, h, syms)
	if poly.Verdict != Unknown {
		return poly
	}
	if c.proportional(f, h, syms) {
		return equal("equations are multiples of each other")
	}
	if r := c.chains(g, p); r.Verdict == Equal {
		return r
	}
	return c.rootProbe(f, h, syms)
}

// zeroSets compares square-free numerators in every symbol, the other symbols
// being set to fixed pseudo-random numbers.
func (c *comparer) zeroSets(f, h *Node, syms []string) Result {
	decided := 0
	for i := 0; i < 2; i++ {
		for _, v := range syms {
			env := map[string]value{}
			for _, s := range syms {
				if s != v {
					env[s] = samplePoint(s, 5+i, false)
				}
			}
			e := c.evaluator(128, env)
			a, err1 := zeroPoly(f, v, e)
			b, err2 := zeroPoly(h, v, e)
			if err1 != nil || err2 != nil {
				return unknown("not polynomial")
			}
			if !a.equal(b) {
				return different("equations have different solutions in %s", v)
			}
			decided++
		}
	}
	if decided == 0 {
		return unknown("no symbol")
	}
	return equal("equations have the same solutions")
}

// zeroPoly is the monic square-free polynomial whose roots are the solutions
// of n = 0 in v.
func zeroPoly(n *Node, v string, e *evaluator) (poly, error) {
	f, err := toPoly(n, v, e)
	if err != nil {
		return nil, err
	}
	g, err := polyGCD(f.num, f.den, e.b)
	if err != nil {
		return nil, err
	}
	q := f.num
	if len(g) > 1 {
		if q, err = q.quo(g, e.b); err != nil {
			return nil, err
		}
	}
	if len(q) == 0 {
		return nil, nil
	}
	q, err = q.squareFree(e.b)
	if err != nil || len(f.den) <= 1 {
		return q, err
	}
	// A root of the denominator does not solve the equation.
	if g, err = polyGCD(q, f.den, e.b); err == nil && len(g) > 1 {
		q, err = q.quo(g, e.b)
	}
	return q.monic(), err
}

// proportional reports f = k h with a constant k other than zero.
func (c *comparer) proportional(f, h *Node, syms []string) bool {
	if uncomputed(f) || uncomputed(h) {
		return false
	}
	var ratio *value
	hits := 0
	for _, i := range []int{0, 5, 1, 6, 2, 7, 8, 9} { // positive and mixed signs in turn
		env := map[string]value{}
		for _, s := range syms {
			env[s] = samplePoint(s, i, false)
		}
		e := c.evaluator(192, env)
		a, err1 := e.eval(f)
		b, err2 := e.eval(h)
		if err1 != nil || err2 != nil {
			continue
		}
		q, err := e.div(a, b)
		if err != nil || q.isZero() {
			return false
		}
		if ratio == nil {
			ratio = &q
		} else if e.separate(q, *ratio) == apart {
			return false
		}
		hits++
	}
	return hits >= 4
}

// rootProbe looks for a proof that two equations f = 0 and h = 0 differ: a
// short interval in which f changes its sign while h stays away from zero.
func (c *comparer) rootProbe(f, h *Node, syms []string) Result {
	half := c.b.steps / 2 // a proof of a difference only turns unknown into different
	for i := 0; i < 3; i++ {
		for _, v := range syms {
			if c.b.steps < half {
				break
			}
			env := map[string]value{}
			for _, s := range syms {
				env[s] = samplePoint(s, 3*i, false)
			}
			for _, p := range [][2]*Node{{f, h}, {h, f}} {
				if c.signChangeApart(p[0], p[1], v, env) {
					return different("a solution of one equation in %s does not solve the other", v)
				}
			}
		}
	}
	return unknown("the equations are neither polynomials nor multiples of each other")
}

func (c *comparer) signChangeApart(f, h *Node, v string, env map[string]value) bool {
	e := c.evaluator(160, env)
	sign := func(x *big.Rat) (int, bool) {
		env[v] = exactRat(x)
		y, err := e.eval(f)
		if err != nil {
			return 0, false
		}
		return e.cmp(y, exactInt(0))
	}
	var last *big.Rat
	lastSign := 0
	for k := int64(-24); k <= 24; k++ {
		x := big.NewRat(7*k+1, 13)
		s, ok := sign(x)
		if !ok || s == 0 {
			last, lastSign = nil, 0
			continue
		}
		if last != nil && s != lastSign {
			lo, hi := new(big.Rat).Set(last), x
			for j := 0; j < 60; j++ {
				m := new(big.Rat).Add(lo, hi)
				m.Quo(m, big.NewRat(2, 1))
				t, ok := sign(m)
				if !ok {
					break
				}
				if t == lastSign {
					lo = m
				} else {
					hi = m
				}
			}
			// A pole changes the sign too: f must be bounded on the interval.
			env[v] = realIval(ival{ivalRat(lo, 160).lo, ivalRat(hi, 160).hi})
			y, err := e.eval(f)
			if err != nil || !y.real || !bounded(y, e.p) {
				return false
			}
			w, err := e.eval(h)
			if err != nil || !w.real {
				return false
			}
			_, apart := e.cmp(w, exactInt(0))
			return apart && !w.isZero()
		}
		last, lastSign = x, s
	}
	return false
}

func bounded(v value, p uint) bool {
	re, _ := v.ival(p)
	return !re.lo.IsInf() && !re.hi.IsInf()
}
