package hf

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// span is a range of bytes of the source text. 32 bits halve the memory of
// alignments; [maxText] keeps texts short enough for them.
type span struct{ start, end int32 }

// maxText is the longest text in bytes that can be encoded in one call.
const maxText = 1 << 28

// maxGrown is the size in bytes up to which a replacement may make as much of a text
// as it likes. A longer one may grow to four times its length at a step, which is
// more than any real file asks for, so that a broken one cannot ask for all memory.
const maxGrown = 1 << 24

// grows checks the size of a text that takes the place of another.
func grows(from, to int) error {
	if to > maxText || to > maxGrown && to/4 > from {
		return fmt.Errorf("a text of %d bytes becomes one of %d: the file repeats itself without end", from, to)
	}
	return nil
}

// piece is a stretch of text on its way to tokens, with the source range of each
// of its bytes.
type piece struct {
	text string
	// align holds for every byte of text the source range of the character it
	// stands for. nil says that text is source[start:start+len(text)] unchanged,
	// which is the common case and costs nothing.
	align []span
	start int32 // where the piece's source begins
	token int32 // id of an added token that the piece is, or -1
	// byteLevel says that each byte of text stands for its byte-level character.
	// The spelling is left to whoever needs it: BPE works on the raw bytes.
	byteLevel bool
}

// newPiece covers a whole text. Bytes that are not UTF-8 become U+FFFD, each
// aligned to its own byte.
func newPiece(text string) piece {
	p := piece{text: text, token: -1}
	if utf8.ValidString(text) {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		b.WriteRune(r)
		for range utf8.RuneLen(r) {
			p.align = append(p.align, span{int32(i), int32(i + n)})
		}
		i += n
	}
	p.text = b.String()
	return p
}

// source gives the source range of text[from:to]. An empty range has no
// characters to look up; like the reference it is taken as it stands, relative
// to the piece.
func (p *piece) source(from, to int) span {
	switch {
	case from >= to:
		return span{p.start + int32(from), p.start + int32(to)}
	case p.align != nil:
		return span{p.align[from].start, p.align[to-1].end}
	}
	for from > 0 && !utf8.RuneStart(p.text[from]) {
		from--
	}
	for to < len(p.text) && !utf8.RuneStart(p.text[to]) {
		to++
	}
	return span{p.start + int32(from), p.start + int32(to)}
}

// slice cuts text[from:to] out; both are character boundaries.
func (p *piece) slice(from, to int) piece {
	s := piece{text: p.text[from:to], token: -1, byteLevel: p.byteLevel}
	if p.align != nil {
		s.align = p.align[from:to]
		s.start = p.start + int32(from)
		if from < to {
			s.start = p.align[from].start
		}
		return s
	}
	s.start = p.start + int32(from)
	return s
}

// alignments gives align, written out where it is implied.
func (p *piece) alignments() []span {
	if p.align != nil {
		return p.align
	}
	a := make([]span, 0, len(p.text))
	for i, r := range p.text {
		at := span{p.start + int32(i), p.start + int32(i+utf8.RuneLen(r))}
		for range at.end - at.start {
			a = append(a, at)
		}
	}
	return a
}

// change is one character of a rewritten text. by says how it relates to the old
// one: 0 replaces the next old character, n > 0 is inserted (and aligned with what
// stands before it), -n replaces one and removes the n after it.
type change struct {
	r  rune
	by int
}

// rewriter builds the new text of a piece from changes.
type rewriter struct {
	old   string
	from  []span
	start int32
	at    int // byte of old that is next
	text  strings.Builder
	align []span
}

func (p *piece) rewrite() *rewriter {
	w := &rewriter{old: p.text, from: p.alignments(), start: p.start}
	w.text.Grow(len(p.text) + len(p.text)/4)
	w.align = make([]span, 0, len(p.text)+len(p.text)/4)
	return w
}

// skip removes n old characters.
func (w *rewriter) skip(n int) {
	for ; n > 0 && w.at < len(w.old); n-- {
		_, size := utf8.DecodeRuneInString(w.old[w.at:])
		w.at += size
	}
}

// alignment of byte i, with both ends guarded: an inserted character at the very
// start is aligned with nothing, at the start of the source.
func (w *rewriter) alignment(i int) span {
	switch {
	case i < 0 || len(w.from) == 0:
		return span{w.start, w.start}
	case i >= len(w.from):
		return w.from[len(w.from)-1]
	}
	return w.from[i]
}

func (w *rewriter) put(c change) {
	at := w.alignment(w.at)
	if c.by > 0 {
		at = w.alignment(w.at - 1)
	} else {
		w.skip(1 - c.by)
	}
	w.text.WriteRune(c.r)
	for range utf8.RuneLen(c.r) {
		w.align = append(w.align, at)
	}
}

func (w *rewriter) into(p *piece) {
	p.text, p.align = w.text.String(), w.align
}

func (p *piece) apply(changes []change, skip int) {
	w := p.rewrite()
	w.skip(skip)
	for _, c := range changes {
		w.put(c)
	}
	w.into(p)
}

// mapRunes replaces every character; a negative result removes it.
func (p *piece) mapRunes(f func(rune) rune) {
	if !strings.ContainsFunc(p.text, func(r rune) bool { return f(r) != r }) {
		return
	}
	w := p.rewrite()
	for _, r := range p.text {
		if m := f(r); m >= 0 {
			w.put(change{m, 0})
		} else {
			w.skip(1)
		}
	}
	w.into(p)
}

// prepend puts s before a piece that is not empty; its characters are aligned
// with the first one.
func (p *piece) prepend(s string) {
	if p.text == "" || s == "" {
		return
	}
	from := p.alignments()
	align := make([]span, 0, len(s)+len(from))
	for range len(s) {
		align = append(align, from[0])
	}
	p.text, p.align = s+p.text, append(align, from...)
}

// replace puts content in the place of every matched range. Its characters are
// aligned with the last matched one.
func (p *piece) replace(matches []match, content string) {
	any := false
	for _, m := range matches {
		any = any || m.hit
	}
	if !any {
		return
	}
	from := p.alignments()
	var text strings.Builder
	text.Grow(len(p.text) + len(p.text)/4)
	align := make([]span, 0, len(from)+len(from)/4)
	for _, m := range matches {
		if !m.hit {
			text.WriteString(p.text[m.start:m.end])
			align = append(align, from[m.start:m.end]...)
			continue
		}
		at := span{p.start, p.start}
		if m.end > 0 {
			at = from[m.end-1]
		}
		text.WriteString(content)
		for range len(content) {
			align = append(align, at)
		}
	}
	p.text, p.align = text.String(), align
}

// match is a stretch of a text that a matcher hit, or one between two hits.
type match struct {
	start, end int
	hit        bool
}

// behavior says where a hit goes when a piece is split at it.
type behavior string

const (
	removed            behavior = "Removed"
	isolated           behavior = "Isolated"
	mergedWithPrevious behavior = "MergedWithPrevious"
	mergedWithNext     behavior = "MergedWithNext"
	contiguous         behavior = "Contiguous"
)

func (b behavior) known() bool {
	switch b {
	case removed, isolated, mergedWithPrevious, mergedWithNext, contiguous:
		return true
	}
	return false
}

// split cuts a piece at matches and appends the parts that are not empty.
func (p *piece) split(out []piece, matches []match, how behavior) []piece {
	add := func(start, end int) {
		if start < end {
			out = append(out, p.slice(start, end))
		}
	}
	switch how {
	case removed:
		for _, m := range matches {
			if !m.hit {
				add(m.start, m.end)
			}
		}
	case isolated:
		for _, m := range matches {
			add(m.start, m.end)
		}
	case contiguous:
		for i := 0; i < len(matches); {
			j := i + 1
			for j < len(matches) && matches[j].hit == matches[i].hit {
				j++
			}
			add(matches[i].start, matches[j-1].end)
			i = j
		}
	case mergedWithPrevious:
		// Only the first hit of a row joins what stands before it.
		for i := 0; i < len(matches); i++ {
			m := matches[i]
			if !m.hit && i+1 < len(matches) && matches[i+1].hit {
				m.end = matches[i+1].end
				i++
			}
			add(m.start, m.end)
		}
	case mergedWithNext:
		for i := 0; i < len(matches); i++ {
			m := matches[i]
			if m.hit && i+1 < len(matches) && !matches[i+1].hit {
				m.end = matches[i+1].end
				i++
			}
			add(m.start, m.end)
		}
	}
	return out
}

// runeMatches makes every character that is in set a hit of its own.
func runeMatches(out []match, text string, set func(rune) bool) []match {
	last := 0
	for i, r := range text {
		if set(r) {
			if last < i {
				out = append(out, match{last, i, false})
			}
			last = i + utf8.RuneLen(r)
			out = append(out, match{i, last, true})
		}
	}
	if last < len(text) {
		out = append(out, match{last, len(text), false})
	}
	return out
}

// stringMatches makes every occurrence of s a hit.
func stringMatches(out []match, text, s string) []match {
	last := 0
	for s != "" {
		i := strings.Index(text[last:], s)
		if i < 0 {
			break
		}
		if i > 0 {
			out = append(out, match{last, last + i, false})
		}
		out = append(out, match{last + i, last + i + len(s), true})
		last += i + len(s)
	}
	if last < len(text) {
		out = append(out, match{last, len(text), false})
	}
	return out
}
