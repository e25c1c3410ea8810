package pattern

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// Pattern is a compiled expression. It may be used from several goroutines.
type Pattern struct {
	src   string
	alts  []sequence
	first [utf8.RuneSelf][]int // alternatives that can begin with an ASCII character
	all   []int
	slow  *regexp2.Regexp // for what the tables do not cover
}

// slowLimit bounds one search of the general engine, which can take exponential
// time on a malicious expression.
const slowLimit = 10 * time.Second

// slowPerByte is what all searches of a text together may take for each of its bytes,
// besides slowLimit. The general engine takes about a microsecond.
const slowPerByte = 50 * time.Microsecond

// Compile reads an expression. The error names the offset in it.
func Compile(src string) (*Pattern, error) {
	if !utf8.ValidString(src) {
		return nil, errors.New("the expression is not UTF-8")
	}
	p := parser{src: src}
	alts, err := p.choice()
	if err == nil && p.at < len(src) {
		err = p.errorf("a group is closed that was not opened")
	}
	switch {
	case errors.Is(err, errGeneral):
		return compileSlow(src)
	case err != nil:
		return nil, err
	}
	out := &Pattern{src: src}
	// A leading choice is the same as alternatives of the whole.
	for _, a := range alts {
		if len(a) == 1 && a[0].kind == kindGroup && a[0].min == 1 {
			out.alts = append(out.alts, a[0].alts...)
			continue
		}
		out.alts = append(out.alts, a)
	}
	freeze(out.alts)
	for i, a := range out.alts {
		out.all = append(out.all, i)
		for c := range out.first {
			if canStart(a, c) {
				out.first[c] = append(out.first[c], i)
			}
		}
	}
	return out, nil
}

func compileSlow(src string) (*Pattern, error) {
	// In the syntax these files use, ^ and $ hold at every line.
	re, err := regexp2.Compile(src, regexp2.Unicode|regexp2.Multiline)
	if err != nil {
		return nil, err
	}
	re.MatchTimeout = slowLimit
	return &Pattern{src: src, slow: re}, nil
}

func freeze(alts []sequence) {
	for _, a := range alts {
		for _, it := range a {
			if it.set != nil {
				it.set.freeze()
			}
			freeze(it.alts)
		}
	}
}

// canStart reports whether a sequence may match something that begins with c; it
// errs on the side of true.
func canStart(s sequence, c int) bool {
	for _, it := range s {
		if it.kind != kindSet || it.set.ascii[c] {
			return true
		}
		if it.min > 0 {
			return false
		}
	}
	return true
}

// String returns the expression.
func (p *Pattern) String() string { return p.src }

// Fast reports whether the tables cover the expression.
func (p *Pattern) Fast() bool { return p.slow == nil }

// Each calls hit with the bounds of every match in text, leftmost first, none
// overlapping another, none empty.
func (p *Pattern) Each(text string, hit func(start, end int)) error {
	if p.slow != nil {
		return p.eachSlow(text, hit)
	}
	m := matcher{text: text, budget: budgetPerByte*len(text) + budgetPerByte}
	for at := 0; at < len(text); {
		alts := p.all
		size := 1
		if c := text[at]; c < utf8.RuneSelf {
			alts = p.first[c]
		} else {
			_, size = utf8.DecodeRuneInString(text[at:])
		}
		end := -1
		for _, i := range alts {
			if end = m.match(p.alts[i], nil, at); end >= 0 {
				break
			}
		}
		if m.budget < 0 {
			return fmt.Errorf("the expression backtracks too much on a text of %d bytes", len(text))
		}
		if end <= at {
			at += size
			continue
		}
		hit(at, end)
		at = end
	}
	return nil
}

func (p *Pattern) eachSlow(text string, hit func(start, end int)) error {
	// regexp2 counts code points.
	starts := make([]int, 0, len(text)+1)
	for i := range text {
		starts = append(starts, i)
	}
	starts = append(starts, len(text))
	begun, most := time.Now(), p.slow.MatchTimeout+time.Duration(len(text))*slowPerByte
	m, err := p.slow.FindStringMatch(text)
	for ; m != nil && err == nil; m, err = p.slow.FindNextMatch(m) {
		if time.Since(begun) > most {
			return fmt.Errorf("the expression takes more than %s for a text of %d bytes", most, len(text))
		}
		if m.Length > 0 {
			hit(starts[m.Index], starts[m.Index+m.Length])
		}
	}
	return err
}

// budgetPerByte bounds the steps of a search, so that an expression made to
// backtrack ends in an error. The ones in use take under ten.
const budgetPerByte = 2000

type matcher struct {
	text   string
	budget int
}

// rest is what must match behind a group.
type rest struct {
	items sequence
	next  *rest
}

// match matches a sequence and then what is left of the ones around it at a
// position, and returns where that ends, or -1.
func (m *matcher) match(s sequence, after *rest, at int) int {
	for {
		for len(s) == 0 {
			if after == nil {
				return at
			}
			s, after = after.items, after.next
		}
		it := &s[0]
		s = s[1:]
		if m.budget--; m.budget < 0 {
			return -1
		}
		switch it.kind {
		case kindAhead:
			ok := false
			for _, a := range it.alts {
				if m.match(a, nil, at) >= 0 {
					ok = true
					break
				}
			}
			if ok == it.negative {
				return -1
			}
		case kindGroup:
			for _, a := range it.alts {
				if end := m.match(a, &rest{s, after}, at); end >= 0 {
					return end
				}
			}
			if it.min > 0 {
				return -1
			}
		default:
			end, count := at, 0
			for count < it.max {
				next := it.set.eat(m.text, end)
				if next < 0 {
					break
				}
				end = next
				count++
			}
			if count < it.min {
				return -1
			}
			if count == it.min || it.possessive || (len(s) == 0 && after == nil) {
				at = end
				continue
			}
			// Longest first, then one character less at a time.
			for {
				if found := m.match(s, after, end); found >= 0 || count == it.min {
					return found
				}
				m.budget--
				count--
				_, size := utf8.DecodeLastRuneInString(m.text[at:end])
				end -= size
			}
		}
	}
}
