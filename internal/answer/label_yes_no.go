package answer

import (
	"strings"

	"github.com/distillflow/distillflow/internal/task"
)

// labelWord is a word that stands for a label.
type labelWord struct{ word, label string }

// labels are the words of a closed set of labels.
type labels struct {
	words []labelWord
	nli   bool // true, false and neither, which deny one another; else see label_own.go
}

// labels are those of the question's task.
func (q Question) labels() labels {
	t := q.spec()
	if nli(t) {
		return labels{nliWords, true}
	}
	return ownLabels(t)
}

// nli reports the labels of natural language inference, for which there are rules of
// their own.
func nli(t task.Task) bool {
	_, yes := t.Labels["true"]
	_, no := t.Labels["false"]
	_, open := t.Labels["neither"]
	return yes && no && open && len(t.Labels) == 3
}

// nliWords map what models say to ANLI's labels.
var nliWords = []labelWord{
	{"neither true nor false", "neither"}, {"cannot be determined", "neither"}, {"can't be determined", "neither"},
	{"can not be determined", "neither"}, {"cannot be inferred", "neither"}, {"not enough information", "neither"},
	{"neither", "neither"}, {"neutral", "neither"}, {"inconclusive", "neither"}, {"undetermined", "neither"},
	{"unknown", "neither"}, {"uncertain", "neither"}, {"impossible to tell", "neither"}, {"impossible to say", "neither"}, {"impossible to know", "neither"},
	{"impossible to determine", "neither"}, {"cannot tell", "neither"}, {"can't tell", "neither"}, {"cannot say", "neither"}, {"can't say", "neither"}, {"not possible to tell", "neither"},
	{"not possible to determine", "neither"}, {"cannot be known", "neither"}, {"insufficient information", "neither"},
	{"true", "true"}, {"entailment", "true"}, {"entailed", "true"}, {"entails", "true"},
	{"false", "false"}, {"contradiction", "false"}, {"contradicts", "false"}, {"contradicted", "false"}, {"contradictory", "false"},
}

// labelHit is one label word in a region.
type labelHit struct {
	s, e  int
	label string
}

// hits lists the label words of r in order, longer phrases first. Words that are
// denied are dropped; "not true" is false.
func (l labels) hits(r string) []labelHit {
	low := strings.ToLower(r)
	if len(low) != len(r) {
		low = r
	}
	var out []labelHit
	for i := 0; i < len(low); i++ {
		if i > 0 && isWordByte(low[i-1]) || !isAlpha(low[i]) {
			continue
		}
		for _, w := range l.words {
			if !strings.HasPrefix(low[i:], w.word) || !word(low, i, i+len(w.word)) {
				continue
			}
			h := labelHit{i, i + len(w.word), w.label}
			if negatedAt(low, i) && !strings.HasPrefix(w.word, "not") {
				if w.word != "true" {
					break // "not false", "not entailed": says nothing
				}
				h.label = "false"
			} else if w.label != "neither" && doubtedClause(low[:i]) {
				break // "cannot be said to be true"
			}
			out = append(out, h)
			i = h.e - 1
			break
		}
	}
	return out
}

// doubtedClause reports a denial in the clause that ends a text.
func doubtedClause(t string) bool {
	for _, w := range []string{",", ";", ".", ":", " so ", " thus ", " therefore ", " hence ", " and ", " but ", " because "} {
		if k := strings.LastIndex(t, w); k >= 0 {
			t = t[k+len(w):]
		}
	}
	return containsWord(t, denials) >= 0
}

// state reads the label a clause states: its first label word.
func (l labels) state(r string) (int, int, string, bool) {
	if !l.nli {
		return l.stateOwn(r, false)
	}
	h := l.hits(r)
	if len(h) == 0 {
		return 0, 0, "", false
	}
	return h[0].s, h[0].e, h[0].label, true
}

// concluded reads a closing sentence that holds one label only.
func (l labels) concluded(r string) (int, int, string, bool) {
	if !l.nli {
		return l.concludedOwn(r)
	}
	h := l.hits(r)
	for _, x := range h {
		if x.label != h[0].label {
			return 0, 0, "", false
		}
	}
	if len(h) == 0 {
		return 0, 0, "", false
	}
	return h[0].s, h[0].e, h[0].label, true
}

// leading reads a response that begins with its label.
func (l labels) leading(r string) (int, int, string, bool) {
	if !l.nli {
		return l.leadingOwn(r)
	}
	h := l.hits(r)
	if len(h) == 0 || strings.Trim(r[:h[0].s], " *\"(") != "" {
		return 0, 0, "", false
	}
	return h[0].s, h[0].e, h[0].label, true
}

// yesNoHits lists the words yes, no, true and false in r.
func yesNoHits(r string) []labelHit {
	var out []labelHit
	for i := 0; i < len(r); i++ {
		if !isAlpha(r[i]) || i > 0 && isWordByte(r[i-1]) {
			continue
		}
		j := i
		for j < len(r) && isWordByte(r[j]) {
			j++
		}
		l := ""
		switch strings.ToLower(r[i:j]) {
		case "yes", "true":
			l = "yes"
		case "no", "false":
			l = "no"
		}
		if l != "" {
			if negatedAt(r, i) && l == "yes" {
				l = "no"
			} else if negatedAt(r, i) {
				l = ""
			}
		}
		if l != "" {
			out = append(out, labelHit{i, j, l})
		}
		i = j
	}
	return out
}

// determiner reports a "no" that belongs to a noun: "no evidence".
func determiner(r string, h labelHit) bool {
	if h.label != "no" || !strings.EqualFold(r[h.s:h.e], "no") {
		return false
	}
	rest := r[h.e:]
	if rest == "" || rest[0] != ' ' {
		return false
	}
	rest = strings.TrimLeft(rest, " ")
	if rest == "" || !isAlpha(rest[0]) {
		return false
	}
	for _, w := range []string{"way", "because", "since", "as ", "for ", "and ", "but ", "it ", "they ", "he ", "she ", "the ", "there "} {
		if strings.HasPrefix(strings.ToLower(rest), w) {
			return false
		}
	}
	return true
}

// stateYesNo reads the yes or no that a clause states: its first such word. A
// clause after a cue may hold others later ("yes, no doubt").
func stateYesNo(r string) (int, int, string, bool) {
	hits := yesNoHits(r)
	if strings.Contains(strings.ToLower(r), "neither yes") {
		return 0, 0, "", false
	}
	for i, h := range hits {
		if determiner(r, h) {
			continue
		}
		if i+1 < len(hits) && hits[i+1].label != h.label {
			switch strings.ToLower(strings.Trim(r[h.e:hits[i+1].s], " ")) {
			case "or", "and", "/":
				return 0, 0, "", false // "yes and no"
			}
		}
		return h.s, h.e, h.label, true
	}
	return 0, 0, "", false
}

// concludedYesNo reads a closing sentence with one answer only.
func concludedYesNo(r string) (int, int, string, bool) {
	if strings.Contains(strings.ToLower(r), "neither yes") {
		return 0, 0, "", false
	}
	var first *labelHit
	for _, h := range yesNoHits(r) {
		h := h
		if determiner(r, h) {
			continue
		}
		if first != nil && first.label != h.label {
			return 0, 0, "", false
		}
		if first == nil {
			first = &h
		}
	}
	if first == nil {
		return 0, 0, "", false
	}
	return first.s, first.e, first.label, true
}

// leadingYesNo reads a response that begins with yes or no.
func leadingYesNo(r string) (int, int, string, bool) {
	s, e, label, ok := stateYesNo(r)
	return s, e, label, ok && strings.Trim(r[:s], " *\"(") == ""
}
