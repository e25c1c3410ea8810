package mathverify

import (
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
	var groups []int // where semicolons stand among commas
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
	p.skipFiller()
	first, err := p.expr(0)
	if err != nil {
		return nil, err
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
	for _, it := range items {
		if it.Kind == KRel || it.Kind == KTuple {
			return nil
		}
	}
	var out []*Node
	start := 0
	for _, g := range append(groups, len(items)) {
		if g-start < 2 {
			return nil
		}
		out = append(out, &Node{Kind: KTuple, Name: "()", Args: items[start:g:g]})
		start = g
	}
	return node(KList, out...)
}
