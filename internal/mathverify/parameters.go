package mathverify

import (
	"slices"
	"strings"
)

// integerLetters are the letters that name an integer where nothing else is said.
var integerLetters = []string{"i", "j", "k", "l", "m", "n", "p", "q", "r", "K", "M", "N"}

// integerName begins the new names of integer letters.
const integerName = "integer "

func isIntegerLetter(s string) bool {
	return slices.Contains(integerLetters, s) || strings.HasPrefix(s, integerName)
}

// parameters drops "k in Z" from a list and gives an integer parameter of the
// prediction the name that the gold uses: n pi for k pi.
func parameters(g, p *Node) (*Node, *Node) {
	gd, gk, gset := dropDeclaration(g)
	pd, pk, pset := dropDeclaration(p)
	if gk != "" && pk != "" && gset != pset {
		return g, p
	}
	g, p = gd, pd
	gs, ps := freeSymbols(unnamed(g)), freeSymbols(unnamed(p))
	only := func(a, b []string) (string, bool) {
		out := ""
		for _, s := range a {
			if !slices.Contains(b, s) {
				if out != "" {
					return "", false
				}
				out = s
			}
		}
		return out, isIntegerLetter(out)
	}
	a, ok1 := only(gs, ps)
	b, ok2 := only(ps, gs)
	if !ok1 || !ok2 || !(a == gk || periodic(g, a)) || !(b == pk || periodic(p, b)) {
		return g, p
	}
	return g, p.rewrite(func(m *Node) *Node {
		if m.Kind == KSym && m.Name == b {
			return &Node{Kind: KSym, Name: a}
		}
		return m
	})
}

// unnamed drops the names on the left of equations: x = k pi is k pi.
func unnamed(n *Node) *Node {
	return n.rewrite(func(m *Node) *Node {
		if m.Kind == KRel && len(m.Ops) == 1 && m.Ops[0] == "=" && m.Args[0].Kind == KSym {
			return m.Args[1]
		}
		return m
	})
}

// dropDeclaration takes "k \in \mathbb{Z}" off the end of a list and returns k and the
// set.
func dropDeclaration(n *Node) (rest *Node, letter, set string) {
	n = dropReal(n)
	if n.Kind != KList || len(n.Args) < 2 {
		return n, "", ""
	}
	d := n.Args[len(n.Args)-1]
	if d.Kind != KRel || len(d.Ops) != 1 || d.Ops[0] != "in" || d.Args[0].Kind != KSym || d.Args[1].Kind != KSym {
		return n, "", ""
	}
	switch set = d.Args[1].Name; set {
	case "Integers", "Naturals", "Z", "N":
	default:
		return n, "", ""
	}
	rest = n.with(n.Args[:len(n.Args)-1]...)
	if !slices.Contains(freeSymbols(rest), d.Args[0].Name) {
		return n, "", ""
	}
	if len(rest.Args) == 1 {
		rest = rest.Args[0]
	}
	return rest, d.Args[0].Name, set[:1]
}

// dropReal takes "x \in \mathbb{R}" out of a list of relations about x.
func dropReal(n *Node) *Node {
	if n.Kind != KList || len(n.Args) < 2 || n.Name == "or" {
		return n
	}
	for i, d := range n.Args {
		if d.Kind == KRel && len(d.Ops) == 1 && d.Ops[0] == "in" && d.Args[0].Kind == KSym && isNumberSet(d.Args[1]) && d.Args[1].Name == "Reals" {
			rest := slices.Delete(slices.Clone(n.Args), i, i+1)
			if !slices.Contains(freeSymbols(rest...), d.Args[0].Name) {
				return n
			}
			if len(rest) == 1 {
				return rest[0]
			}
			return n.with(rest...)
		}
	}
	return n
}

// periodic reports that s stands only in products with pi or degrees.
func periodic(n *Node, s string) bool {
	if n.Kind == KSym {
		return n.Name != s
	}
	if n.Kind == KDegree || n.Kind == KMul && slices.ContainsFunc(n.Args, func(a *Node) bool {
		return a.Kind == KDegree || !a.walk(func(m *Node) bool { return m.Kind != KConst || m.Name != "pi" })
	}) {
		return true
	}
	for _, a := range n.Args {
		if !periodic(a, s) {
			return false
		}
	}
	return true
}
