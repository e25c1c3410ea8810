package hf

import "slices"

// postProcessor puts special tokens around encoded texts. parts holds one
// encoding, or two for a pair, and so does the result: a template joins them.
type postProcessor interface {
	// added is the number of tokens put around.
	added(pair bool) int
	process(parts []*Encoding, special bool) []*Encoding
}

type postProcessors []postProcessor

func (s postProcessors) added(pair bool) int {
	n := 0
	for _, p := range s {
		n += p.added(pair)
	}
	return n
}

func (s postProcessors) process(parts []*Encoding, special bool) []*Encoding {
	for _, p := range s {
		parts = p.process(parts, special)
	}
	return parts
}

// trimmer is the ByteLevel post-processor.
type trimmer struct{ trim, prefixSpace bool }

func (t trimmer) added(bool) int { return 0 }

func (t trimmer) process(parts []*Encoding, _ bool) []*Encoding {
	if t.trim {
		for _, e := range parts {
			e.trimOffsets(t.prefixSpace)
		}
	}
	return parts
}

// templateItem is a text (sequence 0 or 1) or special tokens (sequence -1).
type templateItem struct {
	sequence int
	ids      []int32
	typeID   int32
}

// template is the TemplateProcessing component. BertProcessing and
// RobertaProcessing are templates too.
type template struct {
	single, pair []templateItem
	trim         *trimmer
	zeroTypes    bool // all type ids are 0, with or without special tokens
	plainKeeps   bool // without special tokens nothing is done, type ids included
}

func count(items []templateItem) int {
	n := 0
	for _, it := range items {
		n += len(it.ids)
	}
	return n
}

func (t *template) added(pair bool) int {
	if pair {
		return count(t.pair)
	}
	return count(t.single)
}

func (t *template) process(parts []*Encoding, special bool) []*Encoding {
	if t.trim != nil {
		parts = t.trim.process(parts, special)
	}
	if t.zeroTypes {
		for _, e := range parts {
			clear(e.TypeIDs)
		}
	}
	if !special && t.plainKeeps {
		return parts
	}
	items := t.single
	if len(parts) > 1 {
		items = t.pair
	}
	out := t.apply(items, parts, special)
	if len(parts) == 1 {
		for _, o := range parts[0].Overflow {
			out.Overflow = append(out.Overflow, t.apply(items, []*Encoding{o}, special))
		}
	}
	return []*Encoding{out}
}

func (t *template) apply(items []templateItem, parts []*Encoding, special bool) *Encoding {
	out := &Encoding{}
	for _, e := range parts {
		out.texts = e.texts
	}
	for _, it := range items {
		if it.sequence < 0 {
			if special {
				for _, id := range it.ids {
					out.add(id, Span{}, it.typeID, -1, -1, true)
				}
			}
			continue
		}
		if it.sequence >= len(parts) {
			continue
		}
		from := out.Len()
		out.append(parts[it.sequence])
		for i := from; i < out.Len(); i++ {
			out.TypeIDs[i] = it.typeID
		}
		// What was counted for trimming no longer lines up, and is not needed: a
		// template is the last step.
	}
	return out
}

// around makes the template of BertProcessing (one separator between the texts of
// a pair) or RobertaProcessing (two).
func around(cls, sep int32, double bool) *template {
	c := templateItem{sequence: -1, ids: []int32{cls}}
	s := templateItem{sequence: -1, ids: []int32{sep}}
	b := templateItem{sequence: 1, typeID: 1}
	last := templateItem{sequence: -1, ids: []int32{sep}, typeID: 1}
	t := &template{single: []templateItem{c, {}, s}, plainKeeps: true}
	if double {
		b.typeID, last.typeID = 0, 0
		t.zeroTypes = true
		t.pair = []templateItem{c, {}, s, s, b, last}
	} else {
		t.pair = []templateItem{c, {}, s, b, last}
	}
	return t
}

// join makes one encoding of what post-processing left.
func join(parts []*Encoding) *Encoding {
	out := parts[0]
	out.trims = nil
	for _, e := range parts[1:] {
		joined := &Encoding{texts: e.texts, Overflow: slices.Clone(out.Overflow)}
		joined.append(out)
		joined.append(e)
		out = joined
	}
	return out
}
