package answer

import "strings"

// stateChoice finds the option that a region names: a label ("(B)", "B.",
// "B"), or the text of exactly one option. tight regions (a box, "####") may
// hold a bare lower-case label too.
func (q Question) stateChoice(r string, tight bool) (int, int, string, status) {
	if strings.HasPrefix(strings.ToLower(r), "none") && !q.hasText("none") {
		return 0, 0, "", nothing
	}
	if s, n, l, ok := q.whole(r); ok {
		return s, s + n, l, stated
	}
	if _, _, n, l, ok := q.withText(r); ok && q.second(r[n:], l) {
		return 0, 0, "", several
	}
	t := strings.Trim(r, " ()[]{}.:\\$*")
	if i := strings.Index(t, "text{"); i >= 0 && i < 2 {
		t = strings.Trim(t[i+5:], " (){}")
	}
	for _, c := range q.Choices {
		if c.Label == "" {
			continue
		}
		if c.Label == t || (tight || strings.TrimRight(r, ".") == t) && strings.EqualFold(c.Label, t) {
			i := strings.Index(r, t)
			return i, i + len(t), c.Label, stated
		}
		// "(b) ..." and "b) ..."
		i := len(r) - len(strings.TrimLeft(r, " (["))
		if e := i + len(c.Label); e < len(r) && strings.EqualFold(r[i:e], c.Label) && (r[e] == ')' || r[e] == ']') && !q.second(r[e:], c.Label) {
			return i, e, c.Label, stated
		}
	}
	if s, e, l, ok := q.firstLabel(r); ok {
		if q.second(r[e:], l) {
			return 0, 0, "", several
		}
		return s, e, l, stated
	}
	s, e, l, ok := q.onlyText(r)
	return s, e, l, when(ok)
}

// second reports another label right after one: "B and D", "(A), (C)".
func (q Question) second(r, label string) bool {
	t := strings.TrimLeft(r, " )].*")
	linked := false
	for again := true; again; {
		again = false
		for _, w := range []string{",", "/", "&", "and ", "or ", "and/or ", "as well as ", "both ", "option ", "possibly ", "perhaps ", "maybe ", "but "} {
			if rest, ok := strings.CutPrefix(t, w); ok {
				t, linked, again = strings.TrimLeft(rest, " ([*"), true, true
			}
		}
	}
	if !linked {
		return false
	}
	for _, c := range q.Choices {
		if c.Label != "" && c.Label != label && strings.HasPrefix(t, c.Label) && standsAlone(t, 0, len(c.Label)) && !deniedAfter(t[len(c.Label):]) {
			return true
		}
	}
	return false
}

// whole reports a region that is a label, or else an option's text, or both.
func (q Question) whole(r string) (int, int, string, bool) {
	for _, c := range q.Choices { // before the texts: an option may read "C"
		if t := strings.Trim(r, " ()[].*$<>\"'"); strings.EqualFold(t, c.Label) && c.Label != "" {
			return strings.Index(r, t), len(t), c.Label, true
		}
	}
	if l, n, ok := q.wholeText(r); ok {
		return 0, n, l, true
	}
	if s, e, n, l, ok := q.withText(r); ok && !q.second(r[n:], l) {
		a, _, ok := affirmed("x" + r[n:]) // x stands for the option
		return s, e - s, l, ok && a == 0
	}
	return 0, 0, "", false
}

// withText reports a label and its own text at the start of a region, "D) Cannot be
// determined", and where the text ends. A denial in the text denies nothing.
func (q Question) withText(r string) (s, e, end int, label string, ok bool) {
	s = len(r) - len(strings.TrimLeft(r, " ([*"))
	for _, c := range q.Choices {
		e := s + len(c.Label)
		if c.Label == "" || e >= len(r) || !strings.EqualFold(r[s:e], c.Label) || strings.IndexByte(").]:", r[e]) < 0 {
			continue
		}
		text := e + len(r[e:]) - len(strings.TrimLeft(r[e:], " ).]:*"))
		if _, n, ok := (Question{Choices: []Option{c}}).textAt(r, text); ok {
			return s, e, text + n, c.Label, true
		}
	}
	return 0, 0, 0, "", false
}

// wholeText reports an option whose text is the region, or begins it before what
// explains it; "bank account" is not the option "bank".
func (q Question) wholeText(r string) (string, int, bool) {
	l, n, ok := q.textAt(r, 0)
	if !ok {
		return "", 0, false
	}
	rest := strings.TrimLeft(r[n:], " ")
	if rest == "" || !isAlpha(rest[0]) && rest[0] < 0x80 {
		return l, n, true
	}
	w := wordsOf(rest, 1)
	if len(w) == 0 || !linkWords[w[0].word] {
		return "", 0, false
	}
	if w[0].word == "and" || w[0].word == "or" {
		if other, _, ok := q.textAt(strings.TrimLeft(rest[w[0].e:], " "), 0); ok && other != l {
			return "", 0, false
		}
	}
	return l, n, true
}

func (q Question) hasText(prefix string) bool {
	for _, c := range q.Choices {
		if strings.HasPrefix(strings.ToLower(c.Text), prefix) {
			return true
		}
	}
	return false
}

// firstLabel finds the first label in r that is a word of its own.
func (q Question) firstLabel(r string) (int, int, string, bool) {
	bs, be, bl := -1, 0, ""
	for _, c := range q.Choices {
		if c.Label == "" {
			continue
		}
		for off := 0; ; {
			k := strings.Index(r[off:], c.Label)
			if k < 0 {
				break
			}
			s := off + k
			e := s + len(c.Label)
			off = e
			if !standsAlone(r, s, e) || negatedAt(r, s) || deniedAfter(r[e:]) {
				continue
			}
			if bs < 0 || s < bs {
				bs, be, bl = s, e, c.Label
			}
			break
		}
	}
	return bs, be, bl, bs >= 0
}

// standsAlone tells a label from the word "A", a number in a sentence or an
// initial.
func standsAlone(r string, s, e int) bool {
	if !word(r, s, e) {
		return false
	}
	paren := s > 0 && (r[s-1] == '(' || r[s-1] == '[' || r[s-1] == '{') || e < len(r) && (r[e] == ')' || r[e] == ']')
	if paren {
		return true
	}
	if e < len(r) && (r[e] == '\'' || r[e] == '-' || r[e] == '/' || r[e] == '%' || r[e] == ',' && isDigitAt(r, e+1) || r[e] == '.' && e+1 < len(r) && isWordByte(r[e+1])) ||
		s > 0 && (r[s-1] == '-' || r[s-1] == '/' || r[s-1] == '$' || r[s-1] == '.' || r[s-1] == '\'') {
		return false
	}
	if isDigit(r[s]) { // a bare digit must be the whole region or be marked
		rest := strings.TrimSpace(r[e:])
		return s == 0 && (rest == "" || rest[0] == '.' || rest[0] == ':' || rest[0] == ',' || rest[0] == '-') ||
			markedBefore(r, s)
	}
	if r[s] == 'A' || r[s] == 'I' {
		// "A dog" is an article unless a word follows that cannot be its noun.
		rest := strings.TrimLeft(r[e:], " ")
		if rest == "" || !isAlpha(rest[0]) || rest[0] >= 'A' && rest[0] <= 'Z' {
			return true
		}
		if e < len(r) && r[e] != ' ' {
			return true
		}
		f := strings.ToLower(strings.TrimRight(strings.Fields(rest)[0], ".,;:"))
		if afterLabel[f] {
			return true
		}
		return markedBefore(r, s)
	}
	return true
}

// markedBefore reports "option", "choice", "answer" or "letter" before s.
func markedBefore(r string, s int) bool {
	t := strings.ToLower(strings.TrimRight(r[:s], " (:*"))
	for _, w := range []string{"option", "choice", "answer", "letter", "choose", "select", "pick"} {
		if strings.HasSuffix(t, w) {
			return true
		}
	}
	return false
}

// negatedAt reports a negation right before s: "not B", "can't be (B)".
func negatedAt(r string, s int) bool {
	t := strings.ToLower(strings.TrimRight(r[:s], " (["))
	for _, w := range []string{"not", "n't", "cannot", "can't be", "cannot be", "isn't", "neither", "nor", "rather than", "instead of", "not option", "eliminate", "eliminates", "rule out", "rules out", "ruled out", "excludes"} {
		if strings.HasSuffix(t, w) {
			return true
		}
	}
	return false
}

// deniedAfter reports a denial right after a label: "A is wrong", "A can't be".
func deniedAfter(r string) bool {
	t := strings.ToLower(strings.TrimLeft(r[:min(len(r), 40)], " )]*:.-–"))
	return startsWith(t, denied) || startsWith(t, refuted)
}

// names reports that s names an option by its label.
func (q Question) names(s string) bool {
	for _, c := range q.Choices {
		for off := 0; c.Label != ""; {
			k := strings.Index(s[off:], c.Label)
			if k < 0 {
				break
			}
			off += k + len(c.Label)
			if standsAlone(s, off-len(c.Label), off) {
				return true
			}
		}
	}
	return false
}

// remaining finds the one option that sentences before the last call right, or that
// is left where they deny all others.
func (q Question) remaining(text string) (Prediction, status) {
	left := q.Choices
	right := Prediction{Rule: "last_sentence"}
	at := 0
	for _, s := range strings.FieldsFunc(text, func(r rune) bool { return r == '.' || r == '\n' || r == ';' || r == '!' }) {
		if !q.names(s) {
			continue
		}
		low := strings.ToLower(s)
		at += strings.Index(text[at:], s)
		if k := containsWord(low, affirmations); k >= 0 {
			if a, b, l, ok := q.firstLabel(s[:k]); ok && containsWord(low[:k], denials) < 0 {
				if right.Answer != "" && right.Answer != l {
					return Prediction{}, nothing
				}
				right.Answer, right.Start, right.End = l, at+a, at+b
				continue
			}
		}
		if containsWord(low, denied) < 0 && containsWord(low, denials) < 0 {
			continue
		}
		if a, b, ok := affirmed(s); ok && containsWord(low, plural) < 0 {
			s = s[:a] + s[b:]
		}
		var kept []Option
		for _, c := range left {
			if !(Question{Choices: []Option{c}}).names(s) {
				kept = append(kept, c)
			}
		}
		left = kept
	}
	if right.Answer != "" {
		return right, stated
	}
	if len(left) != 1 || len(q.Choices) < 2 {
		return Prediction{}, nothing
	}
	s, e := lastSentence(text)
	return Prediction{Answer: left[0].Label, Rule: "last_sentence", Start: s, End: e}, stated
}

// textAt reports an option whose whole text begins r[s:]; the longest wins.
func (q Question) textAt(r string, s int) (string, int, bool) {
	best, label := 0, ""
	for _, c := range q.Choices {
		t := strings.TrimRight(strings.TrimSpace(c.Text), ".")
		if len(t) == 0 || len(t) <= best || len(t) > len(r)-s || !strings.EqualFold(r[s:s+len(t)], t) {
			continue
		}
		if word(r, s, s+len(t)) {
			best, label = len(t), c.Label
		}
	}
	return label, best, best > 0
}

// onlyText finds the one option whose text occurs in r, negated mentions
// aside. An option whose text lies inside another's match does not count.
func (q Question) onlyText(r string) (int, int, string, bool) {
	bs, be, bl := -1, -1, ""
	part := "" // an option's text within a longer name
	for i := 0; i < len(r); i++ {
		if i > 0 && isWordByte(r[i-1]) {
			continue
		}
		l, n, ok := q.textAt(r, i)
		if !ok {
			continue
		}
		if negatedAt(r, i) {
			i += n - 1
			continue
		}
		if w := wordsOf(r[i+n:], 1); len(w) == 1 && r[i+n] == ' ' && !linkWords[w[0].word] {
			part = l // "glass bottle"
			i += n - 1
			continue
		}
		if bl != "" && l != bl {
			return 0, 0, "", false
		}
		if bl == "" {
			bs, be, bl = i, i+n, l
		}
		i += n - 1
	}
	return bs, be, bl, bl != "" && (part == "" || part == bl)
}

// leadingChoice reads a response that begins with its answer: "B", "(B) ...",
// "B. because ...", or an option's text.
func (q Question) leadingChoice(r string) (int, int, string, bool) {
	s := 0
	for s < len(r) && strings.IndexByte(" (*[\"\\$", r[s]) >= 0 {
		s++
	}
	if i, n, l, ok := q.whole(r); ok && n == len(l) {
		return i, i + n, l, true
	}
	for _, c := range q.Choices {
		e := s + len(c.Label)
		if c.Label == "" || e > len(r) || !labelEnd(r, e) {
			continue
		}
		if r[s:e] != c.Label && !(strings.EqualFold(r[s:e], c.Label) && e < len(r) && r[e] == ')') {
			continue
		}
		if q.second(r[e:], c.Label) || deniedAfter(r[e:]) {
			return 0, 0, "", false
		}
		return s, e, c.Label, true
	}
	if l, n, ok := q.textAt(r, s); ok && strings.Trim(r[s+n:], " .)*\"") == "" {
		return s, s + n, l, true
	}
	return 0, 0, "", false
}

// labelEnd reports that a leading label ends at e: the text is over, or
// punctuation follows that does not continue a sentence.
func labelEnd(r string, e int) bool {
	if e >= len(r) {
		return true
	}
	switch r[e] {
	case ')', '.', ':', '\n', '*', ']', ',', '"':
		return !(r[e] == '.' || r[e] == ',') || e+1 >= len(r) || !isWordByte(r[e+1]) || r[e+1] >= 0x80
	}
	return strings.HasPrefix(r[e:], "。") || strings.HasPrefix(r[e:], " -") || strings.HasPrefix(r[e:], " because")
}

// concludedChoice reads a closing sentence that names one option only.
func (q Question) concludedChoice(r string) (int, int, string, bool) {
	bs, be, bl := -1, 0, ""
	for _, c := range q.Choices {
		for off := 0; c.Label != ""; {
			k := strings.Index(r[off:], c.Label)
			if k < 0 {
				break
			}
			s := off + k
			e := s + len(c.Label)
			off = e
			if !standsAlone(r, s, e) || negatedAt(r, s) || deniedAfter(r[e:]) || isDigit(r[s]) && !(s > 0 && r[s-1] == '(') {
				continue
			}
			if bl != "" && bl != c.Label {
				bl = "?"
			}
			if bl == "" {
				bs, be, bl = s, e, c.Label
			}
		}
	}
	if bl != "" && bl != "?" {
		return bs, be, bl, true
	}
	if bl == "?" {
		return 0, 0, "", false
	}
	return q.onlyText(r)
}

// closingChoice reads a closing sentence that is nothing but an option: "(B)",
// "D", "(B) linear", "linear".
func (q Question) closingChoice(r string) (int, int, string, bool) {
	t := strings.Trim(r, " ()[].*")
	for _, c := range q.Choices {
		if t == c.Label {
			i := strings.Index(r, c.Label)
			return i, i + len(c.Label), c.Label, true
		}
	}
	for _, c := range q.Choices {
		if c.Label == "" {
			continue
		}
		for _, form := range []string{"(" + c.Label + ") ", c.Label + ") ", c.Label + ". ", c.Label + ": "} {
			if strings.HasPrefix(r, form) && plain(r[len(form):]) == plain(c.Text) {
				return len(form) - 2 - len(c.Label), len(form) - 2, c.Label, true
			}
		}
	}
	if l, n, ok := q.textAt(r, 0); ok && strings.Trim(r[n:], " .*") == "" {
		return 0, n, l, true
	}
	return 0, 0, "", false
}
