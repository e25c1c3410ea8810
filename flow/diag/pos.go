package diag

import (
	"cmp"
	"fmt"
)

// Pos is a place in a source text. Line and Col start at 1; Col counts runes
// (not bytes, not screen cells). The zero Pos means "no position"; a Pos with a
// File and Line 0 means the file as a whole.
type Pos struct {
	File string
	Line int
	Col  int
}

// IsValid reports whether p names a line of a text.
func (p Pos) IsValid() bool { return p.Line > 0 }

// String gives file:line:col, leaving out the parts that are unknown.
func (p Pos) String() string {
	switch {
	case p.Line <= 0:
		return p.File
	case p.File == "" && p.Col <= 0:
		return fmt.Sprintf("%d", p.Line)
	case p.File == "":
		return fmt.Sprintf("%d:%d", p.Line, p.Col)
	case p.Col <= 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Shift returns the position n runes to the right on the same line.
func (p Pos) Shift(n int) Pos {
	if p.IsValid() {
		p.Col += n
	}
	return p
}

// Span returns the span of n runes that starts at p.
func (p Pos) Span(n int) Span {
	if n < 1 {
		n = 1
	}
	return Span{Start: p, End: p.Shift(n)}
}

// Compare orders positions by file, line and column.
func (p Pos) Compare(q Pos) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Col, q.Col))
}

// Span is a stretch of a source text. End is exclusive. A zero End, or an End
// that is not behind Start on the same line, marks one rune.
type Span struct {
	Start Pos
	End   Pos
}

// At is the span of the single rune at p.
func At(p Pos) Span { return Span{Start: p} }

// Width gives the number of runes to underline, at least 1. A span that ends
// on a later line counts one rune, because a snippet shows the first line only.
func (s Span) Width() int {
	if s.End.Line != s.Start.Line || s.End.Col <= s.Start.Col {
		return 1
	}
	return s.End.Col - s.Start.Col
}
