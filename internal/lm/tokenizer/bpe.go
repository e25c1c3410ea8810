package tokenizer

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

const kindBPE = "bpe"

// BPE merges frequent pairs of bytes (Sennrich, Haddow and Birch 2016, on bytes
// as in GPT-2). Text is first cut into words that carry the space before them,
// and no merge crosses such a cut.
type BPE struct {
	tokens []string // by id - firstToken
	ids    map[string]int32
	merges [][2]string
	rank   map[[2]string]int
}

// TrainBPE learns merges from texts until there are size ids or no pair occurs
// twice. The bytes of the texts are tokens from the start. Ties are broken by
// the pair's bytes, so the result does not depend on the order of texts.
func TrainBPE(texts []string, size int) *BPE {
	counts := map[string]int{}
	used := map[byte]int{}
	for _, t := range texts {
		for rest := t; rest != ""; {
			p := nextChunk(rest)
			rest = rest[len(p):]
			counts[p]++
			for i := range len(p) {
				used[p[i]]++
			}
		}
	}
	var base []byte
	for b := range used {
		base = append(base, b)
	}
	// With little room the most frequent bytes come first; the rest is spelled.
	slices.SortFunc(base, func(a, b byte) int {
		return cmp.Or(cmp.Compare(used[b], used[a]), cmp.Compare(a, b))
	})
	base = base[:min(len(base), size-firstToken)]
	slices.Sort(base)
	var tokens []string
	isBase := [256]bool{}
	for _, b := range base {
		tokens = append(tokens, string([]byte{b}))
		isBase[b] = true
	}

	type word struct {
		parts []string
		count int
	}
	var words []word
	for _, p := range byCount(counts) {
		w := word{count: counts[p]}
		for i := range len(p) {
			w.parts = append(w.parts, p[i:i+1])
		}
		words = append(words, w)
	}
	known := map[string]bool{}
	for _, t := range tokens {
		known[t] = true
	}
	var merges [][2]string
	for firstToken+len(tokens) < size {
		pairs := map[[2]string]int{}
		for _, w := range words {
			for i := 1; i < len(w.parts); i++ {
				a, b := w.parts[i-1], w.parts[i]
				if (len(a) > 1 || isBase[a[0]]) && (len(b) > 1 || isBase[b[0]]) {
					pairs[[2]string{a, b}] += w.count
				}
			}
		}
		var best [2]string
		bestCount := 1
		for p, n := range pairs {
			if n > bestCount || (n == bestCount && n > 1 && slices.Compare(p[:], best[:]) < 0) {
				best, bestCount = p, n
			}
		}
		if bestCount < 2 {
			break
		}
		merges = append(merges, best)
		// Two different merges can make the same token.
		if made := best[0] + best[1]; !known[made] {
			known[made] = true
			tokens = append(tokens, made)
		}
		for i := range words {
			words[i].parts = mergePair(words[i].parts, best)
		}
	}
	return newBPE(tokens, merges)
}

func mergePair(parts []string, pair [2]string) []string {
	out := parts[:0]
	for i := 0; i < len(parts); i++ {
		if i+1 < len(parts) && parts[i] == pair[0] && parts[i+1] == pair[1] {
			out = append(out, pair[0]+pair[1])
			i++
			continue
		}
		out = append(out, parts[i])
	}
	return out
}

func newBPE(tokens []string, merges [][2]string) *BPE {
	b := &BPE{tokens: tokens, merges: merges, ids: make(map[string]int32, len(tokens)), rank: make(map[[2]string]int, len(merges))}
	for i, t := range tokens {
		b.ids[t] = int32(firstToken + i)
	}
	for i, m := range merges {
		if _, ok := b.rank[m]; !ok {
			b.rank[m] = i
		}
	}
	return b
}

// nextChunk cuts off the first unit that merges stay within: one space and a
// piece, or a piece.
func nextChunk(text string) string {
	if text[0] == ' ' && len(text) > 1 {
		if p := nextPiece(text[1:]); p != " " && p != "\n" {
			return text[:1+len(p)]
		}
		return text[:1]
	}
	return nextPiece(text)
}

// Encode implements [Tokenizer].
func (b *BPE) Encode(text string) (ids []int32, ends []int) {
	at := 0
	for rest := text; rest != ""; {
		chunk := nextChunk(rest)
		rest = rest[len(chunk):]
		for _, p := range b.split(chunk) {
			at += len(p)
			if id, ok := b.ids[p]; ok {
				ids, ends = append(ids, id), append(ends, at)
				continue
			}
			for i := range len(p) {
				ids, ends = nibbles(ids, ends, p[i], at-len(p)+i+1)
			}
		}
	}
	return ids, ends
}

// split applies the merges to one chunk, the earliest learned first.
func (b *BPE) split(chunk string) []string {
	parts := make([]string, len(chunk))
	for i := range len(chunk) {
		parts[i] = chunk[i : i+1]
	}
	for len(parts) > 1 {
		best := -1
		for i := 1; i < len(parts); i++ {
			if r, ok := b.rank[[2]string{parts[i-1], parts[i]}]; ok && (best < 0 || r < best) {
				best = r
			}
		}
		if best < 0 {
			break
		}
		parts = mergePair(parts, b.merges[best])
	}
	return parts
}

// Decode implements [Tokenizer].
func (b *BPE) Decode(ids []int32) string {
	var out strings.Builder
	var n nibbleReader
	for _, id := range ids {
		if c, done, ok := n.next(id); ok {
			if done {
				out.WriteByte(c)
			}
			continue
		}
		if i := int(id) - firstToken; i >= 0 && i < len(b.tokens) {
			out.WriteString(b.tokens[i])
		}
	}
	return out.String()
}

// Size implements [Tokenizer].
func (b *BPE) Size() int { return firstToken + len(b.tokens) }

// Special implements [Tokenizer].
func (b *BPE) Special() Special { return specials }

// Kind implements [Tokenizer].
func (b *BPE) Kind() string { return kindBPE }

// MarshalJSON implements [encoding/json.Marshaler].
func (b *BPE) MarshalJSON() ([]byte, error) {
	s := stored{Format: format, Kind: kindBPE}
	for _, t := range b.tokens {
		s.Tokens = append(s.Tokens, toLatin(t))
	}
	for _, m := range b.merges {
		s.Merges = append(s.Merges, [2]string{toLatin(m[0]), toLatin(m[1])})
	}
	return json.Marshal(s)
}
