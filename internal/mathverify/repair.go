package mathverify

import "strings"

// balance closes brackets that were left open and drops closing ones that
// nothing opened, as people do when they read a broken formula. ok is false
// when the brackets are balanced already.
func balance(toks []token) ([]token, bool) {
	closer := map[string]string{"(": ")", "[": "]", "{": "}", "\\{": "\\}", "<<": ">>"}
	var open []string
	out := make([]token, 0, len(toks)+4)
	changed := false
	for _, t := range toks {
		if t.kind == tOp {
			if c, ok := closer[t.text]; ok {
				open = append(open, c)
			} else if isCloser(t.text) {
				switch {
				case len(open) == 0:
					changed = true
					continue
				case t.text == "}" && open[len(open)-1] != "}" && !holds(open, "}"):
					changed = true
					continue
				default:
					open = open[:len(open)-1]
				}
			}
		}
		out = append(out, t)
	}
	for i := len(open) - 1; i >= 0; i-- {
		out = append(out, token{kind: tOp, text: open[i]})
		changed = true
	}
	return out, changed
}

func isCloser(s string) bool {
	switch s {
	case ")", "]", "}", "\\}", ">>":
		return true
	}
	return false
}

func holds(open []string, c string) bool {
	for _, o := range open {
		if o == c {
			return true
		}
	}
	return false
}

// splitText reads words with commas as a list: \text{B, E, G}.
func splitText(n *Node) *Node {
	if n.Kind != KText || !strings.ContainsAny(n.Name, ",;") && !strings.Contains(n.Name, " and ") && !strings.Contains(n.Name, " or ") {
		return n
	}
	s := strings.NewReplacer(" and ", ",", " or ", ",", ";", ",", "and ", "").Replace(n.Name)
	var args []*Node
	for _, w := range strings.Split(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			args = append(args, textNode(w))
		}
	}
	if len(args) < 2 {
		return n
	}
	return node(KList, args...)
}

// mergeUnits adds up quantities in several units of one kind: "2 hours 30
// minutes", "5 dollars and 30 cents". The result is in the first unit.
func mergeUnits(n *Node) *Node {
	if n.Kind != KAdd && (n.Kind != KList || n.Name != "and") {
		return n
	}
	var first unitInfo
	terms := make([]*Node, len(n.Args))
	for i, a := range n.Args {
		if a.Kind != KUnit {
			return n
		}
		u, ok := parseUnit(a.Name)
		if !ok || i > 0 && u.dim != first.dim {
			return n
		}
		if i == 0 {
			first = u
		} else if u.factor.Cmp(first.factor) >= 0 && n.Kind == KList {
			return n // "5 cm and 5 m" are two answers
		}
		terms[i] = node(KDiv, node(KMul, a.Args[0], ratNode(u.factor)), ratNode(first.factor))
	}
	return &Node{Kind: KUnit, Name: n.Args[0].Name, Args: []*Node{node(KAdd, terms...)}}
}
