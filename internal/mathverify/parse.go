package mathverify

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// parser is a Pratt parser (Pratt, "Top Down Operator Precedence", 1973) with
// implicit multiplication.
type parser struct {
	toks   []token
	pos    int
	tex    bool
	depth  int
	bars   int  // open absolute-value bars
	inSet  bool // directly inside \{ \}, where | separates
	turned bool // directly inside ] [, where [ closes
	stop   int  // inside function arguments without parentheses
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

// replace puts other tokens in the place of the one at i.
func (p *parser) replace(i int, with ...token) { p.toks = slices.Replace(p.toks, i, i+1, with...) }

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

// Parse reads one answer. Input that is not mathematics becomes a KText node,
// so err is non-nil only for empty or oversized input and for broken
// mathematics that has no reading as words either.
func Parse(s string) (*Node, error) {
	if len(s) > maxInput {
		return nil, fmt.Errorf("%w: longer than %d bytes", errSyntax, maxInput)
	}
	toks, tex := lex(s)
	if len(toks) > maxTokens {
		return nil, fmt.Errorf("%w: longer than %d tokens", errSyntax, maxTokens)
	}
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
	p := &parser{toks: slices.Clone(toks), tex: tex}
	n, err := p.list()
	if err == nil && p.pos < len(p.toks) {
		err = p.fail("unexpected token")
	}
	if err == nil && n.Kind == KSet && len(n.Args) == 0 && len(toks) == 1 && toks[0].kind == tOp && toks[0].text == "{" {
		return nil, fmt.Errorf("%w: a stray brace", errSyntax)
	}
	if err != nil {
		if fixed, ok := balance(toks); ok && len(fixed) > 0 {
			q := &parser{toks: fixed, tex: tex}
			if n, err := q.list(); err == nil && q.pos >= len(q.toks) && (n.Kind != KSet || len(n.Args) > 0) {
				return n, nil
			}
		}
		if toks := statedAfterText(toks); toks != nil {
			q := &parser{toks: toks, tex: tex}
			if n, err := q.list(); err == nil && q.pos >= len(q.toks) {
				return n, nil
			}
		}
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
	for len(t) > 1 && t[0].kind == tRel && (t[0].text == "=" || t[0].text == "~") {
		t = t[1:] // "= 5", "approx 5"
	}
	for len(t) > 0 && t[0].kind == tOp && (t[0].text == ":" || t[0].text == "," || t[0].text == "." || t[0].text == "\\\\" ||
		t[0].text == "->" || t[0].text == "*" && len(t) > 1 && t[1].kind != tOp) {
		t = t[1:]
	}
	return t
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
		case "\\$", "€", "£", "¥", "₹":
			p.pos++
			return p.money(currencySigns[t.text], true)
		case "pm", "mp":
			p.pos++
			n, err := p.expr(bpNeg)
			if err != nil {
				return nil, err
			}
			return &Node{Kind: KPM, Name: t.text, Args: []*Node{n}}, nil
		}
	}
	if t.kind == tWord && p.peekAt(1).kind != tEOF {
		switch {
		case strings.EqualFold(t.text, "negative") || strings.EqualFold(t.text, "minus"):
			p.pos++
			n, err := p.expr(bpNeg)
			if err != nil {
				return nil, err
			}
			return negate(n), nil
		case currencyCodes[t.text] != "" && p.amountAt(1):
			p.pos++
			p.accept(".")
			return p.money(currencyCodes[t.text], false)
		}
	}
	return p.atom()
}

// amountAt reports a number n tokens ahead, after a point at most.
func (p *parser) amountAt(n int) bool {
	if t := p.peekAt(n); t.kind == tOp && t.text == "." {
		n++
	}
	return p.peekAt(n).kind == tNum
}

// money reads the amount after a currency sign: $5, $2 million, $3k, $4 per hour.
func (p *parser) money(currency string, sign bool) (*Node, error) {
	n, err := p.expr(bpNeg)
	if err != nil || n.Kind != KNum {
		return n, err
	}
	scale := scaleWords[strings.ToLower(strings.TrimSpace(p.peek().text))]
	if t := p.peek(); scale == 0 && t.kind == tWord && t.tight {
		scale = map[string]int64{"k": 1000, "K": 1000, "M": 1000000, "B": 1000000000, "bn": 1000000000}[t.text]
	}
	if scale != 0 {
		p.pos++
		n = ratNode(new(big.Rat).Mul(n.Rat, new(big.Rat).SetInt64(scale)))
	}
	name := currency
	if u, ok := p.unit(n); ok && u.Kind == KUnit {
		name = u.Name
		if k, known := parseUnit(u.Name); !known || !k.dim.money() {
			name = currency + " " + u.Name
		}
	}
	return &Node{Kind: KUnit, Name: name, Args: []*Node{n}, sign: sign && name == currency}, nil
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
		case "€", "£", "¥", "₹":
			if left.quantity() && p.peekAt(1).kind != tNum {
				p.pos++
				return &Node{Kind: KUnit, Name: currencySigns[t.text], Args: []*Node{left}, sign: true}, true, nil
			}
		}
	case tWord:
		switch w := strings.ToLower(t.text); {
		case w == "mod" && min <= bpMul:
			return p.binary(left, "mod", bpMul+1)
		case w == "choose" && min <= bpMul && left.quantity() && p.peekAt(1).kind == tNum:
			p.pos++
			k, err := p.atom()
			return fn("binomial", left, k), err == nil, err
		}
		if o := p.peekAt(1); t.text == "U" && isSet(left) && o.kind == tOp && min <= bpSetOp &&
			(o.text == "(" || o.text == "[" || o.text == "\\{" || o.text == "{" || o.text == "]") {
			return p.binary(left, "cup", bpSetOp+1) // (1, 2) U (3, 4)
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
			m, err := p.argument()
			if err != nil {
				return nil, false, err
			}
			return &Node{Kind: KApp, Name: "pmod", Args: []*Node{left, m}}, true, nil
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
	for more := op == "mod"; more && err == nil; { // a mod 2n is a mod (2n)
		var r *Node
		if r, more, err = p.implicit(right, bpMul); more && err == nil {
			right = r
		}
	}
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
		if isSet(left) && (right.Kind == KSet || right.Kind == KBuilder) {
			return &Node{Kind: KSetOp, Name: "setminus", Args: []*Node{left, right}}, true, nil
		}
		return extend(KAdd, left, negate(right)), true, nil
	case "*":
		if left.Kind == KNum && right.Kind == KMatrix {
			return node(KMul, left, right), true, nil
		}
		return extend(KMul, left, right), true, nil
	case "/":
		if left.Kind == KUnit { // km / h
			return nil, false, p.fail("a unit before /")
		}
		return node(KDiv, left, right), true, nil
	case "mod":
		return fn("mod", left, right), true, nil
	case "pm", "mp":
		return &Node{Kind: KPM, Name: op, Args: []*Node{left, right}}, true, nil
	}
	return &Node{Kind: KSetOp, Name: op, Args: []*Node{left, right}}, true, nil
}

// isSet reports what can be a set and no number.
func isSet(n *Node) bool {
	return n.Kind == KSet || n.Kind == KBuilder || n.Kind == KSetOp || n.Kind == KTuple && len(n.Args) == 2 || isNumberSet(n)
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
				case t.text == "}" && open[len(open)-1] != "}" && !slices.Contains(open, "}"):
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
