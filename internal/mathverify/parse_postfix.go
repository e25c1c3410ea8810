package mathverify

import (
	"math/big"
	"strconv"
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
		return primed(left), true, nil
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
	if p.primes() {
		n, err := p.applied(primed(left))
		return n, true, err
	}
	if p.ordinal(left) {
		return left, true, nil
	}
	e, err := p.exponent()
	if err != nil {
		return nil, false, err
	}
	return power(left, e), true, nil
}

// primes moves past ^\prime and ^{\prime}.
func (p *parser) primes() bool {
	if p.accept("'") {
		return true
	}
	if a, b := p.peekAt(1), p.peekAt(2); p.isOp("{") && a.kind == tOp && a.text == "'" && b.kind == tOp && b.text == "}" {
		p.pos += 3
		return true
	}
	return false
}

// primed adds a prime to a name.
func primed(n *Node) *Node {
	if n.Kind != KSym && n.Kind != KApp {
		return n
	}
	m := *n
	m.Name += "'"
	return &m
}

// ordinal moves past the raised letters of 12^{th}.
func (p *parser) ordinal(left *Node) bool {
	i := 0
	if p.isOp("{") {
		i = 1
	}
	t := p.peekAt(i)
	if left.Kind != KNum || t.kind != tWord && t.kind != tText {
		return false
	}
	switch t.text {
	case "st", "nd", "rd", "th":
		p.pos += 1 + 2*i
		return true
	}
	return false
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
	if t, o := p.peek(), p.peekAt(1); t.kind == tNum && o.kind == tOp && o.text == "_" { // v^2_0
		p.pos++
		return parseNumber(t.text)
	}
	return p.expr(bpPow) // right associative; takes a sign: x^-1
}

// degrees is the postfix degree sign, or a unit of temperature: 20 °C.
func (p *parser) degrees(left *Node) *Node {
	if t := p.peek(); t.kind == tWord || t.kind == tText {
		switch strings.ToLower(t.text) {
		case "c", "f", "celsius", "fahrenheit":
			p.pos++
			return &Node{Kind: KUnit, Name: "deg" + strings.ToUpper(t.text[:1]), Args: []*Node{left}}
		}
	}
	return node(KDegree, left)
}

func (p *parser) subscript(left *Node) (*Node, bool, error) {
	var sub *Node
	var err error
	name := ""
	if left.Kind == KPow { // v^2_0 is v_0^2
		if left.Args[0].Kind != KSym {
			return nil, false, p.fail("a subscript after a power")
		}
		base, _, err := p.subscript(left.Args[0])
		return node(KPow, base, left.Args[1]), true, err
	}
	if t := p.peek(); t.kind == tText {
		p.pos++
		name = t.text
	} else {
		start := p.pos
		if sub, err = p.argument(); err != nil {
			if name = p.nameAt(start); name == "" { // x_{\max}
				return nil, false, err
			}
			sub, err = nil, nil
		}
	}
	if b, ok := baseWord(name, sub); ok && left.Kind == KNum {
		sub = b
	}
	if sub != nil && left.Kind == KNum && sub.Kind == KNum {
		if n := inBase(left, sub); n != nil {
			return n, true, nil
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

// inBase reads the digits of a number in another base; nil where the base is none.
func inBase(left, base *Node) *Node {
	b := base.Rat.Num()
	if !base.Rat.IsInt() || !b.IsInt64() || b.Int64() < 2 || b.Int64() > 36 {
		return nil
	}
	whole, frac, _ := strings.Cut(left.Name, ".")
	v, ok := new(big.Int).SetString(whole+frac, int(b.Int64()))
	if !ok { // a digit that the base does not have: no number at all
		return &Node{Kind: KText, Name: left.Name + "_" + b.String()}
	}
	r := new(big.Rat).SetFrac(v, new(big.Int).Exp(b, big.NewInt(int64(len(frac))), nil))
	return &Node{Kind: KBase, Name: left.Name, Rat: r, Args: []*Node{base}}
}

// nameAt joins the tokens of the braced group at start and moves past it; "" when
// the group holds anything but names and numbers.
func (p *parser) nameAt(start int) string {
	if start >= len(p.toks) || p.toks[start].text != "{" {
		return ""
	}
	var b strings.Builder
	for i := start + 1; i < len(p.toks); i++ {
		switch t := p.toks[i]; {
		case t.kind == tOp && t.text == "}":
			p.pos = i + 1
			return b.String()
		case t.kind == tOp && t.text != ",", t.kind == tCmd, t.kind == tRel:
			return ""
		default:
			b.WriteString(t.text)
		}
	}
	return ""
}

// baseWord reads the base of a number from a word: 101_{\text{two}}.
func baseWord(name string, sub *Node) (*Node, bool) {
	if sub != nil && sub.Kind == KText {
		name = sub.Name
	}
	name = strings.TrimPrefix(strings.ToLower(strings.Trim(name, " .")), "base ")
	if n, ok := numberWords[name]; ok {
		return num(n), true
	}
	if n, err := strconv.ParseInt(name, 10, 32); err == nil {
		return num(n), true
	}
	return nil, false
}

// baseLiteral recognises a whole answer such as 1A3_{16}, whose digits the
// lexer would tear apart.
func baseLiteral(s string) *Node {
	s = strings.Trim(s, " $.")
	for prefix, base := range map[string]int64{"0x": 16, "0b": 2} {
		if digits, ok := strings.CutPrefix(s, prefix); ok && len(digits) <= 64 {
			if v, ok := new(big.Int).SetString(digits, int(base)); ok && v.Sign() >= 0 {
				return &Node{Kind: KBase, Name: digits, Rat: new(big.Rat).SetInt(v), Args: []*Node{num(base)}}
			}
		}
	}
	for _, w := range []string{`\text{`, `\mathrm{`, `\textrm{`, `\mathtt{`, `\texttt{`} {
		if t, ok := strings.CutPrefix(s, w); ok {
			if i := strings.IndexByte(t, '}'); i > 0 {
				s = t[:i] + t[i+1:]
			}
		}
	}
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
	if n, ok, err := p.numberPhrase(left, min); ok || err != nil {
		return n, ok, err
	}
	t := p.peek()
	if !p.startsAtom(t) || p.separator() {
		return nil, false, nil
	}
	if n := p.peekAt(1); t.kind == tWord && t.text == "x" && t.space && n.kind == tNum && n.space && left.quantity() && min <= bpMul {
		return p.binary(left, "*", bpMul+1) // 1.5 x 10^3
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
			u, ok := p.unit(r)
			if !ok {
				return nil, false, p.fail("a number without a unit after a unit")
			}
			return extend(KAdd, left, u), true, nil
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
		case "[": // [1, 2[ and ]1, 2[ end with it
			switch n := p.peekAt(1); {
			case p.turned || n.kind == tEOF:
				return false
			case n.kind == tOp:
				return n.text != "cup" && n.text != "cap" && n.text != "," && n.text != "setminus"
			}
			return true
		case "(", "{", "\\{", "lfloor", "lceil", "<<":
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
		return p.degrees(left), true
	case "degrees celsius", "degrees fahrenheit", "degree celsius", "degree fahrenheit":
		p.pos++
		return &Node{Kind: KUnit, Name: "deg" + strings.ToUpper(strings.Fields(w)[1][:1]), Args: []*Node{left}}, true
	case "if", "for", "when", "where", "otherwise", "mod":
		return nil, false
	}
	if w, ok := scaleWords[strings.ToLower(t.text)]; ok {
		p.pos++
		n := join(KMul, left, num(w))
		if left.Kind == KNum {
			n = ratNode(new(big.Rat).Mul(left.Rat, new(big.Rat).SetInt64(w)))
		}
		if u, ok := p.unit(n); ok { // 2 dozen eggs
			return u, true
		}
		return n, true
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
		case t.kind == tOp && t.text == "." && (p.peekAt(1).kind == tWord || p.peekAt(1).kind == tText): // sq. ft
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
	if w == "min" || w == "sec" { // units too, where no argument follows
		n := p.peekAt(1)
		return t.space && (n.kind == tEOF || n.kind == tOp && (n.text == "," || n.text == "/" || n.text == ";" || n.text == "^"))
	}
	if functions[w] != 0 || isGreek[w] || constants[w] != "" {
		return false
	}
	if len(w) == 1 {
		// A lone letter is a unit only after a space and at the end.
		if !t.space || t.tight || !unitLetters[w] || left.Kind != KNum {
			return false
		}
		n := p.peekAt(1)
		return n.kind == tEOF || n.kind == tNum || n.kind == tOp && (n.text == "^" || n.text == "," || n.text == "/")
	}
	if _, ok := oneUnit(w); ok || unitWords[strings.ToLower(w)] || scaleWords[strings.ToLower(w)] != 0 {
		return true
	}
	_, isProduct := split(w, p.tex)
	return !isProduct || t.space && !p.tex
}
