package hf

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// unigram chooses the most probable way to cut a word (Kudo 2018).
type unigram struct {
	*vocab
	scores   []float64
	unk      int32 // -1: none
	unkScore float64
	fallback *[256]int32
	trie     *trie
}

// unkPenalty is how much worse than the worst token an unknown character is.
const unkPenalty = 10

// newUnigram takes tokens in the order of their ids. Of equal ones the last
// counts. With text, only the tokens it says true of are looked for in texts.
func newUnigram(tokens []string, scores []float64, text func(i int) bool, unk int32, fallback bool) (*unigram, error) {
	if int(unk) >= len(tokens) {
		return nil, fmt.Errorf("unk_id is %d, the vocabulary has %d tokens", unk, len(tokens))
	}
	v := &vocab{ids: make(map[string]int32, len(tokens)), tokens: tokens, used: make([]bool, len(tokens))}
	u := &unigram{vocab: v, scores: scores, unk: unk, trie: newTrie()}
	low := math.Inf(1)
	for i, t := range tokens {
		v.ids[t] = int32(i)
		v.used[i] = true
		if text == nil || text(i) {
			low = math.Min(low, scores[i])
		}
		if math.IsNaN(scores[i]) || math.IsInf(scores[i], 0) {
			return nil, fmt.Errorf("token %d (%q) has score %v", i, t, scores[i])
		}
	}
	for t, id := range v.ids {
		if text == nil || text(int(id)) {
			u.trie.put(t, id)
		}
	}
	u.unkScore = low - unkPenalty
	if fallback {
		u.fallback = v.byteTokens()
	}
	return u, nil
}

// pathNode is the best way to reach a byte of a word.
type pathNode struct {
	score float64
	from  int32
	id    int32
	known bool
}

func (u *unigram) tokenize(out []token, p *piece, s *scratch) ([]token, error) {
	if p.byteLevel {
		spellBytes(p)
	}
	text := p.text
	if found, ok := s.recall(text); ok {
		return append(out, found...), nil
	}
	if cap(s.path) < len(text)+1 {
		s.path = make([]pathNode, len(text)+1)
	}
	path := s.path[:len(text)+1]
	clear(path)
	for at := 0; at < len(text); {
		_, n := utf8.DecodeRuneInString(text[at:])
		here := path[at].score
		single := false
		offer := func(end int, score float64, id int32) {
			if to := &path[end]; !to.known || score > to.score {
				*to = pathNode{score, int32(at), id, true}
			}
		}
		node := int32(0)
		for i := at; i < len(text); i++ {
			if node = u.trie.next(node, text[i]); node < 0 {
				break
			}
			if id := u.trie.id(node); id >= 0 {
				offer(i+1, here+u.scores[id], id)
				single = single || i+1-at == n
			}
		}
		if !single {
			if u.unk < 0 {
				return nil, errors.New("a character is unknown and the model has no unk_id")
			}
			offer(at+n, here+u.unkScore, u.unk)
		}
		at += n
	}
	before := len(out)
	s.tokens = s.tokens[:0]
	for end := len(text); end > 0; {
		n := path[end]
		t := token{n.id, n.from, int32(end)}
		if last := len(s.tokens) - 1; n.id == u.unk && last >= 0 && s.tokens[last].id == u.unk {
			s.tokens[last].start = t.start
		} else {
			s.tokens = append(s.tokens, t)
		}
		end = int(n.from)
	}
	for i := len(s.tokens) - 1; i >= 0; i-- {
		out = u.resolve(out, s.tokens[i], text)
	}
	s.remember(text, out[before:])
	return out, nil
}

// resolve looks a stretch up again: joined unknown characters may be a token, or
// have one for every byte.
func (u *unigram) resolve(out []token, t token, text string) []token {
	if id, ok := u.ids[text[t.start:t.end]]; ok {
		t.id = id
		return append(out, t)
	}
	if u.fallback != nil {
		from := len(out)
		for i := t.start; i < t.end; i++ {
			id := u.fallback[text[i]]
			if id < 0 {
				return append(out[:from], token{u.unk, t.start, t.end})
			}
			out = append(out, token{id, t.start, t.end})
		}
		return out
	}
	return append(out, token{u.unk, t.start, t.end})
}

// trie finds tokens by their bytes. Edges lie in a
// map of (node, byte), those of the root in a table.
type trie struct {
	edges map[uint64]int32
	ids   []int32
	root  [256]int32
}

func newTrie() *trie {
	t := &trie{edges: map[uint64]int32{}, ids: []int32{-1}}
	for i := range t.root {
		t.root[i] = -1
	}
	return t
}

func (t *trie) put(s string, id int32) {
	if s == "" {
		return
	}
	node := int32(0)
	for i := range len(s) {
		next := t.next(node, s[i])
		if next < 0 {
			next = int32(len(t.ids))
			t.ids = append(t.ids, -1)
			if node == 0 {
				t.root[s[i]] = next
			} else {
				t.edges[uint64(node)<<8|uint64(s[i])] = next
			}
		}
		node = next
	}
	t.ids[node] = id
}

func (t *trie) next(node int32, c byte) int32 {
	if node == 0 {
		return t.root[c]
	}
	if n, ok := t.edges[uint64(node)<<8|uint64(c)]; ok {
		return n
	}
	return -1
}

func (t *trie) id(node int32) int32 { return t.ids[node] }
