package hf

import "fmt"

// token is what a model makes of a stretch of a word: text[start:end] of it.
type token struct {
	id         int32
	start, end int32
}

// model cuts words into tokens.
type model interface {
	// tokenize appends the tokens of a word to out. s holds what a model needs
	// from call to call.
	tokenize(out []token, p *piece, s *scratch) ([]token, error)
	// tokenID and idToken are the vocabulary; idToken gives "" and false for an
	// id that is none of the model's.
	tokenID(text string) (int32, bool)
	idToken(id int32) (string, bool)
	// top is one more than the highest of the model's ids.
	top() int
}

// vocab is the two-way map of a model's tokens.
type vocab struct {
	ids    map[string]int32
	tokens []string // by id; unused ids are ""
	used   []bool
}

// maxID bounds ids, so that a broken file cannot ask for all memory.
const maxID = 1 << 24

func newVocab(ids map[string]int32) (*vocab, error) {
	v := &vocab{ids: ids}
	top := int32(-1)
	for t, id := range ids {
		if id < 0 || id >= maxID {
			return nil, fmt.Errorf("token %q has id %d: ids are between 0 and %d", t, id, maxID-1)
		}
		top = max(top, id)
	}
	v.tokens, v.used = make([]string, top+1), make([]bool, top+1)
	for t, id := range ids {
		// Two tokens of one id: the first in byte order stands for it.
		if !v.used[id] || t < v.tokens[id] {
			v.tokens[id], v.used[id] = t, true
		}
	}
	return v, nil
}

func (v *vocab) tokenID(text string) (int32, bool) {
	id, ok := v.ids[text]
	return id, ok
}

func (v *vocab) idToken(id int32) (string, bool) {
	if id < 0 || int(id) >= len(v.tokens) || !v.used[id] {
		return "", false
	}
	return v.tokens[id], true
}

func (v *vocab) top() int { return len(v.tokens) }

// byteTokens finds the 256 tokens <0x00> to <0xFF>; a missing one is -1.
func (v *vocab) byteTokens() *[256]int32 {
	var out [256]int32
	for b := range out {
		out[b] = -1
		if id, ok := v.ids[fmt.Sprintf("<0x%02X>", b)]; ok {
			out[b] = id
		}
	}
	return &out
}

// scratch is working memory that one call of Encode uses at a time.
type scratch struct {
	symbols []symbol
	heap    []merge
	tokens  []token
	cache   map[string][]token
	path    []pathNode
}

// Words up to wordLimit bytes are remembered, up to cacheLimit of them.
const (
	wordLimit  = 64
	cacheLimit = 1 << 16
)

// recall gives the remembered tokens of a word.
func (s *scratch) recall(word string) ([]token, bool) {
	t, ok := s.cache[word]
	return t, ok
}

func (s *scratch) remember(word string, tokens []token) {
	if len(word) > wordLimit || len(s.cache) >= cacheLimit {
		return
	}
	if s.cache == nil {
		s.cache = map[string][]token{}
	}
	// A copy: the word is part of a text that should not be kept.
	s.cache[string([]byte(word))] = append([]token(nil), tokens...)
}
