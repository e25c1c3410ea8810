package hf

import (
	"strings"
	"unicode/utf8"
)

// AddedToken is a token that is cut out of a text before anything else.
type AddedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where no word goes on around it
	LStrip     bool   `json:"lstrip"`      // takes the white space before it
	RStrip     bool   `json:"rstrip"`      // takes the white space after it
	Normalized bool   `json:"normalized"`  // looked for in the normalized text
	Special    bool   `json:"special"`     // left out when decoding
}

// finder looks for the longest of many strings at every position of a text.
type finder struct {
	nodes []finderNode
	first [256]bool
}

type finderNode struct {
	next  map[byte]int32
	token *AddedToken
}

func newFinder(tokens map[string]*AddedToken) *finder {
	if len(tokens) == 0 {
		return nil
	}
	f := &finder{nodes: make([]finderNode, 1)}
	for content, t := range tokens {
		if content == "" {
			continue
		}
		f.first[content[0]] = true
		at := int32(0)
		for i := range len(content) {
			next, ok := f.nodes[at].next[content[i]]
			if !ok {
				next = int32(len(f.nodes))
				f.nodes = append(f.nodes, finderNode{})
				if f.nodes[at].next == nil {
					f.nodes[at].next = map[byte]int32{}
				}
				f.nodes[at].next[content[i]] = next
			}
			at = next
		}
		f.nodes[at].token = t
	}
	return f
}

// at gives the longest token that begins text, and its length.
func (f *finder) at(text string) (*AddedToken, int) {
	var found *AddedToken
	size, node := 0, int32(0)
	for i := range len(text) {
		next, ok := f.nodes[node].next[text[i]]
		if !ok {
			break
		}
		node = next
		if t := f.nodes[node].token; t != nil {
			found, size = t, i+1
		}
	}
	return found, size
}

// plainness says where special tokens are text like any other: everywhere, or in
// spans of the source.
type plainness struct {
	all   bool
	spans []Span
}

// at reports whether special tokens at s are text. One that only partly lies in a
// plain span is text too: its other part would let the span complete it.
func (p plainness) at(s span) bool {
	if p.all {
		return true
	}
	for _, q := range p.spans {
		if int(s.start) < q.End && int(s.end) > q.Start {
			return true
		}
	}
	return false
}

// split cuts the tokens out of a piece.
func (f *finder) split(out []piece, p *piece, plain plainness) []piece {
	if f == nil || p.text == "" {
		return append(out, *p)
	}
	text, last := p.text, 0
	for at := 0; at < len(text); {
		if !f.first[text[at]] {
			at++
			continue
		}
		t, size := f.at(text[at:])
		if t == nil {
			at++
			continue
		}
		start, stop := at, at+size
		at = stop
		if t.Special && plain.at(p.source(start, stop)) {
			if !plain.all {
				// One that is meant may begin within it, behind the span.
				at = start + 1
			}
			continue
		}
		if t.SingleWord {
			before, _ := utf8.DecodeLastRuneInString(text[:start])
			behind, _ := utf8.DecodeRuneInString(text[stop:])
			if start > 0 && isWord(before) || stop < len(text) && isWord(behind) {
				continue
			}
		}
		if t.LStrip {
			start = max(last, len(strings.TrimRightFunc(text[:start], isWhitespace)))
		}
		if t.RStrip {
			stop = len(text) - len(strings.TrimLeftFunc(text[stop:], isWhitespace))
		}
		// White space taken by the token before this one is gone.
		start = max(start, min(last, stop))
		if last < start {
			out = append(out, p.slice(last, start))
		}
		cut := p.slice(start, stop)
		cut.token = t.ID
		out = append(out, cut)
		last = stop
	}
	if last < len(text) {
		out = append(out, p.slice(last, len(text)))
	}
	return out
}
