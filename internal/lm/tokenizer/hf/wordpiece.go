package hf

import (
	"fmt"
	"unicode/utf8"
)

// wordPiece takes the longest token that fits, again and again (Wu et al. 2016).
type wordPiece struct {
	*vocab
	unk      int32
	prefix   string // marks a token that continues a word
	maxChars int    // a longer word is unknown as a whole
	longest  int    // bytes of the longest token
}

func newWordPiece(v *vocab, unk, prefix string, maxChars int) (*wordPiece, error) {
	id, ok := v.ids[unk]
	if !ok {
		return nil, fmt.Errorf("unk_token %q is not in the vocabulary", unk)
	}
	w := &wordPiece{vocab: v, unk: id, prefix: prefix, maxChars: maxChars}
	for t := range v.ids {
		w.longest = max(w.longest, len(t))
	}
	return w, nil
}

func (w *wordPiece) tokenize(out []token, p *piece, s *scratch) ([]token, error) {
	if p.byteLevel {
		spellBytes(p)
	}
	text := p.text
	if found, ok := s.recall(text); ok {
		return append(out, found...), nil
	}
	before := len(out)
	out = w.word(out, text)
	s.remember(text, out[before:])
	return out, nil
}

func (w *wordPiece) word(out []token, text string) []token {
	unknown := token{w.unk, 0, int32(len(text))}
	if utf8.RuneCountInString(text) > w.maxChars {
		return append(out, unknown)
	}
	from := len(out)
	for at := 0; at < len(text); {
		prefix := ""
		if at > 0 {
			prefix = w.prefix
		}
		end := min(len(text), at+w.longest)
		for end < len(text) && !utf8.RuneStart(text[end]) {
			end--
		}
		id, ok := int32(0), false
		for end > at {
			if id, ok = w.ids[prefix+text[at:end]]; ok {
				break
			}
			for end--; end > at && !utf8.RuneStart(text[end]); end-- {
			}
		}
		if !ok {
			return append(out[:from], unknown)
		}
		out = append(out, token{id, int32(at), int32(end)})
		at = end
	}
	return out
}

// wordLevel has a token for every word it knows.
type wordLevel struct {
	*vocab
	unk int32 // -1: an unknown word is an error
}

func (w *wordLevel) tokenize(out []token, p *piece, _ *scratch) ([]token, error) {
	if p.byteLevel {
		spellBytes(p)
	}
	id, ok := w.ids[p.text]
	if !ok {
		if w.unk < 0 {
			return nil, fmt.Errorf("the word %q is not in the vocabulary, and unk_token is not either", p.text)
		}
		id = w.unk
	}
	return append(out, token{id, 0, int32(len(p.text))}), nil
}
