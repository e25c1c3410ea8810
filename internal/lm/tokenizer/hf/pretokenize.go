package hf

import (
	"strings"

	"github.com/distillflow/distillflow/internal/lm/tokenizer/pattern"
)

// preTokenizer cuts pieces into words. It leaves added tokens alone and drops
// empty pieces.
type preTokenizer interface {
	split(in []piece) ([]piece, error)
}

type preTokenizers []preTokenizer

func (s preTokenizers) split(in []piece) ([]piece, error) {
	var err error
	for _, p := range s {
		if in, err = p.split(in); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// each runs f on every piece that is text.
func each(in []piece, f func(out []piece, p *piece) ([]piece, error)) ([]piece, error) {
	out := make([]piece, 0, len(in)+16)
	var err error
	for i := range in {
		if in[i].token >= 0 {
			out = append(out, in[i])
			continue
		}
		if in[i].byteLevel {
			spellBytes(&in[i])
		}
		if out, err = f(out, &in[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// patternMatches lists the hits of a pattern and what lies between them.
func patternMatches(out []match, re *pattern.Pattern, text string) ([]match, error) {
	last := 0
	err := re.Each(text, func(start, end int) {
		if last < start {
			out = append(out, match{last, start, false})
		}
		out = append(out, match{start, end, true})
		last = end
	})
	if last < len(text) {
		out = append(out, match{last, len(text), false})
	}
	return out, err
}

// splitter is the Split component, and with a fixed expression others.
type splitter struct {
	literal string
	pattern *pattern.Pattern // instead of literal
	how     behavior
	invert  bool // what the pattern does not match is the delimiter
}

func (s *splitter) split(in []piece) ([]piece, error) {
	var buf []match
	return each(in, func(out []piece, p *piece) ([]piece, error) {
		return s.cut(out, p, &buf)
	})
}

func (s *splitter) cut(out []piece, p *piece, buf *[]match) ([]piece, error) {
	if s.pattern != nil && s.how == isolated {
		// Hits and what lies between are kept alike: no list is needed.
		last := 0
		err := s.pattern.Each(p.text, func(start, end int) {
			if last < start {
				out = append(out, p.slice(last, start))
			}
			out = append(out, p.slice(start, end))
			last = end
		})
		if last < len(p.text) {
			out = append(out, p.slice(last, len(p.text)))
		}
		return out, err
	}
	matches := (*buf)[:0]
	if s.pattern != nil {
		var err error
		if matches, err = patternMatches(matches, s.pattern, p.text); err != nil {
			return nil, err
		}
	} else {
		matches = stringMatches(matches, p.text, s.literal)
	}
	if s.invert {
		for i := range matches {
			matches[i].hit = !matches[i].hit
		}
	}
	*buf = matches
	return p.split(out, matches, s.how), nil
}

// runeSplitter cuts at every character of a set.
type runeSplitter struct {
	set func(rune) bool
	how behavior
}

func (s runeSplitter) split(in []piece) ([]piece, error) {
	var buf []match
	return each(in, func(out []piece, p *piece) ([]piece, error) {
		buf = runeMatches(buf[:0], p.text, s.set)
		return p.split(out, buf, s.how), nil
	})
}

// whitespaceWords is the Whitespace component: runs of word characters and runs
// of what is neither word nor space.
func whitespaceWords(in []piece) ([]piece, error) {
	class := func(r rune) int {
		switch {
		case isWord(r):
			return 1
		case isWhitespace(r):
			return 0
		}
		return 2
	}
	return each(in, func(out []piece, p *piece) ([]piece, error) {
		from, now := 0, 0
		for i, r := range p.text {
			c := class(r)
			if c == now {
				continue
			}
			if now != 0 {
				out = append(out, p.slice(from, i))
			}
			from, now = i, c
		}
		if now != 0 {
			out = append(out, p.slice(from, len(p.text)))
		}
		return out, nil
	})
}

type preTokenizeFunc func(in []piece) ([]piece, error)

func (f preTokenizeFunc) split(in []piece) ([]piece, error) { return f(in) }

// byteLevel is the ByteLevel pre-tokenizer.
type byteLevel struct {
	prefixSpace bool
	words       *splitter // nil: leave the pieces whole
}

// gpt2 is the expression that ByteLevel splits with.
const gpt2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

func (b *byteLevel) split(in []piece) ([]piece, error) {
	if !b.prefixSpace && b.words == nil {
		for i := range in {
			if in[i].token < 0 {
				if in[i].byteLevel {
					spellBytes(&in[i])
				}
				in[i].byteLevel = true
			}
		}
		return in, nil
	}
	var buf []match
	return each(in, func(out []piece, p *piece) ([]piece, error) {
		if b.prefixSpace && !strings.HasPrefix(p.text, " ") {
			p.prepend(" ")
		}
		from := len(out)
		if b.words == nil {
			out = append(out, *p)
		} else {
			var err error
			if out, err = b.words.cut(out, p, &buf); err != nil {
				return nil, err
			}
		}
		for i := from; i < len(out); i++ {
			out[i].byteLevel = true
		}
		return out, nil
	})
}

// metaspace is the Metaspace component, as a pre-tokenizer and as a decoder.
type metaspace struct {
	replacement string
	prepend     string // always, first or never
	words       bool   // cut before every replacement
	spaces      replacer
}

func (m *metaspace) split(in []piece) ([]piece, error) {
	var buf []match
	return each(in, func(out []piece, p *piece) ([]piece, error) {
		if err := m.spaces.normalize(p); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(p.text, m.replacement) &&
			(m.prepend == "always" || m.prepend == "first" && p.start == 0) {
			p.prepend(m.replacement)
		}
		if !m.words {
			return append(out, *p), nil
		}
		buf = stringMatches(buf[:0], p.text, m.replacement)
		return p.split(out, buf, mergedWithNext), nil
	})
}

// fixedLength cuts pieces of a number of characters.
type fixedLength int

func (n fixedLength) split(in []piece) ([]piece, error) {
	return each(in, func(out []piece, p *piece) ([]piece, error) {
		from, count := 0, 0
		for i := range p.text {
			if count == int(n) {
				out = append(out, p.slice(from, i))
				from, count = i, 0
			}
			count++
		}
		return append(out, p.slice(from, len(p.text))), nil
	})
}
