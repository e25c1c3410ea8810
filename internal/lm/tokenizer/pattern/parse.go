package pattern

import (
	"errors"
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// errGeneral says that an expression is fine but needs the general engine.
var errGeneral = errors.New("needs the general engine")

const (
	maxDepth  = 50
	maxRepeat = 1000
	unlimited = int(^uint(0) >> 1)
)

type kind uint8

const (
	kindSet kind = iota
	kindGroup
	kindAhead
)

// item is one element of a sequence.
type item struct {
	kind       kind
	set        *set
	min, max   int
	possessive bool
	negative   bool // a lookahead that must fail
	alts       []sequence
}

type sequence []item

type parser struct {
	src   string
	at    int
	fold  bool
	depth int
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("offset %d: %s", p.at, fmt.Sprintf(format, args...))
}

func (p *parser) peek() (rune, bool) {
	if p.at >= len(p.src) {
		return 0, false
	}
	r, _ := utf8.DecodeRuneInString(p.src[p.at:])
	return r, true
}

func (p *parser) take() rune {
	r, n := utf8.DecodeRuneInString(p.src[p.at:])
	p.at += n
	return r
}

func (p *parser) eat(s string) bool {
	if len(p.src)-p.at >= len(s) && p.src[p.at:p.at+len(s)] == s {
		p.at += len(s)
		return true
	}
	return false
}

func (p *parser) choice() ([]sequence, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return nil, p.errorf("groups are nested more than %d deep", maxDepth)
	}
	var alts []sequence
	for {
		s, err := p.sequence()
		if err != nil {
			return nil, err
		}
		alts = append(alts, s)
		if !p.eat("|") {
			return alts, nil
		}
	}
}

func (p *parser) sequence() (sequence, error) {
	var out sequence
	for {
		r, ok := p.peek()
		if !ok || r == '|' || r == ')' {
			return out, nil
		}
		it, err := p.element()
		if err != nil {
			return nil, err
		}
		if err := p.repeat(&it); err != nil {
			return nil, err
		}
		// A group without alternatives or repeats is only its content.
		if it.kind == kindGroup && len(it.alts) == 1 && it.min == 1 && it.max == 1 && !it.possessive {
			out = append(out, it.alts[0]...)
			continue
		}
		out = append(out, it)
	}
}

func (p *parser) element() (item, error) {
	one := func(s *set) item { return item{kind: kindSet, set: s, min: 1, max: 1} }
	switch r := p.take(); r {
	case '(':
		return p.group()
	case '[':
		s, err := p.class()
		return one(s), err
	case '.':
		s := &set{negated: true}
		s.addRange('\n', '\n')
		return one(s), nil
	case '\\':
		s := &set{}
		_, err := p.escape(s)
		return one(s), err
	case '^', '$':
		return item{}, errGeneral
	case '*', '+', '?':
		return item{}, p.errorf("%q repeats nothing", r)
	default:
		s := &set{}
		p.literal(s, r)
		return one(s), nil
	}
}

// literal adds r, and under (?i) whatever is r in another case.
func (p *parser) literal(s *set, r rune) {
	s.addRange(r, r)
	if p.fold {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			s.addRange(f, f)
		}
	}
}

func (p *parser) group() (item, error) {
	it := item{kind: kindGroup, min: 1, max: 1}
	fold := p.fold
	switch {
	case p.eat("?:"):
	case p.eat("?i:"):
		p.fold = true
	case p.eat("?="):
		it.kind = kindAhead
	case p.eat("?!"):
		it.kind, it.negative = kindAhead, true
	case p.at < len(p.src) && p.src[p.at] == '?':
		return it, errGeneral
	}
	alts, err := p.choice()
	if err != nil {
		return it, err
	}
	if !p.eat(")") {
		return it, p.errorf("a group is not closed")
	}
	p.fold = fold
	it.alts = alts
	return it, nil
}

func (p *parser) repeat(it *item) error {
	r, ok := p.peek()
	if !ok {
		return nil
	}
	braces := false
	switch r {
	case '*':
		it.min, it.max = 0, unlimited
	case '+':
		it.min, it.max = 1, unlimited
	case '?':
		it.min, it.max = 0, 1
	case '{':
		save := p.at
		p.at++
		if !p.bounds(it) {
			p.at = save
			return errGeneral
		}
		braces = true
	default:
		return nil
	}
	if !braces {
		p.at++
	}
	if it.kind == kindAhead || (it.kind == kindGroup && (it.min != 0 || it.max != 1)) {
		return errGeneral
	}
	switch next, _ := p.peek(); next {
	case '?', '*', '{':
		return errGeneral
	case '+':
		if braces || it.kind != kindSet {
			return errGeneral
		}
		p.at++
		it.possessive = true
	}
	return nil
}

// bounds reads n}, n,} or n,m} behind a brace.
func (p *parser) bounds(it *item) bool {
	number := func() (int, bool) {
		from := p.at
		for p.at < len(p.src) && p.src[p.at] >= '0' && p.src[p.at] <= '9' {
			p.at++
		}
		n, err := strconv.Atoi(p.src[from:p.at])
		return n, err == nil && n <= maxRepeat
	}
	n, ok := number()
	if !ok {
		return false
	}
	it.min, it.max = n, n
	if p.eat(",") {
		it.max = unlimited
		if p.at < len(p.src) && p.src[p.at] != '}' {
			if it.max, ok = number(); !ok || it.max < it.min {
				return false
			}
		}
	}
	return p.eat("}")
}

// class reads what follows an opening bracket.
func (p *parser) class() (*set, error) {
	s := &set{}
	s.negated = p.eat("^")
	for first := true; ; first = false {
		r, ok := p.peek()
		switch {
		case !ok:
			return nil, p.errorf("a character class is not closed")
		case r == ']' && !first:
			p.at++
			return s, nil
		case r == '[', r == '&' && p.at+1 < len(p.src) && p.src[p.at+1] == '&':
			return nil, p.errorf("nested or intersected character classes are not supported")
		}
		p.at += utf8.RuneLen(r)
		low := r
		if r == '\\' {
			single, err := p.escape(s)
			if err != nil {
				return nil, err
			}
			if single < 0 {
				continue
			}
			low = single
		}
		if p.at+1 < len(p.src) && p.src[p.at] == '-' && p.src[p.at+1] != ']' {
			p.at++
			high := p.take()
			if high == '\\' {
				var err error
				if high, err = p.escape(&set{}); err != nil {
					return nil, err
				}
			}
			if high < low {
				return nil, p.errorf("range %q-%q is empty", low, high)
			}
			if p.fold {
				return nil, errGeneral
			}
			s.addRange(low, high)
			continue
		}
		p.literal(s, low)
	}
}

// escape reads what follows a backslash into s. It returns the character where it
// stands for a single one, else -1.
func (p *parser) escape(s *set) (rune, error) {
	if p.at >= len(p.src) {
		return 0, p.errorf("the expression ends in a backslash")
	}
	single := func(r rune) (rune, error) {
		p.literal(s, r)
		return r, nil
	}
	r := p.take()
	switch r {
	case 'n':
		return single('\n')
	case 'r':
		return single('\r')
	case 't':
		return single('\t')
	case 'f':
		return single('\f')
	case 'v':
		return single('\v')
	case 's', 'S':
		s.addTable(unicode.White_Space, r == 'S')
	case 'd', 'D':
		s.addTable(categories["Nd"], r == 'D')
	case 'w', 'W':
		s.addTable(word, r == 'W')
	case 'p', 'P':
		return -1, p.property(s, r == 'P')
	case 'x', 'u':
		return p.hex(s, r)
	default:
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return 0, errGeneral
		}
		return single(r)
	}
	return -1, nil
}

func (p *parser) hex(s *set, r rune) (rune, error) {
	n := 2
	if r == 'u' {
		n = 4
	}
	braced := p.eat("{")
	from := p.at
	for p.at < len(p.src) && (braced || p.at-from < n) && p.src[p.at] != '}' {
		p.at++
	}
	v, err := strconv.ParseUint(p.src[from:p.at], 16, 32)
	if err != nil || v > unicode.MaxRune || (braced && !p.eat("}")) {
		return 0, p.errorf("a character's number is malformed")
	}
	p.literal(s, rune(v))
	return rune(v), nil
}

func (p *parser) property(s *set, negated bool) error {
	name := ""
	if p.eat("{") {
		if p.eat("^") {
			negated = !negated
		}
		from := p.at
		for p.at < len(p.src) && p.src[p.at] != '}' {
			p.at++
		}
		name = p.src[from:p.at]
		if !p.eat("}") {
			return p.errorf("a property's name is not closed")
		}
	} else if p.at < len(p.src) {
		name = string(p.take())
	}
	for _, tables := range []map[string]*unicode.RangeTable{categories, unicode.Scripts, unicode.Properties} {
		if t, ok := tables[name]; ok {
			if p.fold {
				return errGeneral
			}
			s.addTable(t, negated)
			return nil
		}
	}
	return p.errorf("unknown property %q", name)
}
