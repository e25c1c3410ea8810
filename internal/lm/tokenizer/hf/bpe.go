package hf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// bpe merges pairs of symbols in the order they were learned (Sennrich, Haddow
// and Birch 2016).
type bpe struct {
	*vocab
	merges       *mergeTable
	unk          int32 // -1: what is unknown is dropped
	fuseUnk      bool
	ignoreMerges bool // a word that is a token is not cut
	prefix       string
	suffix       string
	fallback     *[256]int32 // tokens of single bytes, or nil
	// raw maps tokens as byte strings, for pieces whose byte-level spelling is
	// left out; rawByte is the part of it with one byte.
	raw     map[string]int32
	rawByte [256]int32
	runes   map[rune]int32 // tokens of one character
	low     [0x800]int32   // the same for the usual ones; -1 none
	// inside holds the pairs of neighbouring characters that occur within some
	// token. Between two others no merge can ever happen, so a text can be cut
	// there first: that turns one long merge into many short ones, which repeat
	// and are remembered. nil: do not cut.
	inside   map[[2]rune]struct{}
	insideLo *[128][128]bool // the ASCII part of inside
}

// mergeInfo is what a pair of ids becomes.
type mergeInfo struct {
	rank, id int32
}

type bpeSettings struct {
	unk                             string
	fuseUnk, ignoreMerges, fallback bool
	prefix, suffix                  string
}

// newBPE checks a vocabulary and its merges. Merges are pairs of tokens; the rank
// of one is its place in the list, unless ranks says otherwise.
func newBPE(v *vocab, merges [][2]string, ranks []int32, s bpeSettings) (*bpe, error) {
	b := &bpe{vocab: v, unk: -1, fuseUnk: s.fuseUnk, ignoreMerges: s.ignoreMerges, prefix: s.prefix, suffix: s.suffix}
	if s.unk != "" {
		id, ok := v.ids[s.unk]
		if !ok {
			return nil, fmt.Errorf("unk_token %q is not in the vocabulary", s.unk)
		}
		b.unk = id
	}
	if s.fallback {
		b.fallback = v.byteTokens()
	}
	b.merges = newMergeTable(len(merges))
	for i, m := range merges {
		rank := int32(i)
		if ranks != nil {
			rank = ranks[i]
		}
		left, ok1 := v.ids[m[0]]
		right, ok2 := v.ids[m[1]]
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("merge %d joins %q and %q: not both are in the vocabulary", i, m[0], m[1])
		}
		if len(m[1]) < len(s.prefix) {
			return nil, fmt.Errorf("merge %d: %q lacks the prefix %q", i, m[1], s.prefix)
		}
		made, ok := v.ids[m[0]+m[1][len(s.prefix):]]
		if !ok {
			return nil, fmt.Errorf("merge %d makes %q, which is not in the vocabulary", i, m[0]+m[1][len(s.prefix):])
		}
		if left == b.unk || right == b.unk {
			return nil, fmt.Errorf("merge %d joins the unknown token", i)
		}
		b.merges.put(left, right, mergeInfo{rank, made})
	}
	b.index()
	return b, nil
}

// index prepares the look-ups of single characters and bytes.
func (b *bpe) index() {
	b.runes = map[rune]int32{}
	for i := range b.low {
		b.low[i] = -1
	}
	for t, id := range b.ids {
		r, n := utf8.DecodeRuneInString(t)
		if n != len(t) || n == 0 {
			continue
		}
		b.runes[r] = id
		if int(r) < len(b.low) {
			b.low[r] = id
		}
	}
	if b.prefix != "" || b.suffix != "" || !b.coversAll() {
		return
	}
	b.inside = map[[2]rune]struct{}{}
	b.insideLo = new([128][128]bool)
	for t := range b.ids {
		prev := rune(-1)
		for _, r := range t {
			switch {
			case prev < 0:
			case prev < 128 && r < 128:
				b.insideLo[prev][r] = true
			default:
				b.inside[[2]rune{prev, r}] = struct{}{}
			}
			prev = r
		}
	}
}

// coversAll reports whether every character becomes a token of its own length. What
// is dropped shifts the offsets behind it, so that no cut may lie there.
func (b *bpe) coversAll() bool {
	if b.unk >= 0 {
		// A one-character unknown token could not be told from the character.
		return utf8.RuneCountInString(b.tokens[b.unk]) > 1
	}
	return b.fallback != nil && !slices.Contains(b.fallback[:], -1)
}

// prepareRaw lets the model work on bytes instead of byte-level characters.
func (b *bpe) prepareRaw() {
	b.raw = make(map[string]int32, len(b.ids))
	for i := range b.rawByte {
		b.rawByte[i] = -1
	}
	var buf []byte
next:
	for t, id := range b.ids {
		buf = buf[:0]
		for _, r := range t {
			c, ok := charBytes[r]
			if !ok {
				continue next
			}
			buf = append(buf, c)
		}
		b.raw[string(buf)] = id
		if len(buf) == 1 {
			b.rawByte[buf[0]] = id
		}
	}
}

func (b *bpe) tokenize(out []token, p *piece, s *scratch) ([]token, error) {
	if p.text == "" {
		return out, nil
	}
	if p.byteLevel {
		if b.raw != nil {
			return b.tokenizeRaw(out, p.text, s)
		}
		spellBytes(p)
	}
	if b.ignoreMerges {
		if id, ok := b.ids[p.text]; ok {
			return append(out, token{id, 0, int32(len(p.text))}), nil
		}
	}
	if b.inside == nil {
		return b.segment(out, p.text, 0, s), nil
	}
	from, prev := 0, rune(-1)
	for i, r := range p.text {
		if prev >= 0 && !b.joined(prev, r) {
			out = b.segment(out, p.text[from:i], from, s)
			from = i
		}
		prev = r
	}
	return b.segment(out, p.text[from:], from, s), nil
}

func (b *bpe) joined(x, y rune) bool {
	if x < 128 && y < 128 {
		return b.insideLo[x][y]
	}
	_, ok := b.inside[[2]rune{x, y}]
	return ok
}

// segment is word with memory, and joins unknown tokens across a cut.
func (b *bpe) segment(out []token, text string, at int, s *scratch) []token {
	before := len(out)
	if found, ok := s.recall(text); ok {
		for _, t := range found {
			out = append(out, token{t.id, t.start + int32(at), t.end + int32(at)})
		}
	} else {
		out = b.word(out, text, at, s)
		s.tokens = s.tokens[:0]
		for _, t := range out[before:] {
			s.tokens = append(s.tokens, token{t.id, t.start - int32(at), t.end - int32(at)})
		}
		s.remember(text, s.tokens)
	}
	if b.fuseUnk && before > 0 && before < len(out) && out[before-1].id == b.unk && out[before].id == b.unk &&
		b.unk >= 0 && out[before-1].end == out[before].start {
		out[before-1].end = out[before].end
		out = append(out[:before], out[before+1:]...)
	}
	return out
}

// tokenizeRaw is tokenize on bytes.
func (b *bpe) tokenizeRaw(out []token, text string, s *scratch) ([]token, error) {
	if b.ignoreMerges {
		if id, ok := b.raw[text]; ok {
			return append(out, token{id, 0, int32(len(text))}), nil
		}
	}
	if found, ok := s.recall(text); ok {
		return append(out, found...), nil
	}
	before := len(out)
	s.symbols = s.symbols[:0]
	for i := range len(text) {
		if id := b.rawByte[text[i]]; id >= 0 {
			s.add(id, 1)
			continue
		}
		// A byte without a token: its character is unknown, as spelled out.
		p := piece{text: text, token: -1, byteLevel: true}
		return b.rawUnknown(out, &p, s)
	}
	b.mergeAll(s)
	out = s.emit(out, 0)
	s.remember(text, out[before:])
	return out, nil
}

// rawUnknown takes the slow way and maps the offsets back to bytes.
func (b *bpe) rawUnknown(out []token, p *piece, s *scratch) ([]token, error) {
	ends := make([]int32, 0, 2*len(p.text)+1)
	for i := range len(p.text) {
		for range utf8.RuneLen(byteChars[p.text[i]]) {
			ends = append(ends, int32(i))
		}
	}
	before := len(out)
	spelled := *p
	spellBytes(&spelled)
	out = b.word(out, spelled.text, 0, s)
	for i := range out[before:] {
		t := &out[before+i]
		t.start, t.end = ends[t.start], ends[t.end-1]+1
	}
	return out, nil
}

// word merges one word that stands at offset at of its piece.
func (b *bpe) word(out []token, text string, at int, s *scratch) []token {
	s.symbols = s.symbols[:0]
	unk := 0 // bytes of unknown characters that wait
	for i, r := range text {
		n := utf8.RuneLen(r)
		id := int32(-1)
		var spelled string
		switch {
		case b.prefix != "" && i > 0, b.suffix != "" && i+n == len(text):
			spelled = text[i : i+n]
			if i > 0 {
				spelled = b.prefix + spelled
			}
			if i+n == len(text) {
				spelled += b.suffix
			}
			if found, ok := b.ids[spelled]; ok {
				id = found
			}
		case int(r) < len(b.low):
			id = b.low[r]
		default:
			if found, ok := b.runes[r]; ok {
				id = found
			}
		}
		if id >= 0 {
			if unk > 0 {
				s.add(b.unk, unk)
				unk = 0
			}
			s.add(id, n)
			continue
		}
		if b.fallback != nil {
			if spelled == "" {
				spelled = text[i : i+n]
			}
			if b.addBytes(spelled, s) {
				continue
			}
		}
		if b.unk >= 0 {
			if unk > 0 && !b.fuseUnk {
				s.add(b.unk, unk)
				unk = 0
			}
			unk += n
		}
	}
	if unk > 0 {
		s.add(b.unk, unk)
	}
	b.mergeAll(s)
	return s.emit(out, at)
}

// addBytes spells a character with byte tokens, if there is one for each byte.
func (b *bpe) addBytes(char string, s *scratch) bool {
	for i := range len(char) {
		if b.fallback[char[i]] < 0 {
			return false
		}
	}
	for i := range len(char) {
		s.add(b.fallback[char[i]], 1)
	}
	return true
}

// parseMerge reads a merge in its older form, "left right".
func parseMerge(s string) ([2]string, error) {
	left, right, ok := strings.Cut(s, " ")
	if !ok || strings.Contains(right, " ") {
		return [2]string{}, errors.New("must be two tokens with a space between")
	}
	return [2]string{left, right}, nil
}
