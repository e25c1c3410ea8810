package answer

import (
	"cmp"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/task"
)

// ownLabels are the labels of a declared task, the longest name first, so that a name
// inside another does not count.
func ownLabels(t task.Task) labels {
	var l labels
	for label, names := range t.Labels {
		for _, name := range append([]string{label}, names...) {
			l.words = append(l.words, labelWord{strings.Join(strings.FieldsFunc(strings.ToLower(fold(name).text), joins), " "), label})
		}
	}
	slices.SortFunc(l.words, func(a, b labelWord) int {
		return cmp.Or(cmp.Compare(len(b.word), len(a.word)), cmp.Compare(a.word, b.word))
	})
	return l
}

// joins reports what may stand between the words of a name.
func joins(r rune) bool { return r == ' ' || r == '_' || r == '-' || r == '\t' }

// nameAt is the end of a name that stands at position i of a text in lower case, or -1.
// A plural counts, and so do "card_arrival", "card-arrival" and "card\_arrival".
func nameAt(t string, i int, name string) int {
	free := name != "" && name[0] >= 0xE0 // a script without blanks
	if !free && i > 0 && (isWordByte(t[i-1]) || i > 1 && strings.IndexByte("-.,", t[i-1]) >= 0 && isWordByte(t[i-2]) && (t[i-1] == '-' || isDigit(t[i]))) {
		return -1
	}
	e := i
	for k := 0; k < len(name); k++ {
		if e < len(t) && t[e] == '\\' {
			e++
		}
		switch {
		case e < len(t) && name[k] == ' ' && joins(rune(t[e])):
			for e < len(t) && joins(rune(t[e])) {
				e++
			}
		case e < len(t) && name[k] == t[e]:
			e++
		case k == len(name)-1 && k >= 5 && name[k] == 's' && name[k-1] != 's': // "sport" for "sports"
		default:
			return -1
		}
	}
	for _, plural := range []string{"", "s", "es"} {
		if strings.HasPrefix(t[e:], plural) && (free || nameEnds(t, e+len(plural))) {
			return e + len(plural)
		}
	}
	return -1
}

// nameEnds reports that no word, number or sign goes on at e.
func nameEnds(t string, e int) bool {
	if e >= len(t) {
		return true
	}
	next := e+1 < len(t) && isWordByte(t[e+1])
	switch c := t[e]; c {
	case '-':
		return !next
	case '.', ',':
		return !isDigitAt(t, e+1) || !isDigit(t[e-1])
	case '+', '#':
		return false
	default:
		return !isWordByte(c)
	}
}

// named lists the labels that a text names, in order, and gives the text with their
// names blotted out, so that a "not" in a name denies nothing.
func (l labels) named(r string) ([]labelHit, string) {
	low := strings.ToLower(r)
	if len(low) != len(r) {
		low = r
	}
	blotted := []byte(low)
	var out []labelHit
	for i := 0; i < len(low); i++ {
		if low[i] == ' ' || i > 0 && low[i] < 0x80 && isWordByte(low[i-1]) {
			continue
		}
		for _, w := range l.words {
			e := nameAt(low, i, w.word)
			if e <= i {
				continue
			}
			if !modifier(low, i, e) {
				out = append(out, labelHit{i, e, w.label})
			}
			for k := i; k < e; k++ {
				blotted[k] = 'x'
			}
			i = e - 1
			break
		}
	}
	return out, string(blotted)
}

// modifier reports an "other" that belongs to a noun: "the other order", "other things".
func modifier(low string, s, e int) bool {
	if low[s:e] != "other" {
		return false
	}
	next := wordsOf(low[e:], 1)
	if len(next) == 0 || !strings.HasPrefix(low[e:], " ") {
		return false
	}
	before := strings.Fields(low[:s])
	return strings.HasSuffix(next[0].word, "s") || next[0].word == "than" || len(before) > 0 && determiners[before[len(before)-1]]
}

// affirms lists the labels that a clause names and does not deny.
func (l labels) affirms(r string, denied bool) ([]labelHit, string) {
	all, blotted := l.named(r)
	clause := blotted
	if denied {
		clause = "not " + clause
	}
	a, b, ok := affirmed(clause)
	if denied {
		a, b = a-len("not "), b-len("not ")
	}
	if !ok {
		return nil, blotted
	}
	all = slices.DeleteFunc(all, func(h labelHit) bool { return h.s < a || h.e > b || negatedAt(blotted, h.s) })
	return all, blotted
}

// stateOwn reads the label that a clause states: the only one that it affirms, or the
// first, where no second stands beside it as its equal.
func (l labels) stateOwn(r string, denied bool) (int, int, string, bool) {
	h, blotted := l.affirms(r, denied)
	if len(h) == 0 {
		return 0, 0, "", false
	}
	for i, x := range h {
		if x.label != h[0].label && (len(strings.Fields(r[:h[0].s])) > 3 || equals(blotted, h[i-1].e, x)) {
			return 0, 0, "", false
		}
	}
	return h[0].s, h[0].e, h[0].label, true
}

// equals reports a label that stands beside the one that ends at e: "a or b", "a, b".
func equals(r string, e int, next labelHit) bool {
	between := r[e:next.s]
	if _, inside, ok := strings.Cut(between, "("); ok {
		return strings.TrimSpace(inside) == "" && strings.HasPrefix(r[next.e:], ")")
	}
	for _, w := range strings.FieldsFunc(between, func(r rune) bool { return strings.ContainsRune(" ,/&|\"'*`+", r) }) {
		if !beside[w] {
			return false
		}
	}
	return true
}

// concludedOwn reads a closing sentence that affirms one label only.
func (l labels) concludedOwn(r string) (int, int, string, bool) {
	h, _ := l.affirms(r, false)
	if len(h) == 0 || slices.ContainsFunc(h, func(x labelHit) bool { return x.label != h[0].label }) {
		return 0, 0, "", false
	}
	return h[0].s, h[0].e, h[0].label, true
}

// leadingOwn reads a sentence that begins with its label and does not go on about it.
func (l labels) leadingOwn(r string) (int, int, string, bool) {
	s, e, label, ok := l.stateOwn(r, false)
	if !ok || strings.Trim(r[:s], " *\"(") != "" {
		return 0, 0, "", false
	}
	rest := strings.TrimLeft(r[e:], " ")
	return s, e, label, rest == "" || !isWordByte(rest[0]) || startsWith(strings.ToLower(rest), reasons)
}

// labelCues lists the lines that name the label after a word for it: "Label: refund".
func labelCues(text string) []cand {
	var out []cand
	for s := 0; s < len(text); s = lineEnd(text, s) + 1 {
		full := text[s:min(lineEnd(text, s), s+60)]
		line := strings.ToLower(full)
		t := strings.TrimLeft(line, " \t*#->`_")
		t = strings.TrimPrefix(t, "the ")
		for _, w := range labelNouns {
			rest, ok := strings.CutPrefix(t, w)
			if !ok {
				continue
			}
			rest = strings.TrimLeft(rest, " *_")
			for _, link := range []string{":", "=", "is "} {
				if after, ok := strings.CutPrefix(rest, link); ok && len(line) == len(full) {
					if c, ok := region(text, s+len(line)-len(after), s, "answer_is"); ok {
						out = append(out, c)
					}
				}
			}
		}
	}
	return out
}

// namedLabel finds the label that a text is, by its name or another one.
func (l labels) namedLabel(text string) (string, bool) {
	low := strings.ToLower(fold(strings.TrimSpace(text)).text)
	for _, w := range l.words {
		if low != "" && nameAt(low, 0, w.word) == len(low) {
			return w.label, true
		}
	}
	return "", false
}
