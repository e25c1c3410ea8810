package pattern

import (
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

type runeRange struct{ low, high rune }

type tableRef struct {
	table   *unicode.RangeTable
	negated bool
}

// set is a set of characters, as a class describes it.
type set struct {
	negated bool
	ranges  []runeRange
	tables  []tableRef

	ascii [utf8.RuneSelf]bool // filled by freeze
	// pages hold the answer for 256 characters each, made at the first question:
	// searching range tables is too slow to do again for every character.
	pages [256]atomic.Pointer[[256]bool]
}

func (s *set) addRange(low, high rune) { s.ranges = append(s.ranges, runeRange{low, high}) }

func (s *set) addTable(t *unicode.RangeTable, negated bool) {
	s.tables = append(s.tables, tableRef{t, negated})
}

func (s *set) freeze() {
	for r := range s.ascii {
		s.ascii[r] = s.find(rune(r))
	}
}

// find answers from the description.
func (s *set) find(r rune) bool {
	for _, x := range s.ranges {
		if r >= x.low && r <= x.high {
			return !s.negated
		}
	}
	for _, t := range s.tables {
		if unicode.Is(t.table, r) != t.negated {
			return !s.negated
		}
	}
	return s.negated
}

// has is find, from the pages.
func (s *set) has(r rune) bool {
	if r < utf8.RuneSelf {
		return s.ascii[r]
	}
	if r > 0xFFFF {
		return s.find(r)
	}
	page := s.pages[r>>8].Load()
	if page == nil {
		page = new([256]bool)
		for i := range page {
			page[i] = s.find(r&^0xFF | rune(i))
		}
		s.pages[r>>8].Store(page)
	}
	return page[r&0xFF]
}

// eat returns where the character at text[at:] ends if it is in the set, else -1.
func (s *set) eat(text string, at int) int {
	if at >= len(text) {
		return -1
	}
	if c := text[at]; c < utf8.RuneSelf {
		if s.ascii[c] {
			return at + 1
		}
		return -1
	}
	r, n := utf8.DecodeRuneInString(text[at:])
	if s.has(r) {
		return at + n
	}
	return -1
}
