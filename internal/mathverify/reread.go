package mathverify

import "strconv"

// renameBound gives the variables of sums, products, integrals and limits names
// that depend only on how deep they stand.
func renameBound(n *Node, depth int) *Node {
	if n.Kind == KBig && n.Name != "diff" && n.Args[1].Kind == KSym {
		v := &Node{Kind: KSym, Name: "bound" + strconv.Itoa(depth)}
		args := append([]*Node(nil), n.Args...)
		args[0] = args[0].rewrite(func(m *Node) *Node {
			if m.Kind == KSym && m.Name == n.Args[1].Name {
				return v
			}
			return m
		})
		args[1] = v
		n = n.with(args...)
	}
	args := make([]*Node, len(n.Args))
	for i, a := range n.Args {
		args[i] = renameBound(a, depth+1)
	}
	return n.with(args...)
}

// imaginaryUnit reads the symbol I as i, as computer algebra systems print it,
// when the other side uses i and no I, or has no symbols where I is the only one
// here.
func imaginaryUnit(n, other *Node) *Node {
	has := func(t *Node, k Kind, name string) bool {
		return !t.walk(func(m *Node) bool { return !(m.Kind == k && m.Name == name) })
	}
	if !has(n, KSym, "I") || has(other, KSym, "I") {
		return n
	}
	if !has(other, KConst, "i") {
		if n.Kind == KSym || len(freeSymbols(n)) > 1 || len(freeSymbols(other)) > 0 || !scalarKind(other) || !scalarKind(n) {
			return n
		}
	}
	return n.rewrite(func(m *Node) *Node {
		if m.Kind == KSym && m.Name == "I" {
			return &Node{Kind: KConst, Name: "i"}
		}
		return m
	})
}
