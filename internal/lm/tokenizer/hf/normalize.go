package hf

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/distillflow/distillflow/internal/lm/tokenizer/pattern"
)

// normalizer rewrites text before it is cut into words.
type normalizer interface {
	normalize(p *piece) error
}

type normalizers []normalizer

func (s normalizers) normalize(p *piece) error {
	for _, n := range s {
		if err := n.normalize(p); err != nil {
			return err
		}
		// Replacements in a row can multiply a text without bound.
		if len(p.text) > maxText {
			return fmt.Errorf("the normalized text is longer than %d bytes", maxText)
		}
	}
	return nil
}

// normalizeFunc is a normalizer without settings.
type normalizeFunc func(p *piece)

func (f normalizeFunc) normalize(p *piece) error {
	f(p)
	return nil
}

// replacer is the Replace component, as a normalizer and as a decoder.
type replacer struct {
	literal string
	pattern *pattern.Pattern // instead of literal
	content string
}

func (n *replacer) matches(text string) ([]match, error) {
	if n.pattern == nil {
		return stringMatches(nil, text, n.literal), nil
	}
	return patternMatches(nil, n.pattern, text)
}

// replaced is the size of a text after every hit of matches became one of size bytes.
func replaced(matches []match, size int) int {
	n := 0
	for _, m := range matches {
		if m.hit {
			n += size
		} else {
			n += m.end - m.start
		}
	}
	return n
}

func (n *replacer) normalize(p *piece) error {
	if n.pattern == nil && !strings.Contains(p.text, n.literal) {
		return nil
	}
	if n.pattern == nil && len(n.literal) == 1 && n.literal[0] < utf8.RuneSelf {
		if err := grows(len(p.text), len(p.text)+strings.Count(p.text, n.literal)*(len(n.content)-1)); err != nil {
			return err
		}
		n.replaceByte(p, n.literal[0])
		return nil
	}
	matches, err := n.matches(p.text)
	if err != nil {
		return err
	}
	if err := grows(len(p.text), replaced(matches, len(n.content))); err != nil {
		return err
	}
	p.replace(matches, n.content)
	return nil
}

// replaceByte is replace for the usual case, a space: one pass, no list of hits.
func (n *replacer) replaceByte(p *piece, c byte) {
	count := strings.Count(p.text, string(c))
	size := len(p.text) + count*(len(n.content)-1)
	text, align := make([]byte, 0, size), make([]span, 0, size)
	from := p.align
	for i := 0; i < len(p.text); i++ {
		at := span{p.start + int32(i), p.start + int32(i+1)}
		if from != nil {
			at = from[i]
		}
		b := p.text[i]
		switch {
		case b == c:
			text = append(text, n.content...)
			for range len(n.content) {
				align = append(align, at)
			}
			continue
		case b >= utf8.RuneSelf && from == nil:
			_, size := utf8.DecodeRuneInString(p.text[i:])
			at.end = at.start + int32(size)
			text = append(text, p.text[i:i+size]...)
			for range size {
				align = append(align, at)
			}
			i += size - 1
			continue
		}
		text = append(text, b)
		align = append(align, at)
	}
	p.text, p.align = string(text), align
}

// lowercase lowers characters one by one: a capital sigma does not see that it ends
// a word.
func lowercase(p *piece) {
	if !strings.ContainsFunc(p.text, func(r rune) bool { l, _ := lower(r); return l != r }) {
		return
	}
	w := p.rewrite()
	for _, r := range p.text {
		a, b := lower(r)
		w.put(change{a, 0})
		if b >= 0 {
			w.put(change{b, 1})
		}
	}
	w.into(p)
}

func stripAccents(p *piece) {
	p.mapRunes(func(r rune) rune {
		if isMark(r) {
			return -1
		}
		return r
	})
}

// strip is the Strip normalizer.
type strip struct{ left, right bool }

func (s strip) normalize(p *piece) error {
	from, to := 0, len(p.text)
	if s.left {
		from = to - len(strings.TrimLeftFunc(p.text, isWhitespace))
	}
	if s.right {
		to = from + len(strings.TrimRightFunc(p.text[from:], isWhitespace))
	}
	if from > 0 || to < len(p.text) {
		p.align = p.alignments()[from:to]
		p.text = p.text[from:to]
	}
	return nil
}

// nmt is the clean-up that SentencePiece names nmt.
func nmt(p *piece) {
	p.mapRunes(func(r rune) rune {
		switch {
		case r >= 1 && r <= 8, r == 0xB, r >= 0xE && r <= 0x1F, r == 0x7F, r == 0x8F, r == 0x9F:
			return -1
		case r == 9, r == 0xA, r == 0xC, r == 0xD, r == 0x1680, r >= 0x200B && r <= 0x200F,
			r == 0x2028, r == 0x2029, r == 0x2581, r == 0xFEFF, r == 0xFFFD:
			return ' '
		}
		return r
	})
}

// bert is the BertNormalizer.
type bert struct {
	CleanText          bool  `json:"clean_text"`
	HandleChineseChars bool  `json:"handle_chinese_chars"`
	StripAccents       *bool `json:"strip_accents"`
	Lowercase          bool  `json:"lowercase"`
}

func (b *bert) normalize(p *piece) error {
	if b.CleanText {
		p.mapRunes(func(r rune) rune {
			switch {
			case r == '\t' || r == '\n' || r == '\r':
				return ' '
			case r == 0 || r == utf8.RuneError || isOther(r):
				return -1
			case isWhitespace(r):
				return ' '
			}
			return r
		})
	}
	if b.HandleChineseChars && strings.ContainsFunc(p.text, isChinese) {
		w := p.rewrite()
		for _, r := range p.text {
			if !isChinese(r) {
				w.put(change{r, 0})
				continue
			}
			w.put(change{' ', 0})
			w.put(change{r, 1})
			w.put(change{' ', 1})
		}
		w.into(p)
	}
	accents := b.Lowercase
	if b.StripAccents != nil {
		accents = *b.StripAccents
	}
	if accents {
		formNFD.normalize(p)
		p.mapRunes(func(r rune) rune {
			if isNonspacing(r) {
				return -1
			}
			return r
		})
	}
	if b.Lowercase {
		lowercase(p)
	}
	return nil
}

// isOther is the general category C without what is not assigned: control, format
// and private use, version 8.
func isOther(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7F
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs) && !unicode.Is(laterFormat, r)
}

// isChinese is the Bert authors' list of ideographs.
func isChinese(r rune) bool {
	if r < 0x3400 {
		return false
	}
	return r <= 0x4DBF || r >= 0x4E00 && r <= 0x9FFF || r >= 0x20000 && r <= 0x2A6DF ||
		r >= 0x2A700 && r <= 0x2B73F || r >= 0x2B740 && r <= 0x2B81F || r >= 0x2B920 && r <= 0x2CEAF ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F
}

// byteChars is the character that stands for each byte in byte-level tokens: the
// printable ones for themselves, the others from U+0100 on.
var byteChars, charBytes = func() (chars [256]rune, bytes map[rune]byte) {
	bytes = make(map[rune]byte, 256)
	next := rune(256)
	for b := range chars {
		r := rune(b)
		if !(r >= '!' && r <= '~' || r >= 0xA1 && r <= 0xAC || r >= 0xAE) {
			r = next
			next++
		}
		chars[b], bytes[r] = r, byte(b)
	}
	return chars, bytes
}()

// spellBytes writes the byte-level characters of a piece out.
func spellBytes(p *piece) {
	from := p.alignments()
	text := make([]byte, 0, 2*len(p.text))
	align := make([]span, 0, 2*len(p.text))
	for i := range len(p.text) {
		r := byteChars[p.text[i]]
		text = utf8.AppendRune(text, r)
		for range utf8.RuneLen(r) {
			align = append(align, from[i])
		}
	}
	p.text, p.align, p.byteLevel = string(text), align, false
}
