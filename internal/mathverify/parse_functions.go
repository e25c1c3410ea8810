package mathverify

import (
	"math/big"
	"slices"
)

// function reads the argument of a named function, with a power between name
// and argument (\sin^2 x) and a base (\log_2 8).
func (p *parser) function(name string) (*Node, error) {
	if a, ok := funcAlias[name]; ok {
		name = a
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var base, exp *Node
	var err error
	if p.accept("_") {
		if base, err = p.argument(); err != nil {
			return nil, err
		}
	}
	if p.isOp("^") {
		if o := p.peekAt(1); !(o.kind == tOp && (o.text == "circ" || o.text == "deg")) {
			p.pos++
			if exp, err = p.exponentToken(); err != nil {
				return nil, err
			}
		}
	}
	args, err := p.funcArgs(name)
	if err != nil {
		return nil, err
	}
	if n := functions[name]; n > 0 && name != "log" && name != "root" && len(args) != n {
		return nil, p.fail("wrong number of arguments for " + name)
	}
	call := fn(name, args...)
	switch {
	case name == "log" && base != nil:
		call = fn("logb", args[0], base)
	case name == "log" && len(args) == 2:
		call = fn("logb", args[0], args[1])
	case name == "lg":
		call = fn("logb", args[0], num(10))
	case name == "cbrt":
		call = fn("root", args[0], num(3))
	case name == "deg":
		return node(KDegree, args[0]), nil
	case name == "cis":
		i := &Node{Kind: KConst, Name: "i"}
		call = fn("exp", node(KMul, i, args[0]))
	}
	if exp == nil {
		return call, nil
	}
	if exp.Kind == KNum && exp.Rat.Cmp(big.NewRat(-1, 1)) == 0 {
		if inv := "arc" + name; functions[inv] != 0 {
			return fn(inv, args...), nil
		}
	}
	return node(KPow, call, exp), nil
}

// exponentToken reads the power between a function and its argument: one
// token or a group, so that \sin^2 x is not sin^(2x).
func (p *parser) exponentToken() (*Node, error) {
	if t := p.peek(); t.kind == tNum {
		p.pos++
		return parseNumber(t.text)
	}
	return p.argument()
}

func (p *parser) funcArgs(name string) ([]*Node, error) {
	for _, c := range []string{"(", "[", "{"} {
		if p.isOp(c) {
			p.pos++
			bars, set, stop := p.bars, p.inSet, p.stop
			p.bars, p.inSet, p.stop = 0, false, 0
			n, err := p.list()
			p.bars, p.inSet, p.stop = bars, set, stop
			if err != nil {
				return nil, err
			}
			if !p.accept(map[string]string{"(": ")", "[": "]", "{": "}"}[c]) {
				return nil, p.fail("unclosed argument of " + name)
			}
			if n.Kind == KList {
				return n.Args, nil
			}
			return []*Node{n}, nil
		}
	}
	// Without brackets: a product of factors up to an operator, another
	// function or an opening bracket: \sin 2x, \cos 58^\circ, \ln x.
	p.stop++
	defer func() { p.stop-- }()
	neg := p.accept("-")
	if !neg {
		p.accept("+")
	}
	arg, err := p.expr(bpPow)
	if err != nil {
		return nil, err
	}
	for {
		t := p.peek()
		if t.kind == tWord && functions[t.text] == 0 && !p.separator() || t.kind == tCmd && t.text == "frac" || t.kind == tCmd && t.text == "sqrt" {
			if t.kind == tWord {
				parts, ok := split(t.text, p.tex)
				if !ok || len(parts) > 1 && functions[parts[0]] != 0 {
					break
				}
			}
			f, err := p.expr(bpPow)
			if err != nil {
				return nil, err
			}
			arg = join(KMul, arg, f)
			continue
		}
		break
	}
	if neg {
		arg = negate(arg)
	}
	return []*Node{arg}, nil
}

// bigOp reads \sum_{k=1}^{n} body and \prod.
func (p *parser) bigOp(name string) (*Node, error) {
	from, to, err := p.bounds()
	if err != nil {
		return nil, err
	}
	body, err := p.expr(bpMul)
	if err != nil {
		return nil, err
	}
	if from == nil || from.Kind != KRel || len(from.Args) != 2 || to == nil {
		return nil, p.fail(name + " without bounds")
	}
	if v := from.Args[0]; v.Kind == KConst { // i and e as running indices
		sym := &Node{Kind: KSym, Name: v.Name}
		body = body.rewrite(func(m *Node) *Node {
			if m.Kind == KConst && m.Name == v.Name {
				return sym
			}
			return m
		})
		from = from.with(sym, from.Args[1])
	}
	if from.Args[0].Kind != KSym {
		return nil, p.fail(name + " without a running index")
	}
	return &Node{Kind: KBig, Name: name, Args: []*Node{body, from.Args[0], from.Args[1], to}}, nil
}

func (p *parser) bounds() (from, to *Node, err error) {
	for i := 0; i < 2; i++ {
		switch {
		case p.accept("_"):
			if from, err = p.argument(); err != nil {
				return nil, nil, err
			}
		case p.accept("^"):
			if to, err = p.exponentToken(); err != nil {
				return nil, nil, err
			}
		}
	}
	return from, to, nil
}

// integral reads \int_a^b f dx.
func (p *parser) integral() (*Node, error) {
	from, to, err := p.bounds()
	if err != nil {
		return nil, err
	}
	// The differential: the last "d" + letter before the end or a closer.
	depth := 0
	for j := p.pos; j < len(p.toks); j++ {
		t := p.toks[j]
		if t.kind == tOp {
			switch t.text {
			case "(", "[", "{", "\\{":
				depth++
			case ")", "]", "}", "\\}":
				depth--
			}
		}
		if depth < 0 {
			break
		}
		v := ""
		width := 1
		switch {
		case t.kind == tWord && len(t.text) == 2 && t.text[0] == 'd':
			v = t.text[1:]
		case t.kind == tWord && t.text == "d" && j+1 < len(p.toks) && p.toks[j+1].kind == tWord:
			v, width = p.toks[j+1].text, 2
		case t.kind == tWord && len(t.text) > 2 && len(t.text) < 6 && t.text[len(t.text)-2] == 'd' && functions[t.text] == 0:
			// xdx
			p.replace(j, token{kind: tWord, text: t.text[:len(t.text)-2]}, token{kind: tWord, text: t.text[len(t.text)-2:]})
			continue
		}
		if v == "" || depth > 0 {
			continue
		}
		sub := &parser{toks: slices.Clip(p.toks[p.pos:j]), tex: p.tex, depth: p.depth}
		body := num(1)
		if j > p.pos {
			if body, err = sub.expr(0); err != nil {
				return nil, err
			}
			if sub.pos < len(sub.toks) {
				return nil, sub.fail("unexpected token in an integral")
			}
		}
		p.pos = j + width
		args := []*Node{body, wordNode(v)}
		if from != nil && to != nil {
			args = append(args, from, to)
		}
		return &Node{Kind: KBig, Name: "int", Args: args}, nil
	}
	return nil, p.fail("integral without differential")
}

// limit reads \lim_{x \to a} body.
func (p *parser) limit() (*Node, error) {
	if !p.accept("_") || !p.accept("{") {
		return nil, p.fail("limit without variable")
	}
	v, err := p.atom()
	if err != nil {
		return nil, err
	}
	if !p.accept("->") {
		return nil, p.fail("expected \\to")
	}
	side := p.limitSide()
	to, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if !p.accept("}") {
		return nil, p.fail("expected }")
	}
	body, err := p.expr(bpMul)
	if err != nil {
		return nil, err
	}
	args := []*Node{body, v, to}
	if side != 0 {
		args = append(args, num(side))
	}
	return &Node{Kind: KBig, Name: "lim", Args: args}, nil
}

// limitSide takes the side off the end of a limit's target, as in 0^+ or
// 0^{-}: 1 from above, -1 from below, 0 for both sides.
func (p *parser) limitSide() int64 {
	depth, end := 0, -1
	for i := p.pos; i < len(p.toks) && end < 0; i++ {
		switch p.toks[i].text {
		case "{":
			depth++
		case "}":
			if depth == 0 {
				end = i
			}
			depth--
		}
	}
	op := func(i int, s string) bool { return i > p.pos && p.toks[i].kind == tOp && p.toks[i].text == s }
	if end < 0 {
		return 0
	}
	sign, from := end-1, end-2
	if op(end-1, "}") && op(end-3, "{") {
		sign, from = end-2, end-4
	}
	if !op(from, "^") || !op(sign, "+") && !op(sign, "-") {
		return 0
	}
	side := map[string]int64{"+": 1, "-": -1}[p.toks[sign].text]
	p.toks = slices.Delete(p.toks, from, end)
	return side
}

// derivative recognises d/dx in a fraction; the result is a KBig "diff" whose
// body is still missing when the numerator is a bare d.
func derivative(a, b *Node) *Node {
	if n := higherDerivative(a, b); n != nil {
		return n
	}
	if b.Kind != KMul || len(b.Args) != 2 || b.Args[0].Kind != KSym || b.Args[1].Kind != KSym {
		return nil
	}
	d := b.Args[0].Name
	if d != "d" && d != "partial" {
		return nil
	}
	switch {
	case a.Kind == KSym && a.Name == d:
		return &Node{Kind: KBig, Name: "diff", Args: []*Node{nil, b.Args[1]}}
	case a.Kind == KMul && a.Args[0].Kind == KSym && a.Args[0].Name == d && len(a.Args) == 2:
		if y := a.Args[1]; y.Kind != KSym && y.Kind != KApp {
			return &Node{Kind: KBig, Name: "diff", Args: []*Node{y, b.Args[1]}}
		}
		return &Node{Kind: KApp, Name: "diff:" + b.Args[1].Name, Args: a.Args[1:]} // dy/dx names a function
	}
	return nil
}

func (p *parser) derivative(n *Node) (*Node, error) {
	order := 0
	inner := n
	for inner != nil && inner.Kind == KBig {
		inner = inner.Args[0]
		order++
	}
	if order == 0 || inner != nil {
		return n, nil
	}
	body, err := p.expr(bpMul)
	if err != nil {
		return nil, err
	}
	v := n.Args[1]
	for ; order > 0; order-- {
		body = &Node{Kind: KBig, Name: "diff", Args: []*Node{body, v}}
	}
	return body, nil
}

// higherDerivative recognises d^2/dx^2 in a fraction.
func higherDerivative(a, b *Node) *Node {
	if b.Kind != KMul || len(b.Args) != 2 || b.Args[0].Kind != KSym || b.Args[1].Kind != KPow || b.Args[1].Args[0].Kind != KSym {
		return nil
	}
	d, x, k := b.Args[0].Name, b.Args[1].Args[0], b.Args[1].Args[1]
	head, rest := a, []*Node(nil)
	if a.Kind == KMul {
		head, rest = a.Args[0], a.Args[1:]
	}
	if d != "d" && d != "partial" || head.Kind != KPow || head.Args[0].Kind != KSym || head.Args[0].Name != d ||
		head.Args[1].String() != k.String() || k.Kind != KNum || len(rest) > 1 {
		return nil
	}
	order := 0
	if k.Rat.IsInt() && k.Rat.Num().IsInt64() {
		order = int(min(k.Rat.Num().Int64(), 21))
	}
	if order < 2 || order > 20 {
		return nil
	}
	var n *Node
	if len(rest) == 1 {
		if n = rest[0]; n.Kind == KSym || n.Kind == KApp {
			return &Node{Kind: KApp, Name: "diff" + k.String() + ":" + x.Name, Args: rest}
		}
	}
	for ; order > 0; order-- {
		n = &Node{Kind: KBig, Name: "diff", Args: []*Node{n, x}}
	}
	return n
}
