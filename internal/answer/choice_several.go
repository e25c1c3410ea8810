package answer

import (
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/mathverify"
)

// all reports a question whose right choices must all be named.
func (q Question) all() bool { return q.Kind() == Choice && q.spec().Several == "all" }

// Golds lists the right answers that a gold answer states: several where it names
// several choices and the task wants all of them, else itself.
func Golds(q Question, text string) []string {
	if !q.all() {
		return []string{text}
	}
	if l, ok := q.label(text); ok {
		return []string{l}
	}
	if _, _, set, st := q.stateSet(text); st == stated && (q.listsOnly(text) || q.runTogether(text)) {
		return set
	}
	switch p := Extract(q, text, Options{}); p.Rule {
	case "answer_is", "boxed", "hash", "answer_tag": // a whole solution
		return strings.Split(p.Answer, ", ")
	}
	return []string{text} // which names something else besides
}

// choicesIn lists the choices that r names and does not deny, by label or text. A text
// right after its label belongs to it. A hit ends with its text.
func (q Question) choicesIn(r string) []labelHit {
	var out []labelHit
	for i := 0; i < len(r); i++ {
		if i > 0 && isWordByte(r[i-1]) {
			continue
		}
		h, ok := q.choiceAt(r, i, out)
		if !ok {
			continue
		}
		if !negatedAt(r, i) && !deniedAfter(r[h.e:]) {
			out = append(out, h)
		}
		i = h.e - 1
	}
	return out
}

func (q Question) choiceAt(r string, i int, before []labelHit) (labelHit, bool) {
	if l, n, ok := q.textAt(r, i); ok && !slices.ContainsFunc(q.Choices, func(c Option) bool { return len(c.Label) >= n && strings.EqualFold(c.Label, r[i:i+n]) }) {
		w := wordsOf(r[i+n:], 1)
		return labelHit{i, i + n, l}, len(w) == 0 || i+n < len(r) && r[i+n] != ' ' || linkWords[w[0].word]
	}
	listed := len(before) > 0 && separates(r[before[len(before)-1].e:i])
	for _, c := range q.Choices {
		e := i + len(c.Label)
		if c.Label == "" || e > len(r) || !strings.EqualFold(r[i:e], c.Label) || !word(r, i, e) {
			continue
		}
		marked := i > 0 && strings.IndexByte("([{", r[i-1]) >= 0 || e < len(r) && strings.IndexByte(")]", r[e]) >= 0
		if r[i:e] != c.Label && !marked && !(i == 0 || listed) {
			continue
		}
		starts := i == 0 && separatesNext(r[e:])
		if !standsAlone(r, i, e) && !listed && !starts || article(r, i, e) {
			continue
		}
		h := labelHit{i, e, c.Label}
		rest := strings.TrimLeft(r[e:], " )].:*-")
		if t := strings.TrimRight(strings.TrimSpace(c.Text), "."); t != "" && len(rest) >= len(t) && strings.EqualFold(rest[:len(t)], t) {
			h.e = len(r) - len(rest) + len(t)
		}
		return h, true
	}
	return labelHit{}, false
}

// article reports the small label a that is an article: "a dog".
func article(r string, s, e int) bool {
	if r[s:e] != "a" || e >= len(r) || r[e] != ' ' || e+1 >= len(r) || !isAlpha(r[e+1]) {
		return false
	}
	w := wordsOf(r[e:], 1)
	return len(w) == 1 && !afterLabel[w[0].word] && len(w[0].word) > 1
}

// separates reports a text that stands between the items of a list.
func separates(t string) bool {
	for _, w := range strings.FieldsFunc(t, func(r rune) bool { return strings.ContainsRune(" ,;/&()[]{}*.\"'`+$\\\n-", r) }) {
		if !listWords[strings.ToLower(w)] {
			return false
		}
	}
	return true
}

// separatesNext reports that a list goes on: "/C", ", C", " and C".
func separatesNext(t string) bool {
	return t != "" && (strings.IndexByte(",;/&", t[0]) >= 0 || strings.HasPrefix(t, " and "))
}

// stateSet reads the choices that a region names, in the order of the row.
func (q Question) stateSet(r string) (int, int, []string, status) {
	t := strings.Trim(r, " ()[]{}.*$\"'")
	if _, _, ok := q.wholeText(t); !ok && len(t) > 1 && q.runTogether(t) {
		k := strings.Index(r, t)
		return k, k + len(t), q.inOrder(strings.Split(t, "")), stated
	}
	h := q.choicesIn(r)
	if len(h) == 0 { // "A和C": a blank of the same length for the word between
		h = q.choicesIn(hanAnd.Replace(r))
	}
	if len(h) == 0 {
		if k := containsWord(strings.ToLower(r), everyChoice); k >= 0 && !q.hasText("all") {
			var set []string
			for _, c := range q.Choices {
				set = append(set, c.Label)
			}
			return k, len(r), set, stated
		}
		return 0, 0, nil, nothing
	}
	var set []string
	for i, x := range h {
		if i > 0 && containsWord(strings.ToLower(r[h[i-1].e:x.s]), []string{"or", "oder", "ou", "或"}) >= 0 && x.label != h[i-1].label {
			return 0, 0, nil, several
		}
		set = append(set, x.label)
	}
	return h[0].s, h[len(h)-1].e, q.inOrder(set), stated
}

var hanAnd = strings.NewReplacer("和", " , ", "与", " , ", "及", " , ")

// runTogether reports labels of one letter without anything between them: "AC".
func (q Question) runTogether(t string) bool {
	for i := range len(t) {
		if strings.IndexByte(t[:i], t[i]) >= 0 || !slices.ContainsFunc(q.Choices, func(c Option) bool { return c.Label == t[i:i+1] }) || isDigit(t[i]) {
			return false
		}
	}
	return true
}

// inOrder gives each of the labels once, in the order of the row.
func (q Question) inOrder(labels []string) []string {
	var out []string
	for _, c := range q.Choices {
		if slices.Contains(labels, c.Label) {
			out = append(out, c.Label)
		}
	}
	return out
}

// readSet reads the choices that a statement names; a list may go on in the lines below.
func (q Question) readSet(text string, c cand) (Prediction, status) {
	p := Prediction{Rule: c.rule}
	if c.doubted || strings.HasPrefix(text[c.end:], "?") && c.rule == "answer_is" {
		return p, nothing
	}
	region := text[c.start:q.listEnd(text, c.start, c.end)]
	if len(region) > 2*maxRegion {
		return p, nothing
	}
	low := strings.ToLower(region)
	for _, w := range []string{" while ", " whereas ", "; "} { // "A and C are right, while B and D are not"
		if k := strings.Index(low, w); k > 0 && len(low) == len(region) && deniedSegment(low[k:]) {
			region = region[:k]
		}
	}
	if strings.HasPrefix(low, "none") && !q.hasText("none") {
		return p, nothing
	}
	cut := region
	if c.denied {
		cut = "not " + region
	}
	a, b, ok := affirmed(cut)
	if c.denied {
		a, b = a-len("not "), b-len("not ")
	}
	if s, n, l, one := q.whole(region); one && !ok && !c.denied { // "D) Cannot be determined"
		p.Start, p.End, p.Answer = c.start+s, c.start+s+n, l
		return p, stated
	}
	if !ok || a < 0 {
		return p, nothing
	}
	s, e, set, st := q.stateSet(region[a:b])
	p.Start, p.End, p.Answer = c.start+a+s, c.start+a+e, strings.Join(set, ", ")
	return p, st
}

// item reports a line that is one choice, with a bullet or a number before it.
func (q Question) item(line string) bool {
	line = strings.Trim(line, " *-•\r")
	if _, _, _, ok := q.closingChoice(line); ok {
		return true
	}
	d := digitsEnd(line, 0)
	if d == 0 || d >= len(line) || strings.IndexByte(".)", line[d]) < 0 {
		return false
	}
	_, _, _, ok := q.closingChoice(strings.TrimLeft(line[d+1:], " *"))
	return ok
}

// listStart moves the start of a line that is a choice over such lines above it.
func (q Question) listStart(text string, s int) int {
	for end := s; ; {
		line := strings.LastIndexByte(text[:s], '\n')
		if line < 0 || end-s > maxRegion || !q.item(text[s:lineEnd(text, s)]) {
			return s
		}
		above := strings.LastIndexByte(text[:line], '\n') + 1
		if !q.item(text[above:line]) {
			return s
		}
		s = above
	}
}

// listEnd moves the end of a statement over the rest of its line, where that goes on with
// choices, and over the lines below that are a choice each.
func (q Question) listEnd(text string, s, e int) int {
	if line := lineEnd(text, s); line > e && line-s <= maxRegion && q.listsOnly(text[s:line]) {
		e = line
	}
	if !q.item(text[s:lineEnd(text, s)]) {
		return e
	}
	for end := lineEnd(text, s); end < min(len(text), s+maxRegion); {
		next := lineEnd(text, end+1)
		if !q.item(text[end+1 : next]) {
			break
		}
		e, end = next, next
	}
	return e
}

// listsOnly reports a text that is nothing but choices.
func (q Question) listsOnly(r string) bool {
	h := q.choicesIn(r)
	at := 0
	for _, x := range h {
		if !separates(r[at:x.s]) {
			return false
		}
		at = x.e
	}
	return len(h) > 0 && separates(r[at:])
}

// unstatedSet reads a response without a statement: its first sentence where that is a
// list, else its last, else what is bold.
func (q Question) unstatedSet(text string, s, e int) (Prediction, status) {
	first := min(e, sentenceEnd(text, s))
	if q.listsOnly(text[s:first]) || q.runTogether(text[s:first]) {
		return q.readSet(text, cand{rule: "leading", start: s, end: first})
	}
	if p, ok := q.verdicts(text[s:e]); ok {
		p.Start, p.End = p.Start+s, p.End+s
		return p, when(p.Answer != "")
	}
	ls, le := lastSentence(text)
	if question(text, le) {
		return Prediction{}, nothing
	}
	if p, st := q.readSet(text, cand{rule: "last_sentence", start: q.listStart(text, ls), end: le}); st != nothing {
		return p, st
	}
	bs, be, ok := lastBold(text)
	if !ok {
		return Prediction{}, nothing
	}
	return q.readSet(text, cand{rule: "bold", start: bs, end: be})
}

// verdicts reads sentences that call each choice right or wrong: "A is correct. B is
// wrong." There must be two or more.
func (q Question) verdicts(text string) (Prediction, bool) {
	p := Prediction{Rule: "last_sentence"}
	var right []string
	n, at := 0, 0
	for _, t := range strings.FieldsFunc(text, func(r rune) bool { return r == '.' || r == '\n' || r == ';' }) {
		start := at + strings.Index(text[at:], t)
		at = start + len(t)
		s := len(t) - len(strings.TrimLeft(t, " -*•("))
		h, ok := q.choiceAt(t[s:], 0, nil)
		if !ok {
			continue
		}
		rest := strings.ToLower(strings.TrimLeft(t[s+h.e:], " :)*-"))
		switch {
		case startsWith(rest, affirmations) || startsWith(rest, []string{"correct", "true", "right", "yes"}):
			if len(right) == 0 {
				p.Start = start + s
			}
			right, n = append(right, h.label), n+1
			p.End = start + s + h.e
		case deniedAfter(t[s+h.e:]):
			n++
		}
	}
	p.Answer = strings.Join(q.inOrder(right), ", ")
	return p, n > 1
}

// gradeSet compares all right choices with those that are named.
func (q Question) gradeSet(pred string) (mathverify.Verdict, string) {
	golds := q.Golds
	if len(golds) == 0 {
		golds = []string{q.Gold}
	}
	var right []string
	for _, g := range golds {
		l, ok := q.label(g)
		if !ok {
			return mathverify.Unknown, "the gold names none of the choices"
		}
		right = append(right, l)
	}
	var named []string
	for _, p := range strings.Split(pred, ", ") {
		l, ok := q.label(p)
		if !ok {
			_, _, named, _ = q.stateSet(pred)
			break
		}
		named = append(named, l)
	}
	if len(named) == 0 {
		return mathverify.Different, "the prediction names none of the choices"
	}
	// Two options with the same text are one answer.
	same := func(a, b string) bool { return a == b || plain(q.text(a)) == plain(q.text(b)) && q.text(a) != "" }
	within := func(a, b []string) bool {
		return !slices.ContainsFunc(a, func(x string) bool { return !slices.ContainsFunc(b, func(y string) bool { return same(x, y) }) })
	}
	want, got := strings.Join(q.inOrder(right), ", "), strings.Join(q.inOrder(named), ", ")
	if within(right, named) && within(named, right) {
		return mathverify.Equal, "same choices " + want
	}
	return mathverify.Different, "choices " + got + ", not " + want
}
