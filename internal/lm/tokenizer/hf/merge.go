package hf

import "math/bits"

// symbol is a token in the making. Symbols form a linked list within a slice.
type symbol struct {
	id         int32
	prev, next int32 // -1: none
	len        int32 // bytes; 0: merged into the one before
}

func (s *scratch) add(id int32, n int) {
	i := int32(len(s.symbols))
	if i > 0 {
		s.symbols[i-1].next = i
	}
	s.symbols = append(s.symbols, symbol{id, i - 1, -1, int32(n)})
}

// emit appends the symbols that are left as tokens.
func (s *scratch) emit(out []token, at int) []token {
	start := int32(at)
	for i := range s.symbols {
		if n := s.symbols[i].len; n > 0 {
			out = append(out, token{s.symbols[i].id, start, start + n})
			start += n
		}
	}
	return out
}

// merge is a pair that can be merged: the symbol at pos and the one behind it.
type merge struct {
	rank, pos, id int32
}

func (m merge) before(o merge) bool {
	return m.rank < o.rank || m.rank == o.rank && m.pos < o.pos
}

// shortWord is the number of symbols up to which looking through all pairs is
// faster than keeping a heap.
const shortWord = 24

// mergeAll applies all merges: always the one learned first, of equal ones the
// leftmost.
func (b *bpe) mergeAll(s *scratch) {
	if len(s.symbols) < 2 {
		return
	}
	if len(s.symbols) <= shortWord {
		b.mergeShort(s)
		return
	}
	s.heap = s.heap[:0]
	for i := range len(s.symbols) - 1 {
		if m, ok := b.merges.get(s.symbols[i].id, s.symbols[i+1].id); ok {
			s.heap = append(s.heap, merge{m.rank, int32(i), m.id})
		}
	}
	for i := len(s.heap)/2 - 1; i >= 0; i-- {
		down(s.heap, i)
	}
	for len(s.heap) > 0 {
		top := s.heap[0]
		last := len(s.heap) - 1
		s.heap[0] = s.heap[last]
		s.heap = s.heap[:last]
		down(s.heap, 0)

		left := &s.symbols[top.pos]
		if left.len == 0 || left.next < 0 {
			continue
		}
		right := &s.symbols[left.next]
		// The pair may have changed since it was put into the heap.
		if m, ok := b.merges.get(left.id, right.id); !ok || m.id != top.id {
			continue
		}
		left.id = top.id
		left.len += right.len
		left.next = right.next
		right.len = 0
		if right.next >= 0 {
			s.symbols[right.next].prev = top.pos
		}
		if left.prev >= 0 {
			if m, ok := b.merges.get(s.symbols[left.prev].id, left.id); ok {
				s.push(merge{m.rank, left.prev, m.id})
			}
		}
		if left.next >= 0 {
			if m, ok := b.merges.get(left.id, s.symbols[left.next].id); ok {
				s.push(merge{m.rank, top.pos, m.id})
			}
		}
	}
}

// mergeShort is mergeAll without a heap: the symbols are moved together.
func (b *bpe) mergeShort(s *scratch) {
	const none = 1<<31 - 1
	var ranks, made [shortWord]int32
	sym := s.symbols
	look := func(i int) {
		ranks[i] = none
		if m, ok := b.merges.get(sym[i].id, sym[i+1].id); ok {
			ranks[i], made[i] = m.rank, m.id
		}
	}
	for i := range len(sym) - 1 {
		look(i)
	}
	for len(sym) > 1 {
		best := 0
		for i := 1; i < len(sym)-1; i++ {
			if ranks[i] < ranks[best] {
				best = i
			}
		}
		if ranks[best] == none {
			break
		}
		sym[best].id = made[best]
		sym[best].len += sym[best+1].len
		n := len(sym) - 1
		copy(sym[best+1:], sym[best+2:])
		copy(ranks[best+1:n], ranks[best+2:n+1])
		copy(made[best+1:n], made[best+2:n+1])
		sym = sym[:n]
		if best > 0 {
			look(best - 1)
		}
		if best < n-1 {
			look(best)
		}
	}
	s.symbols = sym
}

func (s *scratch) push(m merge) {
	h := append(s.heap, m)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !h[i].before(h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
	s.heap = h
}

// down restores the heap's order below i.
func down(h []merge, i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

// mergeTable maps pairs of ids, by open addressing: it is asked several times for
// every token, and the built-in map takes twice as long.
type mergeTable struct {
	keys   []uint64 // the pair plus one; 0 is free
	values []mergeInfo
	shift  uint8
}

func newMergeTable(n int) *mergeTable {
	size := 1 << bits.Len(uint(2*n+1))
	return &mergeTable{
		keys:   make([]uint64, size),
		values: make([]mergeInfo, size),
		shift:  uint8(65 - bits.Len(uint(size))),
	}
}

// slot spreads keys with Fibonacci hashing.
func (t *mergeTable) slot(key uint64) int {
	return int(key * 0x9E3779B97F4A7C15 >> t.shift)
}

// put stores a pair. A later one of the same ids replaces the earlier.
func (t *mergeTable) put(left, right int32, m mergeInfo) {
	key := uint64(left)<<32 | uint64(right) + 1
	i := t.slot(key)
	for t.keys[i] != 0 && t.keys[i] != key {
		i = (i + 1) & (len(t.keys) - 1)
	}
	t.keys[i], t.values[i] = key, m
}

func (t *mergeTable) get(left, right int32) (mergeInfo, bool) {
	key := uint64(left)<<32 | uint64(right) + 1
	i := t.slot(key)
	for t.keys[i] != 0 {
		if t.keys[i] == key {
			return t.values[i], true
		}
		i = (i + 1) & (len(t.keys) - 1)
	}
	return mergeInfo{}, false
}
