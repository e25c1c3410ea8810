package mathverify

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// parser is a Pratt parser (Pratt, "Top Down Operator Precedence", 1973) with
// implicit multiplication.
type parser struct {
	toks  []token
	pos   int
	tex   bool
	depth int
	bars  int  // open absolute-value bars
	inSet bool // directly inside \{ \}, where | separates
	stop  int  // inside function arguments without parentheses
}

const maxDepth = 120

var errSyntax = errors.New("not a mathematical expression")

// binding powers, low to high
const (
	bpSetOp = 6
	bpRatio = 8
	bpAdd   = 10
	bpMul   = 20
	bpNeg   = 22
	bpPow   = 30
)

func (p *parser) peek() token {
	if p.pos < len(p.toks) {
		return p.toks[p.pos]
	}
	return token{}
}

func (p *parser) peekAt(n int) token {
	if p.pos+n < len(p.toks) {
		return p.toks[p.pos+n]
	}
	return token{}
}

func (p *parser) next() token {
	t := p.peek()
	p.pos++
	return t
}

func (p *parser) isOp(s string) bool {
	t := p.peek()
	return t.kind == tOp && t.text == s
}

func (p *parser) accept(s string) bool {
	if p.isOp(s) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) fail(what string) error {
	t := p.peek()
	if t.kind == tEOF {
		return fmt.Errorf("%w: %s at the end", errSyntax, what)
	}
	return fmt.Errorf("%w: %s at %q", errSyntax, what, t.text)
}

func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return fmt.Errorf("%w: nested too deeply", errSyntax)
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// Parse reads one answer. Input that is no mathematics becomes a KText node,
// so err is non-nil only for empty or oversized input and for broken
// mathematics that has no reading as words either.
func Parse(s string) (*Node, error) {
	if len(s) > maxInput {
		return nil, fmt.Errorf("%w: longer than %d bytes", errSyntax, maxInput)
	}
	toks, tex := lex(s)
	toks = trimToks(toks)
	if len(toks) == 0 {
		return nil, fmt.Errorf("%w: empty", errSyntax)
	}
	if n := baseLiteral(s); n != nil {
		return n, nil
	}
	if n := wholeText(toks); n != nil {
		return n, nil
	}
	p := &parser{toks: toks, tex: tex}
	n, err := p.list()
	if err == nil && p.pos < len(p.toks) {
		err = p.fail("unexpected token")
	}
	if err != nil {
		if n := proseText(s, toks); n != nil {
			return n, nil
		}
		return nil, err
	}
	return n, nil
}

// trimToks drops punctuation around the answer.
func trimToks(t []token) []token {
	for len(t) > 0 {
		l := t[len(t)-1]
		if l.kind == tOp && (l.text == "." || l.text == "," || l.text == ";" || l.text == ":" || l.text == "\\\\") {
			t = t[:len(t)-1]
			continue
		}
		break
	}
	for len(t) > 0 && t[0].kind == tOp && (t[0].text == ":" || t[0].text == "," || t[0].text == "." || t[0].text == "\\\\" ||
		t[0].text == "->" || t[0].text == "*" && len(t) > 1 && t[1].kind != tOp) {
		t = t[1:]
	}
	return t
}

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
	for {
		sep := false
		for p.separator() {
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

// expr is the Pratt loop.
func (p *parser) expr(min int) (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	left, err := p.prefix()
	if err != nil {
		return nil, err
	}
	for {
		n, more, err := p.infix(left, min)
		if err != nil {
			return nil, err
		}
		if !more {
			return left, nil
		}
		left = n
	}
}

func (p *parser) prefix() (*Node, error) {
	t := p.peek()
	if t.kind == tOp {
		switch t.text {
		case "-", "+":
			p.pos++
			n, err := p.expr(bpNeg)
			if err != nil || t.text == "+" {
				return n, err
			}
			return negate(n), nil
		case "pm", "mp":
			p.pos++
			n, err := p.expr(bpNeg)
			if err != nil {
				return nil, err
			}
			return &Node{Kind: KPM, Name: t.text, Args: []*Node{n}}, nil
		}
	}
	return p.atom()
}

func negate(n *Node) *Node {
	if n.Kind == KNum {
		m := *n
		m.Rat = new(big.Rat).Neg(n.Rat)
		if m.Name != "" {
			m.Name = "-" + m.Name
		}
		return &m
	}
	if n.Kind == KUnit || n.Kind == KPercent {
		return n.with(negate(n.Args[0]))
	}
	return node(KNeg, n)
}

// infix extends left by one operator if one with at least min binding power
// follows.
func (p *parser) infix(left *Node, min int) (*Node, bool, error) {
	t := p.peek()
	switch t.kind {
	case tOp:
		switch t.text {
		case "+", "-", "pm", "mp":
			if min > bpAdd {
				return nil, false, nil
			}
			return p.binary(left, t.text, bpAdd+1)
		case "*", "/":
			if min > bpMul {
				return nil, false, nil
			}
			return p.binary(left, t.text, bpMul+1)
		case "cup", "cap", "setminus":
			if min > bpSetOp {
				return nil, false, nil
			}
			return p.binary(left, t.text, bpSetOp+1)
		case ":":
			if min > bpRatio || p.inSet {
				return nil, false, nil
			}
			return p.ratio(left)
		case "^", "_", "!", "%", "'", "deg", "circ":
			return p.postfix(left, min)
		}
	case tWord:
		if w := strings.ToLower(t.text); w == "mod" && min <= bpMul {
			return p.binary(left, "mod", bpMul+1)
		}
	case tCmd:
		switch t.text {
		case "mod", "bmod":
			if min > bpMul {
				return nil, false, nil
			}
			return p.binary(left, "mod", bpMul+1)
		case "pmod":
			p.pos++
			if _, err := p.argument(); err != nil {
				return nil, false, err
			}
			return left, true, nil
		case "choose", "over":
			if min > 0 {
				return nil, false, nil
			}
			p.pos++
			r, err := p.expr(0)
			if err != nil {
				return nil, false, err
			}
			if t.text == "over" {
				return node(KDiv, left, r), true, nil
			}
			return fn("binomial", left, r), true, nil
		}
	}
	return p.implicit(left, min)
}

func (p *parser) binary(left *Node, op string, next int) (*Node, bool, error) {
	p.pos++
	right, err := p.expr(next)
	if err != nil {
		if op == "-" && p.peek().kind == tEOF { // a trailing dash is punctuation
			return nil, false, err
		}
		return nil, false, err
	}
	switch op {
	case "+":
		return extend(KAdd, left, right), true, nil
	case "-":
		return extend(KAdd, left, negate(right)), true, nil
	case "*":
		if left.Kind == KNum && right.Kind == KMatrix {
			return node(KMul, left, right), true, nil
		}
		return extend(KMul, left, right), true, nil
	case "/":
		if left.Kind == KUnit { // km / h
			return nil, false, p.fail("unit")
		}
		return node(KDiv, left, right), true, nil
	case "mod":
		return fn("mod", left, right), true, nil
	case "pm", "mp":
		return &Node{Kind: KPM, Name: op, Args: []*Node{left, right}}, true, nil
	}
	return &Node{Kind: KSetOp, Name: op, Args: []*Node{left, right}}, true, nil
}

// extend is join for a left side that only the parser holds: it grows in place,
// so that a long sum takes linear time.
func extend(k Kind, a, b *Node) *Node {
	if a.Kind == k {
		return &Node{Kind: k, Args: append(a.Args, b)}
	}
	return node(k, a, b)
}

// join flattens sums and products into one node.
func join(k Kind, a, b *Node) *Node {
	args := make([]*Node, 0, 4)
	if a.Kind == k {
		args = append(args, a.Args...)
	} else {
		args = append(args, a)
	}
	return node(k, append(args, b)...)
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
