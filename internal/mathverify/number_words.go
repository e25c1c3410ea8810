package mathverify

import (
	"math/big"
	"strings"
)

// wordAt is the word n tokens ahead in small letters; "" for anything else.
func (p *parser) wordAt(n int) string {
	if t := p.peekAt(n); t.kind == tWord || t.kind == tText {
		return strings.ToLower(strings.Trim(t.text, " .,"))
	}
	return ""
}

// parts returns n of the parts that a fraction word names: two thirds. Four and
// more quarters are coins.
func parts(n *Node, word string) (*Node, bool) {
	d := fractionWords[word]
	if n.Kind != KNum || !n.Rat.IsInt() || n.Dec > 0 || d == 0 ||
		strings.HasPrefix(word, "quarter") && n.Rat.Cmp(big.NewRat(4, 1)) >= 0 {
		return nil, false
	}
	return ratNode(new(big.Rat).Quo(n.Rat, big.NewRat(d, 1))), true
}

// numberPhrase reads what follows a number and changes it: two thirds, two and a
// half, 1 out of 5, one in five, 3 to 4, 10 per mille, 5 (five).
func (p *parser) numberPhrase(left *Node, min int) (*Node, bool, error) {
	if left.Kind != KNum || min > bpMul {
		return nil, false, nil
	}
	w := p.wordAt(0)
	if n, ok := parts(left, w); ok {
		p.pos++
		return n, true, nil
	}
	switch w {
	case "st", "nd", "rd", "th":
		if p.peek().tight { // 12th
			p.pos++
			return left, true, nil
		}
	case "base", "in base": // 101 base 2
		if t := p.peekAt(1); t.kind == tNum && left.Name != "" {
			if b, err := parseNumber(t.text); err == nil && b.Kind == KNum {
				if n := inBase(left, b); n != nil {
					p.pos += 2
					return n, true, nil
				}
			}
		}
	case "permille", "per mille":
		p.pos++
		return node(KDiv, left, num(1000)), true, nil
	case "per":
		if p.wordAt(1) == "mille" {
			p.pos += 2
			return node(KDiv, left, num(1000)), true, nil
		}
	case "and":
		if n := p.andPart(left); n != nil {
			return n, true, nil
		}
	case "out of", "in", "to", "out":
		i := 1
		if w == "out" {
			if p.wordAt(1) != "of" {
				return nil, false, nil
			}
			i = 2
		}
		if w == "in" && p.wordAt(1) == "base" {
			p.pos++
			n, ok, err := p.numberPhrase(left, min)
			if !ok {
				p.pos--
			}
			return n, ok, err
		}
		if t := p.peekAt(i); t.kind != tNum && !isNumberWord(p.wordAt(i)) {
			break
		}
		if w == "to" && min > bpRatio {
			return nil, false, nil
		}
		p.pos += i
		n, err := p.atom()
		if err != nil || n.Kind != KNum {
			return nil, false, p.fail("expected a number after " + w)
		}
		if w == "to" {
			return node(KRatio, left, n), true, nil
		}
		return node(KDiv, left, n), true, nil
	}
	if t := p.peek(); t.kind == tOp && t.text == "(" {
		return p.repeated(left)
	}
	return nil, false, nil
}

func isNumberWord(w string) bool { _, ok := numberWords[w]; return ok }

// andPart reads "and a half", "and three quarters" after an integer; nil and no
// move for anything else.
func (p *parser) andPart(left *Node) *Node {
	n := num(1)
	switch w := p.wordAt(1); {
	case w == "a" || w == "an":
	case isNumberWord(w):
		n = num(numberWords[w])
	default:
		return nil
	}
	f, ok := parts(n, p.wordAt(2))
	if !ok || !left.Rat.IsInt() {
		return nil
	}
	p.pos += 3
	if left.Rat.Sign() < 0 {
		f = negate(f)
	}
	return ratNode(f.Rat.Add(f.Rat, left.Rat))
}

// repeated reads a number that is said again in brackets, in words or in digits:
// 5 (five), five (5). Another number there is an error.
func (p *parser) repeated(left *Node) (*Node, bool, error) {
	if !isNumberWord(p.wordAt(1)) && (left.Name != "" || p.peekAt(1).kind != tNum) {
		return nil, false, nil
	}
	for i := 1; ; i++ { // nothing nested
		t := p.peekAt(i)
		if t.kind == tOp && t.text == ")" {
			break
		}
		if t.kind != tNum && t.kind != tWord && (t.kind != tOp || t.text != "-") {
			return nil, false, nil
		}
	}
	save := p.pos
	p.pos++
	n, err := p.expr(0)
	if err != nil || n.Kind != KNum || !p.accept(")") {
		p.pos = save
		return nil, false, nil
	}
	if n.Rat.Cmp(left.Rat) != 0 {
		return nil, false, p.fail("two numbers side by side")
	}
	return left, true, nil
}
