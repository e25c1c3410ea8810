package mathverify

import (
	"math/big"
	"strconv"
	"strings"
)

func (p *parser) atom() (*Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	t := p.peek()
	switch t.kind {
	case tNum:
		p.pos++
		return parseNumber(t.text)
	case tWord:
		return p.word()
	case tText:
		p.pos++
		return textNode(t.text), nil
	case tCmd:
		return p.command()
	case tOp:
		return p.bracket()
	}
	return nil, p.fail("expected a number or expression")
}

// parseNumber reads a literal as the lexer writes it: digits, optional
// fraction, "~" before repeating digits ("~" after them too where dots say so:
// such a number is a decimal as well), optional exponent.
func parseNumber(s string) (*Node, error) {
	lit := s
	exp := 0
	if i := strings.IndexByte(s, 'e'); i >= 0 {
		for _, c := range s[i+1:] {
			if c >= '0' && c <= '9' {
				exp = min(exp*10+int(c-'0'), 1<<20)
			}
		}
		if i+1 == len(s) {
			return nil, errSyntax
		}
		if s[i+1] == '-' {
			exp = -exp
		}
		s = s[:i]
	}
	rep, endless := "", false
	if i := strings.IndexByte(s, '~'); i >= 0 {
		s, rep = s[:i], s[i+1:]
		rep, endless = strings.CutSuffix(rep, "~")
	}
	whole, frac := s, ""
	if i := strings.IndexByte(s, '.'); i >= 0 {
		whole, frac = s[:i], s[i+1:]
	}
	v, ok := new(big.Int).SetString("0"+whole+frac, 10)
	if !ok {
		return nil, errSyntax
	}
	r := new(big.Rat).SetFrac(v, pow10(len(frac)))
	if rep != "" {
		n, _ := new(big.Int).SetString(rep, 10)
		d := new(big.Int).Sub(pow10(len(rep)), big.NewInt(1))
		d.Mul(d, pow10(len(frac)))
		r.Add(r, new(big.Rat).SetFrac(n, d))
		if !endless {
			frac = ""
		}
	}
	if exp > 1000 || exp < -1000 {
		e := node(KPow, num(10), num(int64(exp)))
		return node(KMul, ratNode(r), e), nil
	}
	if exp > 0 {
		r.Mul(r, new(big.Rat).SetInt(pow10(exp)))
	} else if exp < 0 {
		r.Quo(r, new(big.Rat).SetInt(pow10(-exp)))
	}
	n := &Node{Kind: KNum, Rat: r, Name: lit}
	if frac != "" {
		n.Dec = max(0, len(frac)-exp)
		n.Sig = len(strings.TrimLeft(whole+frac, "0"))
	}
	return n, nil
}

func pow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

func wordNode(w string) *Node {
	if c, ok := constants[w]; ok {
		if c == "emptyset" {
			return node(KSet)
		}
		return &Node{Kind: KConst, Name: c}
	}
	return &Node{Kind: KSym, Name: w}
}

// word reads a name: function application, constant, symbol, product of
// letters, number word or plain text.
func (p *parser) word() (*Node, error) {
	t := p.next()
	w := t.text
	if functions[w] != 0 {
		return p.function(w)
	}
	if _, ok := constants[w]; ok || len(w) == 1 || isGreek[w] {
		return p.applied(wordNode(w))
	}
	low := strings.ToLower(w)
	if n, ok := numberWords[low]; ok {
		return p.numberWords(n)
	}
	if low == "half" {
		switch p.wordAt(0) {
		case "a", "an", "of":
			p.pos++
		case "":
		default:
			return &Node{Kind: KText, Name: w}, nil
		}
		return ratNode(big.NewRat(1, 2)), nil
	}
	if s, ok := scaleWords[low]; ok { // a hundred, a dozen
		return num(s), nil
	}
	parts, ok := split(w, p.tex || p.peek().kind == tRel)
	if !ok || p.stop == 0 && !p.tex && len(w) > 2 && p.pos == len(p.toks) && p.pos == 1 {
		return &Node{Kind: KText, Name: w}, nil
	}
	// Put the parts back as separate words, so that sin in "sinx" finds its
	// argument and f in "xf(x)" its brackets.
	split := make([]token, len(parts))
	for i, s := range parts {
		split[i] = token{kind: tWord, text: s, space: i == 0 && t.space}
	}
	p.pos--
	p.replace(p.pos, split...)
	return p.word()
}

// applied reads f(x) as an application for the usual function letters.
func (p *parser) applied(n *Node) (*Node, error) {
	if n.Kind != KSym || !p.isOp("(") && !p.isOp("'") {
		return n, nil
	}
	switch n.Name {
	case "f", "g", "h", "F", "G", "H", "phi", "psi", "Phi", "Psi", "varphi", "O", "Theta", "Gamma", "P", "Y":
	default:
		return n, nil
	}
	m := *n
	for p.accept("'") {
		m.Name += "'"
	}
	if !p.isOp("(") {
		return &m, nil
	}
	p.pos++
	arg, err := p.list()
	if err != nil {
		return nil, err
	}
	if !p.accept(")") {
		return nil, p.fail("expected )")
	}
	args := []*Node{arg}
	if arg.Kind == KList {
		args = arg.Args
	}
	return &Node{Kind: KApp, Name: m.Name, Args: args}, nil
}

// numberWords reads "twenty five", "three hundred", "nine point eight",
// "three-fourths".
func (p *parser) numberWords(v int64) (*Node, error) {
	total := int64(0)
	for {
		t := p.peek()
		if t.kind == tOp && t.text == "-" && p.peekAt(1).kind == tWord {
			if n, ok := numberWords[strings.ToLower(p.peekAt(1).text)]; ok && n < 10 && v%10 == 0 && v >= 20 {
				p.pos += 2
				v += n
				continue
			}
		}
		if t.kind != tWord {
			break
		}
		low := strings.ToLower(t.text)
		if low == "and" && (v > 0 && v%100 == 0 || v == 0 && total > 0) && isNumberWord(p.wordAt(1)) && numberWords[p.wordAt(1)] > 0 {
			p.pos++ // one hundred and five
			continue
		}
		if n, ok := numberWords[low]; ok && (v%100 == 0 || n < 10 && v%10 == 0 && v%100 >= 20) {
			p.pos++
			v += n
			continue
		}
		if s, ok := scaleWords[low]; ok && v < 1000000 {
			p.pos++
			if v *= s; s >= 1000 {
				total, v = total+v, 0
			}
			continue
		}
		break
	}
	n := num(total + v)
	if p.wordAt(0) == "point" && isNumberWord(p.wordAt(1)) {
		digits := strconv.FormatInt(total+v, 10) + "."
		for p.pos++; isNumberWord(p.wordAt(0)) && numberWords[p.wordAt(0)] < 10; p.pos++ {
			digits += strconv.FormatInt(numberWords[p.wordAt(0)], 10)
		}
		return parseNumber(digits)
	}
	if t := p.peek(); t.kind == tOp && t.text == "-" {
		if f, ok := parts(n, p.wordAt(1)); ok {
			p.pos += 2
			return f, nil
		}
	}
	return n, nil
}

// argument reads the argument of a command: a braced group, or one token.
func (p *parser) argument() (*Node, error) {
	if !p.isOp("{") {
		t := p.peek()
		if t.kind == tOp && (t.text == "-" || t.text == "+") {
			p.pos++
			n, err := p.atom()
			if err != nil || t.text == "+" {
				return n, err
			}
			return negate(n), nil
		}
		return p.atomOnly()
	}
	p.pos++
	bars, set := p.bars, p.inSet
	p.bars, p.inSet = 0, false
	n, err := p.list()
	p.bars, p.inSet = bars, set
	if err != nil {
		return nil, err
	}
	if !p.accept("}") {
		return nil, p.fail("expected }")
	}
	return n, nil
}

// atomOnly reads one atom; of a run of letters it takes one: \sqrt ab is
// sqrt(a) b.
func (p *parser) atomOnly() (*Node, error) {
	if t := p.peek(); t.kind == tWord && functions[t.text] == 0 && constants[t.text] == "" && !isGreek[t.text] && len(t.text) > 1 && p.tex {
		p.replace(p.pos, token{kind: tWord, text: t.text[:1]}, token{kind: tWord, text: t.text[1:]})
		p.pos++
		return wordNode(t.text[:1]), nil
	}
	return p.atom()
}

// fracArg is argument, except that a bare number gives only its first digit:
// \frac12 is one half.
func (p *parser) fracArg() (*Node, error) {
	t := p.peek()
	// What follows must be a number by itself: of 1.5, 1e5 and 0.~3 nothing is split off.
	if t.kind == tNum && len(t.text) > 1 && t.text[1] >= '0' && t.text[1] <= '9' {
		p.replace(p.pos, token{kind: tNum, text: t.text[1:], tight: t.tight})
		return parseNumber(t.text[:1])
	}
	return p.argument()
}

func (p *parser) command() (*Node, error) {
	t := p.next()
	switch t.text {
	case "frac":
		a, err := p.fracArg()
		if err != nil {
			return nil, err
		}
		b, err := p.fracArg()
		if err != nil {
			return nil, err
		}
		if n := derivative(a, b); n != nil {
			return p.derivative(n)
		}
		return node(KDiv, a, b), nil
	case "sqrt":
		return p.root()
	case "binom":
		a, err := p.fracArg()
		if err != nil {
			return nil, err
		}
		b, err := p.fracArg()
		if err != nil {
			return nil, err
		}
		return fn("binomial", a, b), nil
	case "boxed", "overline", "bar", "vec", "hat", "widehat", "overrightarrow", "underline", "mathcal", "dot",
		"tilde", "mathfrak", "overbrace", "underbrace":
		return p.argument()
	case "mathbb":
		return p.numberSet()
	case "sum", "prod":
		return p.bigOp(t.text)
	case "int":
		return p.integral()
	case "lim":
		return p.limit()
	}
	if strings.HasPrefix(t.text, "begin:") {
		return p.environment(t.text[6:])
	}
	p.pos--
	return nil, p.fail("unexpected command")
}

func (p *parser) numberSet() (*Node, error) {
	n, err := p.argument()
	if err != nil {
		return nil, err
	}
	names := map[string]string{"R": "Reals", "Z": "Integers", "N": "Naturals", "Q": "Rationals", "C": "Complexes"}
	if s := names[n.Name]; s != "" && n.Kind == KSym {
		return &Node{Kind: KSym, Name: s}, nil
	}
	return n, nil
}

func (p *parser) root() (*Node, error) {
	var index *Node
	var err error
	if p.accept("[") {
		if index, err = p.list(); err != nil {
			return nil, err
		}
		if !p.accept("]") {
			return nil, p.fail("expected ]")
		}
	}
	arg, err := p.argument()
	if err != nil {
		return nil, err
	}
	if arg.Kind == KList {
		return nil, p.fail("list under a root")
	}
	if index != nil {
		return fn("root", arg, index), nil
	}
	return fn("sqrt", arg), nil
}
