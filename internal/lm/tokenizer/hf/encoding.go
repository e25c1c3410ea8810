package hf

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// Span is a half-open range of a text: of bytes or, where said, of code points.
type Span struct{ Start, End int }

// Encoding is an encoded text, or pair of texts. All slices have one element a
// token.
type Encoding struct {
	IDs      []int32
	Offsets  []Span  // bytes of the text that the token stands for; {0, 0} for what post-processing added
	TypeIDs  []int32 // 0 for the first text of a pair, 1 for the second, as the file says
	Words    []int32 // number of the word within its text; -1 for what post-processing added
	Sequence []int8  // which text Offsets refers to: 0, 1, or -1 for none
	Special  []bool  // added by post-processing
	// Overflow holds what truncation cut off, in pieces of the same length.
	Overflow []*Encoding

	texts []string
	trims []trim // for the trimming of offsets; dropped after post-processing
}

// trim counts the white space at the ends of a token's own text.
type trim struct{ lead, tail int32 }

// Len is the number of tokens.
func (e *Encoding) Len() int { return len(e.IDs) }

// CharOffsets gives Offsets in code points.
func (e *Encoding) CharOffsets() []Span {
	tables := make([][]int32, len(e.texts))
	for i, t := range e.texts {
		tables[i] = charTable(t)
	}
	out := make([]Span, len(e.Offsets))
	for i, o := range e.Offsets {
		out[i] = o
		if s := e.Sequence[i]; s >= 0 && int(s) < len(tables) && tables[s] != nil {
			out[i] = toChars(tables[s], o)
		}
	}
	return out
}

// charTable maps bytes to the code points they belong to; nil for ASCII, where
// both are the same.
func charTable(text string) []int32 {
	ascii := true
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return nil
	}
	table := make([]int32, 0, len(text))
	n := int32(0)
	for i := 0; i < len(text); n++ {
		_, size := utf8.DecodeRuneInString(text[i:])
		for range size {
			table = append(table, n)
		}
		i += size
	}
	return table
}

func toChars(table []int32, o Span) Span {
	n := int(table[len(table)-1]) + 1
	if o.Start >= len(table) {
		return Span{n, n}
	}
	start := int(table[o.Start])
	if o.End < len(table) {
		return Span{start, int(table[o.End])}
	}
	return Span{start, n}
}

func (e *Encoding) grow(n int) {
	e.IDs = slices.Grow(e.IDs, n)
	e.Offsets = slices.Grow(e.Offsets, n)
	e.Words = slices.Grow(e.Words, n)
	e.TypeIDs = slices.Grow(e.TypeIDs, n)
	e.Sequence = slices.Grow(e.Sequence, n)
	e.Special = slices.Grow(e.Special, n)
}

func (e *Encoding) add(id int32, at Span, typeID, word int32, seq int8, special bool) {
	e.IDs = append(e.IDs, id)
	e.Offsets = append(e.Offsets, at)
	e.TypeIDs = append(e.TypeIDs, typeID)
	e.Words = append(e.Words, word)
	e.Sequence = append(e.Sequence, seq)
	e.Special = append(e.Special, special)
}

func (e *Encoding) append(o *Encoding) {
	e.IDs = append(e.IDs, o.IDs...)
	e.Offsets = append(e.Offsets, o.Offsets...)
	e.TypeIDs = append(e.TypeIDs, o.TypeIDs...)
	e.Words = append(e.Words, o.Words...)
	e.Sequence = append(e.Sequence, o.Sequence...)
	e.Special = append(e.Special, o.Special...)
}

// cut copies the tokens [from:to).
func (e *Encoding) cut(from, to int) *Encoding {
	c := &Encoding{texts: e.texts}
	c.IDs = slices.Clone(e.IDs[from:to])
	c.Offsets = slices.Clone(e.Offsets[from:to])
	c.TypeIDs = slices.Clone(e.TypeIDs[from:to])
	c.Words = slices.Clone(e.Words[from:to])
	c.Sequence = slices.Clone(e.Sequence[from:to])
	c.Special = slices.Clone(e.Special[from:to])
	if e.trims != nil {
		c.trims = slices.Clone(e.trims[from:to])
	}
	return c
}

// Truncation shortens encodings.
type Truncation struct {
	MaxLength int    // tokens, those of post-processing included
	Stride    int    // tokens that a piece of Overflow repeats of the one before
	Left      bool   // cut at the left
	Strategy  string // longest_first (the default), only_first or only_second
}

// truncate cuts e to size tokens; the rest goes to Overflow.
func (e *Encoding) truncate(size int, t Truncation) error {
	n := e.Len()
	if size >= n {
		return nil
	}
	if size <= 0 {
		rest := *e
		*e = Encoding{texts: e.texts, Overflow: []*Encoding{&rest}}
		return nil
	}
	if t.Stride < 0 || t.Stride >= size {
		return fmt.Errorf("truncation: stride %d must be below the %d tokens that are left for text", t.Stride, size)
	}
	var parts []*Encoding
	step := size - t.Stride
	for at := 0; ; at += step {
		from, to := at, min(n, at+size)
		done := to == n
		if t.Left {
			to = n - at
			from = max(0, to-size)
			done = from == 0
		}
		parts = append(parts, e.cut(from, to))
		if done {
			break
		}
	}
	*e = *parts[0]
	e.Overflow = parts[1:]
	return nil
}

// trimOffsets leaves the white space at the ends of tokens out of their offsets.
func (e *Encoding) trimOffsets(prefixSpace bool) {
	for _, o := range e.Overflow {
		o.trimOffsets(prefixSpace)
	}
	for i, t := range e.trims {
		if t.lead == 0 && t.tail == 0 || e.Sequence[i] < 0 {
			continue
		}
		text := e.texts[e.Sequence[i]]
		o := &e.Offsets[i]
		// The one space that the pre-tokenizer put at the front is not in the text.
		if (i == 0 || o.Start == 0) && prefixSpace && t.lead == 1 {
			t.lead = 0
		}
		for ; t.lead > 0 && o.Start < o.End; t.lead-- {
			_, n := utf8.DecodeRuneInString(text[o.Start:])
			o.Start = min(o.Start+n, o.End)
		}
		// A token at the front of the text that is shorter than its white space
		// keeps its end.
		if o.End < utf8.UTFMax*int(t.tail) && int(t.tail) > utf8.RuneCountInString(text[:o.End]) {
			continue
		}
		for ; t.tail > 0 && o.End > o.Start; t.tail-- {
			_, n := utf8.DecodeLastRuneInString(text[:o.End])
			o.End = max(o.End-n, o.Start)
		}
	}
}
