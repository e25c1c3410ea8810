package mathverify

// bracket reads a parenthesised group, tuple, interval, set, vector,
// absolute value, floor or ceiling.
func (p *parser) bracket() (*Node, error) {
	t := p.next()
	bars, set, stop, turned := p.bars, p.inSet, p.stop, p.turned
	p.bars, p.inSet, p.stop, p.turned = 0, t.text == "\\{", 0, t.text == "]"
	defer func() { p.bars, p.inSet, p.stop, p.turned = bars, set, stop, turned }()
	switch t.text {
	case "(", "[", "{", "\\{", "<<":
		return p.group(t.text)
	case "]": // ]1, 2[ is the open interval
		n, err := p.list()
		if err != nil {
			return nil, err
		}
		shape := "()"
		if !p.accept("[") {
			if !p.accept("]") {
				return nil, p.fail("expected [")
			}
			shape = "(]"
		}
		if n.Kind != KList || len(n.Args) != 2 {
			return nil, p.fail("an interval needs two ends")
		}
		return &Node{Kind: KTuple, Name: shape, Args: n.Args}, nil
	case "lfloor", "lceil":
		n, err := p.list()
		if err != nil {
			return nil, err
		}
		closer, name := "rfloor", "floor"
		if t.text == "lceil" {
			closer, name = "rceil", "ceil"
		}
		if !p.accept(closer) {
			return nil, p.fail("expected " + closer)
		}
		return fn(name, n), nil
	case "|", "||":
		p.bars = 1
		n, err := p.list()
		if err != nil {
			return nil, err
		}
		if !p.accept(t.text) {
			return nil, p.fail("expected |")
		}
		return fn("abs", n), nil
	case "...":
		return &Node{Kind: KText, Name: "..."}, nil
	}
	p.pos--
	return nil, p.fail("unexpected symbol")
}

func (p *parser) group(open string) (*Node, error) {
	closers := map[string][]string{"(": {")", "]"}, "[": {"]", ")", "["}, "{": {"}", "\\}"}, "\\{": {"\\}", "}"}, "<<": {">>"}}[open]
	braces := open == "{" || open == "\\{"
	if braces {
		for _, c := range closers {
			if p.accept(c) {
				return node(KSet), nil
			}
		}
	}
	n, err := p.list()
	if err != nil {
		return nil, err
	}
	if open == "\\{" && (p.isOp("mid") || p.isOp("|") || p.isOp(":")) {
		p.pos++
		p.inSet = false
		cond, err := p.list()
		if err != nil {
			return nil, err
		}
		n = node(KBuilder, n, cond)
	}
	closer := ""
	for _, c := range closers {
		if p.accept(c) {
			closer = c
			break
		}
	}
	if closer == "" {
		return nil, p.fail("expected " + closers[0])
	}
	switch {
	case n.Kind == KBuilder:
		return n, nil
	case open == "\\{" && n.Kind == KList, open == "{" && n.Kind == KList:
		return node(KSet, n.Args...), nil
	case open == "\\{":
		return node(KSet, n), nil
	case n.Kind == KList:
		if closer == "[" { // [1, 2[
			closer = ")"
		}
		return &Node{Kind: KTuple, Name: open + closer, Args: n.Args}, nil
	case n.Kind == KRel && open == "(" && len(p.toks) > p.pos:
		return n, nil
	}
	return n, nil
}

func (p *parser) environment(env string) (*Node, error) {
	if env == "array" && p.isOp("{") {
		for !p.accept("}") {
			if p.next().kind == tEOF {
				return nil, p.fail("unclosed array")
			}
		}
	}
	bars, set := p.bars, p.inSet
	p.bars, p.inSet = 0, false
	defer func() { p.bars, p.inSet = bars, set }()
	var rows []*Node
	row := []*Node{}
	for {
		t := p.peek()
		switch {
		case t.kind == tEOF:
			return nil, p.fail("unclosed " + env)
		case t.kind == tCmd && t.text == "end:"+env:
			p.pos++
			if len(row) > 0 {
				rows = append(rows, &Node{Kind: KTuple, Name: "()", Args: row})
			}
			return finishEnv(env, rows)
		case p.accept("&"):
			continue
		case p.accept("\\\\"):
			if len(row) > 0 {
				rows = append(rows, &Node{Kind: KTuple, Name: "()", Args: row})
			}
			row = []*Node{}
			continue
		}
		n, err := p.list()
		if err != nil {
			return nil, err
		}
		row = append(row, n)
		if !p.closing() {
			return nil, p.fail("unexpected token in " + env)
		}
	}
}

func finishEnv(env string, rows []*Node) (*Node, error) {
	if len(rows) == 0 {
		return nil, errSyntax
	}
	switch env {
	case "cases", "dcases", "rcases":
		return casesNode(rows), nil
	case "aligned", "align", "gathered", "gather", "split", "equation":
		var all []*Node
		for _, r := range rows {
			all = append(all, r.Args...)
		}
		if len(all) == 1 {
			return all[0], nil
		}
		return node(KList, all...), nil
	}
	w := len(rows[0].Args)
	for _, r := range rows {
		if len(r.Args) != w {
			return nil, errSyntax
		}
	}
	m := node(KMatrix, rows...)
	if env == "vmatrix" {
		return fn("det", m), nil
	}
	return m, nil
}

// casesNode builds KCases when every row has a value and a condition,
// otherwise a list (a system of equations).
func casesNode(rows []*Node) *Node {
	var args []*Node
	for _, r := range rows {
		if len(r.Args) == 1 && r.Args[0].Kind == KList && len(r.Args[0].Args) == 2 {
			r = r.Args[0]
		}
		if len(r.Args) != 2 {
			var all []*Node
			for _, r := range rows {
				all = append(all, r.Args...)
			}
			return node(KList, all...)
		}
		args = append(args, r.Args...)
	}
	return node(KCases, args...)
}
