package mathverify

import (
	"sort"
	"strings"
)

// list reads elements separated by commas, semicolons, "and", "or" up to a
// closing bracket or the end.
func (p *parser) list() (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	first, err := p.relation()
	if err != nil {
		return nil, err
	}
	items := []*Node{first}
	word := ""
	var groups, words []int // where semicolons and words stand among commas
	commas := false
	for {
		sep := false
		for p.separator() {
			switch p.peek().text {
			case ";":
				groups = append(groups, len(items))
			case ",":
				commas = true
			}
			if w := strings.Trim(strings.ToLower(p.peek().text), " ,.;:"); w == "and" || w == "or" {
				word = w
				words = append(words, len(items))
			}
			p.pos++
			sep = true
		}
		if !sep {
			break
		}
		if p.closing() || p.peek().kind == tEOF {
			break
		}
		n, err := p.relation()
		if err != nil {
			return nil, err
		}
		items = append(items, n)
	}
	if len(items) == 1 {
		return first, nil
	}
	if n := pairs(items, groups); commas && n != nil {
		return n, nil
	}
	if items[0].Kind == KRel && commas { // x = 1, y = 2 or x = 3, y = 4
		if n := pairs(items, words); n != nil {
			return n, nil
		}
	}
	flat := items[:0:0]
	for _, it := range items {
		if it.Kind == KList {
			flat = append(flat, it.Args...)
		} else {
			flat = append(flat, it)
		}
	}
	return &Node{Kind: KList, Name: word, Args: flat}, nil
}

func (p *parser) separator() bool {
	t := p.peek()
	switch t.kind {
	case tOp:
		return t.text == "," || t.text == ";" || t.text == "and" || t.text == "or"
	case tWord, tText:
		switch strings.Trim(strings.ToLower(t.text), " ,.;:") {
		case "and", "or", "und", "et", "y":
			return t.kind == tText || len(t.text) > 1
		}
	}
	return false
}

func (p *parser) closing() bool {
	t := p.peek()
	if t.kind == tCmd {
		return strings.HasPrefix(t.text, "end:")
	}
	if t.kind != tOp {
		return false
	}
	switch t.text {
	case ")", "]", "}", "\\}", ">>", "rfloor", "rceil", "&", "\\\\":
		return true
	case "|":
		return p.bars > 0
	}
	return false
}

// relation reads expr (rel expr)*.
func (p *parser) relation() (*Node, error) {
	if p.wordAt(0) == "a" && (fractionWords[p.wordAt(1)] != 0 || scaleWords[p.wordAt(1)] != 0) { // a third, a dozen
		p.replace(p.pos, token{kind: tWord, text: "one", space: true})
	}
	p.skipFiller()
	first := p.functionLabel()
	if first == nil {
		var err error
		if first, err = p.expr(0); err != nil {
			return nil, err
		}
	}
	var args []*Node
	var ops []string
	for {
		t := p.peek()
		var op string
		switch {
		case t.kind == tRel:
			op = t.text
		case t.kind == tOp && t.text == "->" && p.depth < 3:
			op = "="
		default:
			if args == nil {
				return first, nil
			}
			return &Node{Kind: KRel, Args: args, Ops: ops}, nil
		}
		p.pos++
		p.skipFiller()
		n, err := p.expr(0)
		if err != nil {
			return nil, err
		}
		if p.accept("pmodDone") {
			continue
		}
		if args == nil {
			args = []*Node{first}
		}
		args = append(args, n)
		ops = append(ops, op)
	}
}

// functionLabel reads the left side of x(t) = ..., T(1) = ..., W_1(x, y) = ...: a
// letter with names or numbers in brackets before an equals sign names a value. It
// returns nil, and does not move, for anything else; x(2) and x(x) are products.
func (p *parser) functionLabel() *Node {
	t := p.peek()
	if t.kind != tWord || len(t.text) > 1 && !isGreek[t.text] || constants[t.text] != "" {
		return nil
	}
	i, name := 1, t.text
	for o := p.peekAt(i); o.kind == tOp && o.text == "'"; o = p.peekAt(i) {
		name += "'"
		i++
	}
	if o := p.peekAt(i); o.kind == tOp && o.text == "_" && (p.peekAt(i+1).kind == tNum || p.peekAt(i+1).kind == tWord) {
		name += "_" + p.peekAt(i+1).text
		i += 2
	}
	if o := p.peekAt(i); o.kind != tOp || o.text != "(" {
		return nil
	}
	variable := len(t.text) == 1 && t.text >= "x"
	var args []*Node
	for {
		a := p.peekAt(i + 1)
		switch {
		case a.kind == tNum && !variable:
			n, err := parseNumber(a.text)
			if err != nil {
				return nil
			}
			args = append(args, n)
		case a.kind == tWord && (len(a.text) == 1 || isGreek[a.text]) && a.text != t.text &&
			(!variable || strings.Contains("stunk", a.text) || a.text == "theta"):
			args = append(args, wordNode(a.text))
		default:
			return nil
		}
		if i += 2; p.peekAt(i).kind != tOp {
			return nil
		}
		if p.peekAt(i).text == ")" {
			break
		}
		if p.peekAt(i).text != "," {
			return nil
		}
	}
	if r := p.peekAt(i + 1); r.kind != tRel || r.text != "=" {
		return nil
	}
	p.pos += i + 1
	return &Node{Kind: KApp, Name: name, Args: args}
}

// skipFiller drops words such as "about" before an expression.
func (p *parser) skipFiller() {
	for {
		t := p.peek()
		if (t.kind == tWord || t.kind == tText) && p.peekAt(1).kind != tEOF && p.peekAt(1).kind != tRel &&
			allFiller(t.text) && !(t.kind == tWord && len(t.text) == 1) {
			p.pos++
			continue
		}
		return
	}
}

func allFiller(s string) bool {
	f := strings.Fields(strings.ToLower(s))
	for _, w := range f {
		if !fillerWords[strings.Trim(w, ",.:")] {
			return false
		}
	}
	return len(f) > 0
}

// ratio reads a : b (: c ...), a clock time among them.
func (p *parser) ratio(left *Node) (*Node, bool, error) {
	args := []*Node{left}
	for p.accept(":") {
		n, err := p.expr(bpRatio + 1)
		if err != nil {
			return nil, false, err
		}
		args = append(args, n)
	}
	if left.Kind == KText && len(args) == 2 { // Maximum: 3
		return &Node{Kind: KRel, Args: args, Ops: []string{"="}}, true, nil
	}
	r := node(KRatio, args...)
	if len(args) == 2 && args[0].Kind == KNum && args[1].Kind == KNum && len(args[1].Name) == 2 &&
		args[0].Rat.IsInt() && args[1].Rat.IsInt() {
		h, m := args[0].Rat.Num().Int64(), args[1].Rat.Num().Int64()
		if h >= 0 && h <= 24 && m >= 0 && m < 60 {
			r.Kind = KTime
			r = p.clock(r, h, m)
		}
	}
	return r, true, nil
}

// meridiem returns "am" or "pm" for the ways of writing them.
func meridiem(s string) string {
	if len(s) > 6 {
		return ""
	}
	switch strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(s), ".", ""), " ", "") {
	case "pm":
		return "pm"
	case "am":
		return "am"
	}
	return ""
}

// clock applies a.m. or p.m. to a clock time.
func (p *parser) clock(r *Node, h, m int64) *Node {
	t := p.peek()
	if t.kind != tWord && t.kind != tText {
		return r
	}
	switch meridiem(t.text) {
	case "pm":
		if h < 12 {
			h += 12
		}
	case "am":
		if h == 12 {
			h = 0
		}
	default:
		return r
	}
	p.pos++
	return &Node{Kind: KTime, Name: "abs", Args: []*Node{num(h), num(m)}}
}

// pairs groups "1,2; 3,4" into tuples; nil when there is nothing to group or
// the elements are relations, which a semicolon only separates.
func pairs(items []*Node, groups []int) *Node {
	if len(groups) == 0 {
		return nil
	}
	rels := 0
	for _, it := range items {
		if it.Kind == KTuple {
			return nil
		}
		if it.Kind == KRel {
			rels++
		}
	}
	if rels != 0 && rels != len(items) {
		return nil
	}
	var out []*Node
	start, names := 0, ""
	for _, g := range append(groups, len(items)) {
		if g-start < 2 {
			return nil
		}
		part := items[start:g:g]
		if rels > 0 { // p = 5, q = 2; p = 7, q = 2
			sorted, key := byName(part)
			if sorted == nil || start > 0 && key != names {
				return nil
			}
			part, names = sorted, key
		}
		out = append(out, &Node{Kind: KTuple, Name: "()", Args: part})
		start = g
	}
	return node(KList, out...)
}

// byName returns the values of assignments to different symbols in the order of
// the names, and the names; nil for anything else.
func byName(args []*Node) (values []*Node, names string) {
	sorted := append([]*Node(nil), args...)
	for _, a := range args {
		if a.Kind != KRel || len(a.Ops) != 1 || a.Ops[0] != "=" || a.Args[0].Kind != KSym {
			return nil, ""
		}
	}
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].Args[0].Name < sorted[j].Args[0].Name })
	for i, a := range sorted {
		if i > 0 && a.Args[0].Name == sorted[i-1].Args[0].Name {
			return nil, ""
		}
		values = append(values, a.Args[1])
		names += a.Args[0].Name + " "
	}
	return values, names
}
