package hf

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// form is one of the four Unicode normal forms (Unicode Standard Annex 15).
type form struct {
	decompose norm.Form // NFD or NFKD: its table of decompositions
	compose   bool
	form      norm.Form // the form itself, for the quick check
}

var (
	formNFC  = form{norm.NFD, true, norm.NFC}
	formNFD  = form{norm.NFD, false, norm.NFD}
	formNFKC = form{norm.NFKD, true, norm.NFKC}
	formNFKD = form{norm.NFKD, false, norm.NFKD}
)

// Hangul syllables are composed by arithmetic (Unicode Standard, 3.12).
const (
	hangulS, hangulL, hangulV, hangulT = 0xAC00, 0x1100, 0x1161, 0x11A7
	countL, countV, countT             = 19, 21, 28
)

// mark is a character of a decomposed text. by is 0 for the first character that
// an old one became and 1 for the others.
type mark struct {
	r     rune
	by    int
	class uint8
}

// normalize rewrites a piece. It does not use norm's own rewriting, because that
// says nothing of which character came from which.
func (f form) normalize(p *piece) {
	if f.form.IsNormalString(p.text) && !hasLater(p.text) {
		return
	}
	marks := f.decomposed(p.text)
	var changes []change
	if f.compose {
		changes = composed(marks)
	} else {
		changes = make([]change, len(marks))
		for i, m := range marks {
			changes[i] = change{m.r, m.by}
		}
	}
	p.apply(changes, 0)
}

// hasLater reports whether a text holds characters about which the two versions
// differ.
func hasLater(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return r >= 0x300 && (unicode.Is(laterClasses, r) || unicode.Is(laterCompositions, r))
	})
}

func combiningClass(r rune) uint8 {
	if r < 0x300 || unicode.Is(laterClasses, r) {
		return 0
	}
	var buf [utf8.UTFMax]byte
	n := utf8.EncodeRune(buf[:], r)
	return norm.NFD.Properties(buf[:n]).CCC()
}

// decomposed decomposes a text and puts its marks into canonical order. A mark
// that is moved keeps its by, as in the reference.
func (f form) decomposed(text string) []mark {
	out := make([]mark, 0, len(text))
	pending := 0 // marks from here on wait for their order
	put := func(r rune, by int) {
		class := combiningClass(r)
		if class == 0 {
			sortMarks(out[pending:])
			pending = len(out) + 1
		}
		out = append(out, mark{r, by, class})
	}
	for i, r := range text {
		switch s := r - hangulS; {
		case r < utf8.RuneSelf:
			put(r, 0)
		case s >= 0 && s < countL*countV*countT:
			put(hangulL+s/(countV*countT), 0)
			put(hangulV+s%(countV*countT)/countT, 1)
			if t := s % countT; t != 0 {
				put(hangulT+t, 1)
			}
		default:
			d := f.decompose.PropertiesString(text[i:]).Decomposition()
			if d == nil || unicode.Is(laterCompositions, r) {
				put(r, 0)
				continue
			}
			by := 0
			for len(d) > 0 {
				r, n := utf8.DecodeRune(d)
				put(r, by)
				d, by = d[n:], 1
			}
		}
	}
	sortMarks(out[min(pending, len(out)):])
	return out
}

func sortMarks(marks []mark) {
	if len(marks) > 1 {
		slices.SortStableFunc(marks, func(a, b mark) int { return cmp.Compare(a.class, b.class) })
	}
}

// composed joins what has a composed form. A composed character counts one
// removal for every character it took up.
func composed(marks []mark) []change {
	out := make([]change, 0, len(marks))
	starter := -1 // index in out of the character that others may join
	last := -1    // class of the last mark kept behind it
	for _, m := range marks {
		if starter < 0 {
			out = append(out, change{m.r, m.by})
			if m.class == 0 {
				starter = len(out) - 1
			}
			continue
		}
		if last < int(m.class) {
			if r := compose(out[starter].r, m.r); r >= 0 {
				out[starter] = change{r, out[starter].by + m.by - 1}
				continue
			}
		}
		out = append(out, change{m.r, m.by})
		last = int(m.class)
		if m.class == 0 {
			starter, last = len(out)-1, -1
		}
	}
	return out
}

// compose gives the composed form of two characters, or -1.
func compose(a, b rune) rune {
	switch l, s := a-hangulL, a-hangulS; {
	case l >= 0 && l < countL && b >= hangulV && b < hangulV+countV:
		return hangulS + (l*countV+b-hangulV)*countT
	case s >= 0 && s < countL*countV*countT && s%countT == 0 && b > hangulT && b < hangulT+countT:
		return a + b - hangulT
	}
	if unicode.Is(laterClasses, b) || unicode.Is(laterCompositions, b) {
		return -1
	}
	var buf [2 * utf8.UTFMax]byte
	n := utf8.EncodeRune(buf[:], b)
	if norm.NFC.Properties(buf[:n]).BoundaryBefore() {
		return -1
	}
	n = utf8.EncodeRune(buf[:], a)
	n += utf8.EncodeRune(buf[n:], b)
	c := norm.NFC.Bytes(buf[:n])
	r, size := utf8.DecodeRune(c)
	if size != len(c) || unicode.Is(laterCompositions, r) {
		return -1
	}
	return r
}

// isWhitespace is Unicode's White_Space.
func isWhitespace(r rune) bool { return unicode.Is(unicode.White_Space, r) }

func isASCIIPunct(r rune) bool {
	return r >= '!' && r <= '/' || r >= ':' && r <= '@' || r >= '[' && r <= '`' || r >= '{' && r <= '~'
}

// isWord is what \w means to the reference's second expression engine, which
// added tokens and the Whitespace pre-tokenizer use: Unicode Technical Standard 18,
// Annex C.
func isWord(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	case unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, laterWord):
		return true
	}
	return r == 0x200C || r == 0x200D
}

// lower gives the lower case of r, which is two characters for one letter only.
func lower(r rune) (first, second rune) {
	if r == 0x130 {
		return 'i', 0x307
	}
	return unicode.ToLower(r), -1
}
