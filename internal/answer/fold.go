package answer

import (
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// folded is a text with the digits, letters and punctuation of other scripts in
// ASCII, so that one set of rules reads all languages.
type folded struct {
	text  string
	marks []foldMark // ends of unchanged runs, in order
}

// foldMark: from byte to of the folded text on, bytes stand from byte from of the
// original on, up to the next mark.
type foldMark struct{ to, from int }

// offset returns where byte i of the folded text stands in the original.
func (f folded) offset(i int) int {
	k := sort.Search(len(f.marks), func(k int) bool { return f.marks[k].to > i }) - 1
	if k < 0 {
		return i
	}
	at := f.marks[k].from + i - f.marks[k].to
	if k+1 < len(f.marks) {
		at = min(at, f.marks[k+1].from)
	}
	return at
}

func fold(s string) folded {
	f := folded{text: s}
	var b strings.Builder
	done := 0
	for i := 0; i < len(s); {
		for i+8 <= len(s) {
			if w := s[i : i+8]; (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7]) >= utf8.RuneSelf {
				break
			}
			i += 8
		}
		if i >= len(s) {
			break
		}
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		to, ok := foldRune(r)
		if !ok {
			i += n
			continue
		}
		if done == 0 && b.Len() == 0 {
			b.Grow(len(s))
			f.marks = make([]foldMark, 0, 16+len(s)/12)
		}
		b.WriteString(s[done:i])
		after := b.Len() > 0 && isDigit(b.String()[b.Len()-1])
		switch {
		case len(to) == 2 && to[1] == ' ' && after && digitFollows(s[i+n:]):
			to = to[:1] // 1，000 and 2：30
		case len(to) == 3 && to[1] == '/' && after:
			to = " " + to // 2½
		}
		f.marks = append(f.marks, foldMark{b.Len(), i})
		b.WriteString(to)
		i += n
		done = i
		f.marks = append(f.marks, foldMark{b.Len(), i})
	}
	if len(f.marks) > 0 {
		b.WriteString(s[done:])
		f.text = b.String()
	}
	return f
}

// digitFollows reports that s begins with a digit of any script.
func digitFollows(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	if d, ok := foldRune(r); ok {
		s = d
	}
	return isDigitAt(s, 0)
}

// zeros are the zeros of the decimal digits that are read.
var zeros = []rune{0x660, 0x6F0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50, 0xED0, 0x1040, 0x17E0, 0xFF10}

// signs are the other characters that are folded; "" drops one.
var signs = map[rune]string{
	'。': ". ", '।': ". ", '॥': ". ", '、': ", ", '，': ", ", '：': ": ", '；': "; ", '！': "! ", '？': "? ", '،': ", ", '؛': "; ", '؟': "? ", '٪': "%", '٫': ".", '٬': ",",
	'−': "-", '‐': "-", '‑': "-", '～': "–", '〜': "–", '￥': "¥",
	'“': `"`, '”': `"`, '„': `"`, '«': `"`, '»': `"`, '「': `"`, '」': `"`, '『': `"`, '』': `"`, '‘': "'", '’': "'",
	'【': "[", '】': "]", '\u00a0': " ", '\u2007': " ", '\u2009': " ", '\u200a': " ", '\u202f': " ", '\u3000': " ",
	'\u00ad': "", '\u200b': "", '\u200c': "", '\u200d': "", '\u200e': "", '\u200f': "", '\u202a': "", '\u202b': "", '\u202c': "", '\u202d': "", '\u202e': "",
	'\u2066': "", '\u2067': "", '\u2068': "", '\u2069': "", '\ufeff': "",
	'½': "1/2", '⅓': "1/3", '⅔': "2/3", '¼': "1/4", '¾': "3/4", '⅕': "1/5", '⅖': "2/5", '⅗': "3/5", '⅘': "4/5", '⅙': "1/6", '⅚': "5/6", '⅛': "1/8", '⅜': "3/8", '⅝': "5/8", '⅞': "7/8", '⁄': "/",
	'⓪': "0",
}

const ascii = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}"

// foldRune gives the ASCII form of a character that has one.
func foldRune(r rune) (string, bool) {
	switch {
	case r < 0xA0, r >= 0x3100 && r < 0xFF00, r >= 0x100 && r < 0x600:
		return "", false
	case r >= 0x660 && r < 0x17EA || r >= 0xFF10 && r < 0xFF1A:
		for _, z := range zeros {
			if r >= z && r < z+10 {
				return ascii['0'-'!'+r-z : '0'-'!'+r-z+1], true
			}
		}
	case r >= 0x1D7CE && r <= 0x1D7FF: // 𝟎 to 𝟿
		d := (r - 0x1D7CE) % 10
		return ascii['0'-'!'+d : '0'-'!'+d+1], true
	case r >= '①' && r <= '⑳':
		return strconv.Itoa(int(r-'①') + 1), true
	case r >= 'Ⓐ' && r <= 'Ⓩ':
		return ascii['A'-'!'+r-'Ⓐ' : 'A'-'!'+r-'Ⓐ'+1], true
	}
	if s, ok := signs[r]; ok {
		return s, true
	}
	if r > 0xFF00 && r < 0xFF5E {
		return ascii[r-0xFF01 : r-0xFF01+1], true
	}
	return "", false
}

// plainChoices folds the labels and texts of the options.
func (q Question) plainChoices() []Option {
	out := q.Choices
	for i, c := range q.Choices {
		label, text := fold(c.Label).text, fold(c.Text).text
		if label == c.Label && text == c.Text {
			continue
		}
		if &out[0] == &q.Choices[0] {
			out = append([]Option(nil), q.Choices...)
		}
		out[i] = Option{label, text}
	}
	return out
}
