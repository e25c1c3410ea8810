package mathverify

import (
	"sort"
)

// seg is an interval or a point of the real line; nil bounds are infinite.
type seg struct {
	lo, hi         *Node
	loOpen, hiOpen bool
}

// isInterval reports brackets that can only be an interval.
func isInterval(n *Node) bool {
	if n.Kind != KTuple || len(n.Args) != 2 {
		return false
	}
	if n.Name == "(]" || n.Name == "[)" {
		return true
	}
	return infinite(n.Args[0]) != 0 || infinite(n.Args[1]) != 0
}

// infinite is 1 or -1 for a signed infinity, else 0.
func infinite(n *Node) int {
	switch {
	case n.Kind == KConst && n.Name == "inf":
		return 1
	case n.Kind == KNeg:
		return -infinite(n.Args[0])
	}
	return 0
}

func isNumberSet(n *Node) bool {
	if n.Kind != KSym {
		return false
	}
	switch n.Name {
	case "Reals", "Integers", "Naturals", "Rationals", "Complexes":
		return true
	}
	return false
}

// realSets compares sets of real numbers by their normalised segments.
func (c *comparer) realSets(g, p *Node) Result {
	if isInterval(g) && isInterval(p) || g.Kind == KTuple && p.Kind == KTuple {
		if g.Name != p.Name && infinite(g.Args[0]) == 0 && infinite(g.Args[1]) == 0 {
			return different("different brackets: %s and %s", g.Name, p.Name)
		}
	}
	a, ok1 := c.segments(g)
	b, ok2 := c.segments(p)
	if !ok1 || !ok2 {
		if g.Kind == KSet && p.Kind == KSet {
			return c.multiset(dedupe(g.Args), dedupe(p.Args), "set")
		}
		if g.Kind == p.Kind && g.Name == p.Name && len(g.Args) == len(p.Args) && g.Kind != KRel {
			if g.Kind == KSetOp && g.Name != "setminus" {
				return c.multiset(g.Args, p.Args, "set")
			}
			if len(g.Args) > 0 {
				return c.ordered(g.Args, p.Args, "interval")
			}
		}
		if scalarKind(g) || scalarKind(p) {
			return different("a set against a single value")
		}
		if ok1 != ok2 && (finite(g) || finite(p)) {
			return different("an interval against a list of values")
		}
		return unknown("a set cannot be written as intervals")
	}
	if len(a) != len(b) {
		return different("sets of %d and %d intervals", len(a), len(b))
	}
	for i := range a {
		if r := c.sameSeg(a[i], b[i]); r.Verdict != Equal {
			return r
		}
	}
	return equal("same intervals")
}

// finite reports a list or tuple of single values.
func finite(n *Node) bool {
	if n.Kind != KList && n.Kind != KTuple && n.Kind != KMatrix {
		return false
	}
	for _, a := range n.Args {
		if !scalarKind(a) && a.Kind != KTuple && a.Kind != KSym {
			return false
		}
	}
	return true
}

func scalarKind(n *Node) bool {
	switch n.Kind {
	case KNum, KAdd, KMul, KNeg, KDiv, KPow, KConst, KFunc, KPercent, KDegree, KUnit, KBase, KRatio, KTime:
		return true
	}
	return false
}

func (c *comparer) sameSeg(a, b seg) Result {
	if a.loOpen != b.loOpen || a.hiOpen != b.hiOpen {
		return different("only one of the intervals contains its end")
	}
	for _, e := range [][2]*Node{{a.lo, b.lo}, {a.hi, b.hi}} {
		if (e[0] == nil) != (e[1] == nil) {
			return different("one end is finite, the other infinite")
		}
		if e[0] == nil {
			continue
		}
		if r := c.scalars(e[0], e[1]); r.Verdict != Equal {
			return r
		}
	}
	return equal("same interval")
}

// segments writes a set as sorted disjoint segments; ok is false when that is
// not possible with constant ends.
func (c *comparer) segments(n *Node) ([]seg, bool) {
	if err := c.b.spend(5); err != nil {
		return nil, false
	}
	switch n.Kind {
	case KTuple:
		if len(n.Args) != 2 {
			return nil, false
		}
		s := seg{lo: n.Args[0], hi: n.Args[1], loOpen: n.Name[0] == '(', hiOpen: n.Name[1] == ')'}
		if infinite(s.lo) < 0 {
			s.lo, s.loOpen = nil, true
		}
		if infinite(s.hi) > 0 {
			s.hi, s.hiOpen = nil, true
		}
		return []seg{s}, true
	case KSet:
		for _, a := range n.Args {
			if a.Kind == KRel || a.Kind == KText || collection(a.Kind) {
				return nil, false
			}
		}
		out := make([]seg, len(n.Args))
		for i, a := range expandPM(n).Args {
			if i >= len(out) {
				out = append(out, seg{})
			}
			out[i] = seg{lo: a, hi: a}
		}
		return c.normal(out)
	case KSym:
		if n.Name == "Reals" {
			return []seg{{loOpen: true, hiOpen: true}}, true
		}
	case KRel:
		_, s, ok := c.solve(n)
		return s, ok
	case KBuilder:
		return c.segments(n.Args[1])
	case KList:
		return c.listSegments(n)
	case KSetOp:
		a, ok1 := c.segments(n.Args[0])
		b, ok2 := c.segments(n.Args[1])
		if !ok1 || !ok2 {
			return nil, false
		}
		switch n.Name {
		case "cup":
			return c.normal(append(append([]seg(nil), a...), b...))
		case "cap":
			return c.intersect(a, b)
		case "setminus":
			nb, ok := c.complement(b)
			if !ok {
				return nil, false
			}
			return c.intersect(a, nb)
		}
	}
	return nil, false
}

func (c *comparer) listSegments(n *Node) ([]seg, bool) {
	var acc []seg
	for i, a := range n.Args {
		s, ok := c.segments(a)
		if !ok {
			return nil, false
		}
		switch {
		case i == 0:
			acc = s
		case n.Name == "and":
			if acc, ok = c.intersect(acc, s); !ok {
				return nil, false
			}
		default:
			acc = append(acc, s...)
		}
	}
	return c.normal(acc)
}

// order compares two ends; unbounded is -1 or 1 for a nil end.
func (c *comparer) order(a, b *Node) (int, bool) {
	if a == b {
		return 0, true
	}
	for _, prec := range []uint{96, 512} {
		e := c.evaluator(prec, nil)
		x, err1 := e.eval(a)
		y, err2 := e.eval(b)
		if err1 != nil || err2 != nil {
			return 0, false
		}
		if k, ok := e.cmp(x, y); ok {
			return k, true
		}
	}
	if c.scalars(a, b).Verdict == Equal {
		return 0, true
	}
	return 0, false
}

func (c *comparer) less(a, b seg) (bool, bool) {
	switch {
	case a.lo == nil:
		return b.lo != nil, true
	case b.lo == nil:
		return false, true
	}
	k, ok := c.order(a.lo, b.lo)
	if k == 0 {
		return !a.loOpen && b.loOpen, ok
	}
	return k < 0, ok
}

// normal sorts and merges segments.
func (c *comparer) normal(in []seg) ([]seg, bool) {
	s := append([]seg(nil), in...)
	good := true
	sort.SliceStable(s, func(i, j int) bool {
		l, ok := c.less(s[i], s[j])
		good = good && ok
		return l
	})
	if !good {
		return nil, len(in) <= 1
	}
	var out []seg
	for _, x := range s {
		if empty, ok := c.empty(x); !ok {
			return nil, false
		} else if empty {
			continue
		}
		if len(out) == 0 {
			out = append(out, x)
			continue
		}
		last := &out[len(out)-1]
		if last.hi == nil {
			continue
		}
		if x.lo != nil {
			k, ok := c.order(x.lo, last.hi)
			if !ok {
				return nil, false
			}
			if k > 0 || k == 0 && x.loOpen && last.hiOpen {
				out = append(out, x)
				continue
			}
		}
		if x.hi == nil {
			last.hi, last.hiOpen = nil, true
			continue
		}
		k, ok := c.order(x.hi, last.hi)
		if !ok {
			return nil, false
		}
		switch {
		case k > 0:
			last.hi, last.hiOpen = x.hi, x.hiOpen
		case k == 0:
			last.hiOpen = last.hiOpen && x.hiOpen
		}
	}
	return out, true
}

func (c *comparer) empty(s seg) (bool, bool) {
	if s.lo == nil || s.hi == nil {
		return false, true
	}
	k, ok := c.order(s.lo, s.hi)
	return k > 0 || k == 0 && (s.loOpen || s.hiOpen), ok
}

func (c *comparer) complement(in []seg) ([]seg, bool) {
	s, ok := c.normal(in)
	if !ok {
		return nil, false
	}
	var out []seg
	cur := seg{loOpen: true}
	for _, x := range s {
		if x.lo != nil {
			out = append(out, seg{lo: cur.lo, loOpen: cur.loOpen, hi: x.lo, hiOpen: !x.loOpen})
		}
		if x.hi == nil {
			return out, true
		}
		cur = seg{lo: x.hi, loOpen: !x.hiOpen}
	}
	return append(out, seg{lo: cur.lo, loOpen: cur.loOpen, hiOpen: true}), true
}

func (c *comparer) intersect(a, b []seg) ([]seg, bool) {
	na, ok1 := c.complement(a)
	nb, ok2 := c.complement(b)
	if !ok1 || !ok2 {
		return nil, false
	}
	u, ok := c.normal(append(na, nb...))
	if !ok {
		return nil, false
	}
	return c.complement(u)
}
