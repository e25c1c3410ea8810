package mathverify

import "slices"

// matrices compares matrices; a single row or column may be written as a
// tuple, and nested lists as a matrix.
func (c *comparer) matrices(g, p *Node) Result {
	if g.Kind == KMatrix && p.Kind == KMatrix {
		if len(g.Args) != len(p.Args) || len(g.Args[0].Args) != len(p.Args[0].Args) {
			return different("matrices of different size")
		}
		return c.ordered(g.Args, p.Args, "matrix")
	}
	m, o := g, p
	if p.Kind == KMatrix {
		m, o = p, g
	}
	if o.Kind != KTuple && o.Kind != KList {
		if len(m.Args) == 1 && len(m.Args[0].Args) == 1 {
			return c.nodes(m.Args[0].Args[0], o)
		}
		return different("a matrix against something else")
	}
	flat := m.Args
	if len(o.Args) > 0 && o.Args[0].Kind != KTuple {
		flat = nil
		if len(m.Args) > 1 && len(m.Args[0].Args) > 1 {
			return different("a matrix against a vector")
		}
		for _, r := range m.Args {
			flat = append(flat, r.Args...)
		}
	} else {
		rows := make([]*Node, len(o.Args))
		for i, r := range o.Args {
			rows[i] = r.with(r.Args...)
			rows[i].Name = "()"
		}
		o = o.with(rows...)
	}
	if g == m {
		return c.ordered(flat, o.Args, "vector")
	}
	return c.ordered(o.Args, flat, "vector")
}

// simplifyMatrices carries out sums and products of written-out matrices.
func simplifyMatrices(n *Node) *Node {
	if !n.has(KMatrix) && !n.has(KTuple) {
		return n
	}
	return n.rewrite(func(m *Node) *Node {
		if m.Kind == KNeg && (m.Args[0].Kind == KMatrix || isVector(m.Args[0])) {
			if r := combine(KMul, num(-1), m.Args[0]); r != nil {
				return r
			}
		}
		if m.Kind != KAdd && m.Kind != KMul {
			return m
		}
		acc := m.Args[0]
		for _, a := range m.Args[1:] {
			acc = combine(m.Kind, acc, a)
			if acc == nil || acc.size() > 1<<13 { // the elements of long products grow without end
				return m
			}
		}
		return acc
	})
}

func combine(k Kind, a, b *Node) *Node {
	am, bm := a.Kind == KMatrix, b.Kind == KMatrix
	cell := func(m *Node, i, j int) *Node { return m.Args[i].Args[j] }
	build := func(rows, cols int, f func(i, j int) *Node) *Node {
		out := make([]*Node, rows)
		for i := range out {
			r := make([]*Node, cols)
			for j := range r {
				r[j] = f(i, j)
			}
			out[i] = &Node{Kind: KTuple, Name: "()", Args: r}
		}
		return node(KMatrix, out...)
	}
	if at, bt := isVector(a), isVector(b); at || bt {
		return combineVectors(k, a, b)
	}
	switch {
	case !am && !bm:
		return join(k, a, b)
	case k == KAdd:
		if !am || !bm || len(a.Args) != len(b.Args) || len(a.Args[0].Args) != len(b.Args[0].Args) {
			return nil
		}
		return build(len(a.Args), len(a.Args[0].Args), func(i, j int) *Node { return node(KAdd, cell(a, i, j), cell(b, i, j)) })
	case am && bm:
		n := len(b.Args)
		if len(a.Args[0].Args) != n || len(a.Args)*n*len(b.Args[0].Args) > 1000 {
			return nil
		}
		return build(len(a.Args), len(b.Args[0].Args), func(i, j int) *Node {
			terms := make([]*Node, n)
			for t := range terms {
				terms[t] = node(KMul, cell(a, i, t), cell(b, t, j))
			}
			return node(KAdd, terms...)
		})
	case am:
		a, b = b, a
	}
	return build(len(b.Args), len(b.Args[0].Args), func(i, j int) *Node { return node(KMul, a, cell(b, i, j)) })
}

// combineVectors adds vectors written as tuples and multiplies them by scalars;
// nil where that has no meaning.
func combineVectors(k Kind, a, b *Node) *Node {
	at, bt := isVector(a), isVector(b)
	switch {
	case k == KAdd && at && bt && len(a.Args) == len(b.Args):
		out := make([]*Node, len(a.Args))
		for i := range out {
			out[i] = node(KAdd, a.Args[i], b.Args[i])
		}
		return a.with(out...)
	case k == KMul && at != bt:
		if bt {
			a, b = b, a
		}
		if b.Kind == KMatrix || collection(b.Kind) {
			return nil
		}
		out := make([]*Node, len(a.Args))
		for i, x := range a.Args {
			out[i] = node(KMul, b, x)
		}
		return a.with(out...)
	}
	return nil
}

// vectorForm writes a sum of the unit vectors i, j, k as a tuple where the other
// side is a vector.
func vectorForm(n, other *Node) *Node {
	size := 0
	switch {
	case isVector(other):
		size = len(other.Args)
	case other.Kind == KMatrix && len(other.Args[0].Args) == 1:
		size = len(other.Args)
	}
	if size != 2 && size != 3 || n.Kind != KAdd && n.Kind != KMul && n.Kind != KNeg && n.Kind != KSym && n.Kind != KConst {
		return n
	}
	terms := []*Node{n}
	if n.Kind == KAdd {
		terms = n.Args
	}
	out := make([]*Node, size)
	for _, t := range terms {
		k, factor := unitVector(t)
		if k < 0 || k >= size || out[k] != nil {
			return n
		}
		out[k] = factor
	}
	for i := range out {
		if out[i] == nil {
			out[i] = num(0)
		}
	}
	return &Node{Kind: KTuple, Name: "()", Args: out}
}

// unitVector splits a term such as 2j into the index of the unit vector and its
// factor; the index is -1 when there is not exactly one.
func unitVector(n *Node) (int, *Node) {
	index := func(n *Node) int {
		if n.Kind == KSym || n.Kind == KConst {
			return slices.Index([]string{"i", "j", "k"}, n.Name)
		}
		return -1
	}
	switch n.Kind {
	case KNeg:
		k, f := unitVector(n.Args[0])
		if k >= 0 {
			f = negate(f)
		}
		return k, f
	case KDiv:
		k, f := unitVector(n.Args[0])
		if k >= 0 {
			f = node(KDiv, f, n.Args[1])
		}
		return k, f
	case KMul:
		hit := -1
		var rest []*Node
		for _, a := range n.Args {
			if k := index(a); k >= 0 {
				if hit >= 0 {
					return -1, nil
				}
				hit = k
				continue
			}
			rest = append(rest, a)
		}
		if len(rest) == 0 {
			return -1, nil
		}
		return hit, node(KMul, rest...)
	}
	return index(n), num(1)
}
