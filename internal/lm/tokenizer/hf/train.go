package hf

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/tokenizer/pattern"
)

// TrainOptions says what [TrainBPE] makes.
type TrainOptions struct {
	Size int // ids, special tokens and the 256 bytes included
	// Special are the special tokens, which get the first ids. BOS is put in front
	// of every text if it is among them.
	Special []string
	BOS     string
	// MinCount is how often a pair must occur to be merged; 0 means 2.
	MinCount int
}

// TrainBPE learns a byte-level BPE tokenizer (GPT-2's kind) from texts and returns
// its tokenizer.json. Every byte is a token, so that it covers all text. Of pairs
// that are equally frequent the one with the lower ids comes first, so the result
// depends on the texts alone, and not on their order.
func TrainBPE(texts []string, o TrainOptions) ([]byte, error) {
	if least := len(o.Special) + 256; o.Size < least {
		return nil, fmt.Errorf("tokenizer size %d: must be at least %d, for all bytes and %d special tokens", o.Size, least, len(o.Special))
	}
	if o.BOS != "" && !slices.Contains(o.Special, o.BOS) {
		return nil, fmt.Errorf("BOS %q is not among the special tokens", o.BOS)
	}
	if o.MinCount == 0 {
		o.MinCount = 2
	}
	t := &bpeTrainer{ids: map[string]int32{}, counts: map[[2]int32]int{}, where: map[[2]int32]map[int]struct{}{}}
	for _, s := range o.Special {
		if _, ok := t.ids[s]; ok || s == "" {
			return nil, fmt.Errorf("special token %q is empty or given twice", s)
		}
		t.add(s)
	}
	alphabet := slices.Sorted(maps.Keys(charBytes))
	for _, r := range alphabet {
		if _, ok := t.ids[string(r)]; ok {
			return nil, fmt.Errorf("special token %q is the sign of a byte", string(r))
		}
		t.add(string(r))
	}
	if err := t.words(texts); err != nil {
		return nil, err
	}
	t.run(o.Size, o.MinCount)
	return t.file(o)
}

type trainWord struct {
	ids   []int32
	count int
}

type bpeTrainer struct {
	tokens []string
	ids    map[string]int32
	list   []trainWord
	merges [][2]string
	counts map[[2]int32]int
	where  map[[2]int32]map[int]struct{} // words that a pair may occur in
	queue  pairQueue
}

func (t *bpeTrainer) add(s string) int32 {
	if id, ok := t.ids[s]; ok {
		return id
	}
	id := int32(len(t.tokens))
	t.tokens = append(t.tokens, s)
	t.ids[s] = id
	return id
}

// words counts the words of the texts and spells them in byte tokens.
func (t *bpeTrainer) words(texts []string) error {
	re, err := pattern.Compile(gpt2)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, text := range texts {
		p := newPiece(text)
		last := 0
		err := re.Each(p.text, func(start, end int) {
			if last < start {
				counts[p.text[last:start]]++
			}
			counts[p.text[start:end]]++
			last = end
		})
		if err != nil {
			return err
		}
		if last < len(p.text) {
			counts[p.text[last:]]++
		}
	}
	for _, w := range slices.Sorted(maps.Keys(counts)) {
		word := trainWord{count: counts[w]}
		for i := range len(w) {
			word.ids = append(word.ids, t.ids[string(byteChars[w[i]])])
		}
		t.list = append(t.list, word)
	}
	return nil
}

// run merges the most frequent pair until there are size tokens or no pair occurs
// often enough.
func (t *bpeTrainer) run(size, least int) {
	for i, w := range t.list {
		for k := 1; k < len(w.ids); k++ {
			t.note([2]int32{w.ids[k-1], w.ids[k]}, w.count, i)
		}
	}
	for p, n := range t.counts {
		t.queue = append(t.queue, pairCount{p, n})
	}
	heap.Init(&t.queue)
	for len(t.tokens) < size && len(t.queue) > 0 {
		top := heap.Pop(&t.queue).(pairCount)
		if now := t.counts[top.pair]; now != top.count {
			// It has changed since: back in line.
			if now > 0 {
				heap.Push(&t.queue, pairCount{top.pair, now})
			}
			continue
		}
		if top.count < least {
			break
		}
		t.merge(top.pair)
	}
}

func (t *bpeTrainer) note(p [2]int32, n, word int) {
	t.counts[p] += n
	if n > 0 {
		if t.where[p] == nil {
			t.where[p] = map[int]struct{}{}
		}
		t.where[p][word] = struct{}{}
	}
}

// merge replaces a pair in all words and brings the counts up to date.
func (t *bpeTrainer) merge(p [2]int32) {
	made := t.add(t.tokens[p[0]] + t.tokens[p[1]])
	t.merges = append(t.merges, [2]string{t.tokens[p[0]], t.tokens[p[1]]})
	grown := map[[2]int32]struct{}{}
	for i := range t.where[p] {
		w := &t.list[i]
		for k := 1; k < len(w.ids); k++ {
			t.counts[[2]int32{w.ids[k-1], w.ids[k]}] -= w.count
		}
		out := w.ids[:0]
		for k := 0; k < len(w.ids); k++ {
			if k+1 < len(w.ids) && w.ids[k] == p[0] && w.ids[k+1] == p[1] {
				out = append(out, made)
				k++
				continue
			}
			out = append(out, w.ids[k])
		}
		w.ids = out
		for k := 1; k < len(w.ids); k++ {
			q := [2]int32{w.ids[k-1], w.ids[k]}
			t.note(q, w.count, i)
			if q[0] == made || q[1] == made {
				grown[q] = struct{}{}
			}
		}
	}
	delete(t.where, p)
	delete(t.counts, p)
	for q := range grown {
		heap.Push(&t.queue, pairCount{q, t.counts[q]})
	}
}

type pairCount struct {
	pair  [2]int32
	count int
}

// pairQueue has the most frequent pair on top, of equal ones the lower ids.
type pairQueue []pairCount

func (q pairQueue) Len() int { return len(q) }
func (q pairQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[j].count, q[i].count), slices.Compare(q[i].pair[:], q[j].pair[:])) < 0
}
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *pairQueue) Push(x any)   { *q = append(*q, x.(pairCount)) }
func (q *pairQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

// file writes the tokenizer.json.
func (t *bpeTrainer) file(o TrainOptions) ([]byte, error) {
	type m = map[string]any
	added := []AddedToken{}
	for i, s := range o.Special {
		added = append(added, AddedToken{ID: int32(i), Content: s, Special: true})
	}
	var post any
	if o.BOS != "" {
		special := func(typeID int) m { return m{"SpecialToken": m{"id": o.BOS, "type_id": typeID}} }
		text := func(id string, typeID int) m { return m{"Sequence": m{"id": id, "type_id": typeID}} }
		post = m{
			"type": "TemplateProcessing", "single": []m{special(0), text("A", 0)},
			"pair":           []m{special(0), text("A", 0), special(1), text("B", 1)},
			"special_tokens": m{o.BOS: m{"id": o.BOS, "ids": []int32{t.ids[o.BOS]}, "tokens": []string{o.BOS}}},
		}
	}
	level := m{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true}
	merges := t.merges
	if merges == nil {
		merges = [][2]string{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(m{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added, "normalizer": nil,
		"pre_tokenizer": level, "post_processor": post, "decoder": level,
		"model": m{
			"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": t.ids, "merges": merges,
		},
	})
	return b.Bytes(), err
}
