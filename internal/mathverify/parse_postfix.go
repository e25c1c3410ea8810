package mathverify

import (
	"math/big"
	"strings"
)

// postfix reads powers, subscripts, factorials, percent and degree signs.
func (p *parser) postfix(left *Node, min int) (*Node, bool, error) {
	t := p.peek()
	switch t.text {
	case "!":
		p.pos++
		return fn("factorial", left), true, nil
	case "%":
		p.pos++
		return node(KPercent, left), true, nil
	case "deg", "circ":
		p.pos++
		return p.degrees(left), true, nil
	case "'":
		p.pos++
		if left.Kind == KSym || left.Kind == KApp {
			m := *left
			m.Name += "'"
			return &m, true, nil
		}
		return left, true, nil
	case "_":
		p.pos++
		return p.subscript(left)
	}
	if min > bpPow {
		return nil, false, nil
	}
	p.pos++
	// 90^\circ, 90^{\circ}
	for _, open := range []int{0, 1} {
		if o := p.peekAt(open); o.kind == tOp && (o.text == "circ" || o.text == "deg") &&
			(open == 0 || p.isOp("{")) {
			p.pos += 1 + 2*open
			return p.degrees(left), true, nil
		}
	}
	if p.accept("'") {
		return left, true, nil
	}
	e, err := p.exponent()
	if err != nil {
		return nil, false, err
	}
	return power(left, e), true, nil
}

// power raises the last factor of a unit or function to e.
func power(base, e *Node) *Node {
	if base.Kind == KUnit {
		return &Node{Kind: KUnit, Name: base.Name + "^" + e.String(), Args: base.Args}
	}
	return node(KPow, base, e)
}

func (p *parser) exponent() (*Node, error) {
	if p.isOp("{") {
		return p.argument()
	}
	return p.expr(bpPow) // right associative; takes a sign: x^-1
}

// degrees is the postfix degree sign, or a unit of temperature: 20 °C.
func (p *parser) degrees(left *Node) *Node {
	if t := p.peek(); t.kind == tWord && (t.text == "C" || t.text == "F") {
		p.pos++
		return &Node{Kind: KUnit, Name: "deg" + t.text, Args: []*Node{left}}
	}
	return node(KDegree, left)
}

func (p *parser) subscript(left *Node) (*Node, bool, error) {
	var sub *Node
	var err error
	name := ""
	if t := p.peek(); t.kind == tText {
		p.pos++
		name = t.text
	} else {
		if sub, err = p.argument(); err != nil {
			return nil, false, err
		}
	}
	if sub != nil && left.Kind == KNum && sub.Kind == KNum && sub.Rat.IsInt() {
		if b := sub.Rat.Num(); b.IsInt64() && b.Int64() >= 2 && b.Int64() <= 36 {
			whole, frac, _ := strings.Cut(left.Name, ".")
			if v, ok := new(big.Int).SetString(whole+frac, int(b.Int64())); ok {
				r := new(big.Rat).SetFrac(v, new(big.Int).Exp(b, big.NewInt(int64(len(frac))), nil))
				return &Node{Kind: KBase, Name: left.Name, Rat: r, Args: []*Node{sub}}, true, nil
			}
			// A digit that the base does not have: no number at all.
			return &Node{Kind: KText, Name: left.Name + "_" + b.String()}, true, nil
		}
	}
	if left.Kind == KNum {
		return nil, false, p.fail("the subscript is not a base")
	}
	if left.Kind != KSym && left.Kind != KConst && left.Kind != KText {
		return left, true, nil
	}
	if sub != nil {
		if sub.Kind == KMul && nameLike(sub) { // S_{ABC}
			for _, a := range sub.Args {
				name += a.Name
			}
			return &Node{Kind: KSym, Name: left.Name + "_" + name}, true, nil
		}
		if sub.Kind != KNum && sub.Kind != KText {
			return &Node{Kind: KApp, Name: left.Name + "_", Args: []*Node{sub}}, true, nil
		}
		name = sub.Name
	}
	if name == "" && sub != nil {
		name = sub.String()
	}
	return &Node{Kind: KSym, Name: left.Name + "_" + name}, true, nil
}

// baseLiteral recognises a whole answer such as 1A3_{16}, whose digits the
// lexer would tear apart.
func baseLiteral(s string) *Node {
	s = strings.Trim(s, " $.")
	i := strings.IndexByte(s, '_')
	if i < 1 || i > 64 || strings.ContainsAny(s[:i], "\\{}() +-*/^.") {
		return nil
	}
	letters := false
	for _, c := range s[:i] {
		switch {
		case c >= '0' && c <= '9':
		case c >= 'A' && c <= 'Z':
			letters = true
		default:
			return nil
		}
	}
	base, ok := new(big.Int).SetString(strings.Trim(s[i+1:], "{} "), 10)
	if !letters || !ok || !base.IsInt64() || base.Int64() < 11 || base.Int64() > 36 || s[0] > '9' && i == 1 {
		return nil
	}
	v, ok := new(big.Int).SetString(s[:i], int(base.Int64()))
	if !ok {
		return nil
	}
	return &Node{Kind: KBase, Name: s[:i], Rat: new(big.Rat).SetInt(v), Args: []*Node{num(base.Int64())}}
}

// implicit reads a factor that stands directly after left: 2x, (a)(b),
// 3 apples, 1 1/2.
func (p *parser) implicit(left *Node, min int) (*Node, bool, error) {
	t := p.peek()
	if !p.startsAtom(t) || p.separator() {
		return nil, false, nil
	}
	if meridiem(t.text) != "" && t.kind != tNum {
		if left.Kind == KNum && left.Dec == 0 && left.Rat.IsInt() && left.Rat.Num().IsInt64() &&
			left.Rat.Num().Int64() >= 1 && left.Rat.Num().Int64() <= 12 && min <= bpMul &&
			!(p.pos > 1 && p.toks[p.pos-2].kind == tOp && p.toks[p.pos-2].text == ":") {
			h := left.Rat.Num().Int64()
			return p.clock(node(KTime, left, num(0)), h, 0), true, nil // 9 a.m.
		}
		return nil, false, nil
	}
	if min < bpPow && (t.kind == tNum || t.kind == tCmd && t.text == "frac") {
		if m, ok := p.mixed(left); ok {
			return m, true, nil
		}
	}
	if min > bpMul {
		return nil, false, nil
	}
	if t.kind == tNum && left.Kind == KNum {
		return nil, false, p.fail("two numbers side by side")
	}
	if n, ok := p.unit(left); ok {
		return n, true, nil
	}
	if t.kind == tText && left.Kind != KText {
		return nil, false, p.fail("words after an expression")
	}
	if left.Kind == KUnit || left.Kind == KAdd && left.Args[len(left.Args)-1].Kind == KUnit && t.kind == tNum {
		if t.kind == tNum { // 5 feet 3 inches
			r, err := p.atom()
			if err != nil {
				return nil, false, err
			}
			if u, ok := p.unit(r); ok {
				r = u
			}
			return extend(KAdd, left, r), true, nil
		}
		return nil, false, p.fail("expression after a unit")
	}
	right, err := p.expr(bpMul + 1)
	if err != nil {
		return nil, false, err
	}
	return extend(KMul, left, right), true, nil
}

// startsAtom reports whether t can begin a factor.
func (p *parser) startsAtom(t token) bool {
	switch t.kind {
	case tNum, tWord, tText:
		return true
	case tCmd:
		return !strings.HasPrefix(t.text, "end:")
	case tOp:
		switch t.text {
		case "(", "[", "{", "\\{", "lfloor", "lceil", "<<":
			return true
		case "|", "||":
			return p.bars == 0 && !p.inSet
		}
	}
	return false
}

// mixed reads the fraction of a mixed number after the integer left.
func (p *parser) mixed(left *Node) (*Node, bool) {
	if left.Kind != KNum || !left.Rat.IsInt() || left.Dec > 0 {
		return nil, false
	}
	save := p.pos
	var frac *big.Rat
	if t := p.next(); t.kind == tNum {
		if p.isOp("/") && p.peekAt(1).kind == tNum {
			a, ok1 := new(big.Int).SetString(t.text, 10)
			b, ok2 := new(big.Int).SetString(p.peekAt(1).text, 10)
			if ok1 && ok2 && b.Sign() > 0 && t.space {
				frac = new(big.Rat).SetFrac(a, b)
				p.pos += 2
			}
		}
	} else if a, err := p.fracArg(); err == nil {
		if b, err := p.fracArg(); err == nil && a.Kind == KNum && b.Kind == KNum &&
			a.Rat.IsInt() && b.Rat.IsInt() && a.Rat.Sign() > 0 && b.Rat.Sign() > 0 {
			frac = new(big.Rat).Quo(a.Rat, b.Rat)
		}
	}
	if frac == nil {
		p.pos = save
		return nil, false
	}
	if left.Rat.Sign() < 0 || strings.HasPrefix(left.Name, "-") {
		frac.Neg(frac)
	}
	return ratNode(frac.Add(frac, left.Rat)), true
}

// unit reads the words after a quantity: 5 cm^2, 12 square units, 28 percent.
func (p *parser) unit(left *Node) (*Node, bool) {
	t := p.peek()
	if t.kind != tText && t.kind != tWord || !left.quantity() {
		return nil, false
	}
	if t.kind == tWord {
		if !p.unitWord(left, t) {
			return nil, false
		}
	}
	switch w := strings.Trim(strings.ToLower(t.text), " ."); w {
	case "percent", "pct", "per cent", "percents":
		p.pos++
		return node(KPercent, left), true
	case "degrees", "degree", "deg":
		p.pos++
		return node(KDegree, left), true
	case "if", "for", "when", "where", "otherwise", "mod":
		return nil, false
	}
	if w, ok := scaleWords[strings.ToLower(t.text)]; ok {
		p.pos++
		return join(KMul, left, num(w)), true
	}
	var b strings.Builder
	loose := t.kind == tWord && len(t.text) == 1
	for {
		t := p.peek()
		switch {
		case p.separator():
		case t.kind == tText || t.kind == tWord:
			if b.Len() > 0 && !strings.HasSuffix(b.String(), "/") {
				b.WriteByte(' ')
			}
			b.WriteString(strings.Trim(t.text, " ,;"))
			p.pos++
			continue
		case t.kind == tOp && t.text == "^" && p.unitPower(&b):
			continue
		case t.kind == tOp && (t.text == "/" || t.text == "*") && (p.peekAt(1).kind == tWord || p.peekAt(1).kind == tText):
			b.WriteString(t.text)
			p.pos++
			continue
		case t.kind == tOp && t.text == "-" && p.peekAt(1).kind == tWord && len(p.peekAt(1).text) > 1:
			b.WriteByte(' ')
			p.pos++
			continue
		case t.kind == tOp && (t.text == "(" || t.text == ")") && p.parenWords(&b):
			continue
		}
		break
	}
	return &Node{Kind: KUnit, Name: b.String(), Args: []*Node{left}, loose: loose}, true
}

// unitWords are units after a number, whatever letters they consist of.
var unitWords = map[string]bool{"percent": true, "pct": true, "percents": true, "degrees": true, "degree": true}

// parenWords skips "(s)" and similar remarks after a unit.
func (p *parser) parenWords(b *strings.Builder) bool {
	if !p.isOp("(") || p.peekAt(1).kind != tWord && p.peekAt(1).kind != tText {
		return false
	}
	for j := 1; ; j++ {
		t := p.peekAt(j)
		if t.kind == tOp && t.text == ")" {
			p.pos += j + 1
			return true
		}
		if t.kind != tWord && t.kind != tText {
			return false
		}
	}
}

func (p *parser) unitPower(b *strings.Builder) bool {
	j := 1
	if o := p.peekAt(1); o.kind == tOp && o.text == "{" {
		j = 2
	}
	sign := ""
	if o := p.peekAt(j); o.kind == tOp && o.text == "-" {
		sign = "-"
		j++
	}
	n := p.peekAt(j)
	if n.kind != tNum {
		return false
	}
	if o := p.peekAt(1); o.kind == tOp && o.text == "{" {
		j++
	}
	b.WriteString("^" + sign + n.text)
	p.pos += j + 1
	return true
}

// quantity reports an expression that a unit may follow: it holds a number and
// no free symbols.
func (n *Node) quantity() bool {
	found := false
	ok := n.walk(func(m *Node) bool {
		switch m.Kind {
		case KNum, KBase, KTime:
			found = true
		case KConst:
			found = true
		case KSym, KText, KApp, KMatrix, KTuple, KSet, KList, KRel, KUnit:
			return false
		}
		return true
	})
	return ok && found
}

// unitWord decides whether the word t after left is a unit or noun rather
// than a factor.
func (p *parser) unitWord(left *Node, t token) bool {
	w := t.text
	if functions[w] != 0 || isGreek[w] || constants[w] != "" {
		return false
	}
	if len(w) == 1 {
		// A lone letter is a unit only after a space and at the end.
		if !t.space || t.tight || !unitLetters[w] || left.Kind != KNum {
			return false
		}
		n := p.peekAt(1)
		return n.kind == tEOF || n.kind == tOp && (n.text == "^" || n.text == "," || n.text == "/")
	}
	if _, ok := units[w]; ok || unitWords[strings.ToLower(w)] || scaleWords[strings.ToLower(w)] != 0 {
		return true
	}
	_, isProduct := split(w, p.tex)
	return !isProduct || t.space && !p.tex
}
