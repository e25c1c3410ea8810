package tokenizer

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const kindWord = "word"

// Tokens of the word kind with a meaning in Encode and Decode. Their texts are
// not words, so no word of the data can collide with them.
const (
	tokSpace = " "    // a space where none is implied
	tokJoin  = "\x00" // no space where one is implied; width zero
)

// Word keeps words, numbers and punctuation marks whole. A single space between
// two of them is implied, unless punctuation says otherwise, and belongs to no
// token: "4 + 3 = 7." is the six tokens 4 + 3 = 7 . and a number is the same
// token wherever it stands. Where the text departs from the rule a space token or
// a joiner says so.
type Word struct {
	tokens []string // by id - firstToken
	ids    map[string]int32
	space  int32
	join   int32
}

// TrainWord builds a vocabulary of at most size ids from the most frequent words
// of texts. Ties are broken by the words' bytes.
func TrainWord(texts []string, size int) *Word {
	counts := map[string]int{}
	for _, t := range texts {
		for rest := t; rest != ""; {
			p := nextPiece(rest)
			rest = rest[len(p):]
			if p != tokSpace && p != tokJoin {
				counts[p]++
			}
		}
	}
	words := byCount(counts)
	words = words[:min(len(words), size-firstToken-2)]
	return newWord(append([]string{tokSpace, tokJoin}, words...))
}

func byCount(counts map[string]int) []string {
	words := make([]string, 0, len(counts))
	for w := range counts {
		words = append(words, w)
	}
	slices.SortFunc(words, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return words
}

func newWord(tokens []string) *Word {
	w := &Word{tokens: tokens, ids: make(map[string]int32, len(tokens)), space: -1, join: -1}
	for i, t := range tokens {
		w.ids[t] = int32(firstToken + i)
	}
	if id, ok := w.ids[tokSpace]; ok {
		w.space = id
	}
	if id, ok := w.ids[tokJoin]; ok {
		w.join = id
	}
	return w
}

// maxNumber is the longest run of digits that is one word. Longer numbers are
// rare, and spelled out they still show their digits.
const maxNumber = 3

// nextPiece cuts the first piece off text: a run of letters, a run of up to
// maxNumber digits, or one character.
func nextPiece(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	if r == utf8.RuneError && n <= 1 {
		return text[:1]
	}
	var same func(rune) bool
	limit := len(text)
	switch {
	case r >= '0' && r <= '9':
		same = func(r rune) bool { return r >= '0' && r <= '9' }
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		if digits > maxNumber {
			// Not a word: one character at a time.
			return text[:1]
		}
	case unicode.IsLetter(r):
		same = unicode.IsLetter
	default:
		return text[:n]
	}
	end := n
	for end < limit {
		r, n := utf8.DecodeRuneInString(text[end:])
		if !same(r) || (r == utf8.RuneError && n <= 1) {
			break
		}
		end += n
	}
	return text[:end]
}

// implied reports whether a space stands between two known tokens when the text
// says nothing.
func implied(prev, next string) bool {
	switch prev {
	case "", tokSpace, tokJoin, "\n", "(", "$", "'":
		return false
	}
	switch next {
	case tokSpace, tokJoin, "\n", ".", ",", "?", "!", ":", ";", ")", "%", "'":
		return false
	}
	return true
}

// Encode implements [Tokenizer].
func (w *Word) Encode(text string) (ids []int32, ends []int) {
	prev := "" // the last token's text; "" at the start and after a spelled byte
	put := func(t string, end int) bool {
		id, ok := w.ids[t]
		if ok {
			ids, ends, prev = append(ids, id), append(ends, end), t
		}
		return ok
	}
	known := func(p string) bool { _, ok := w.ids[p]; return ok && p != tokSpace && p != tokJoin }
	for at := 0; at < len(text); {
		if text[at] == ' ' && at+1 < len(text) {
			p := nextPiece(text[at+1:])
			if known(p) && implied(prev, p) {
				at += 1 + len(p)
				put(p, at)
				continue
			}
		}
		p := nextPiece(text[at:])
		switch {
		case known(p):
			if implied(prev, p) && !put(tokJoin, at) {
				// Without a joiner the word has to be spelled.
				break
			}
			at += len(p)
			put(p, at)
			continue
		case p == tokSpace && put(tokSpace, at+1):
			at++
			continue
		}
		for i := range len(p) {
			ids, ends = nibbles(ids, ends, p[i], at+i+1)
		}
		at += len(p)
		prev = ""
	}
	return ids, ends
}

// Decode implements [Tokenizer].
func (w *Word) Decode(ids []int32) string {
	var b strings.Builder
	var n nibbleReader
	prev := ""
	for _, id := range ids {
		if c, done, ok := n.next(id); ok {
			if done {
				b.WriteByte(c)
				prev = ""
			}
			continue
		}
		i := int(id) - firstToken
		if i < 0 || i >= len(w.tokens) {
			continue
		}
		t := w.tokens[i]
		if implied(prev, t) {
			b.WriteByte(' ')
		}
		if t != tokJoin {
			b.WriteString(t)
		}
		prev = t
	}
	return b.String()
}

// Size implements [Tokenizer].
func (w *Word) Size() int { return firstToken + len(w.tokens) }

// Special implements [Tokenizer].
func (w *Word) Special() Special { return specials }

// Kind implements [Tokenizer].
func (w *Word) Kind() string { return kindWord }

// MarshalJSON implements [encoding/json.Marshaler].
func (w *Word) MarshalJSON() ([]byte, error) {
	s := stored{Format: format, Kind: kindWord}
	for _, t := range w.tokens {
		s.Tokens = append(s.Tokens, toLatin(t))
	}
	return json.Marshal(s)
}
