package answer

import "strings"

// stateMath finds the mathematical object that a clause states: its delimited
// mathematics if it has any, the whole clause if it is short, otherwise its
// number.
func stateMath(r string) (int, int, bool) {
	if k := afterVerb(r); k > 0 {
		if s, e, ok := stateMath(r[k:]); ok {
			return k + s, k + e, true
		}
	}
	if s, e, ok := delimited(r); ok {
		return s, e, true
	}
	if mathy(r) {
		return 0, len(r), true
	}
	// A clause of prose: "120 cubic meters", "the interval [0, 1)".
	if i := strings.LastIndexByte(r, '='); i > 0 && i+1 < len(r) {
		s, e := trimRegion(r, i+1, len(r))
		if mathy(r[s:e]) {
			return s, e, e > s
		}
	}
	if s, e, ok := firstNumber(r); ok {
		return s, compound(r, e), true
	}
	if len(r) <= 40 && len(strings.Fields(r)) <= 4 {
		return 0, len(r), true
	}
	return 0, 0, false
}

// afterVerb returns the position after the last "is", "are" or "equals" that
// is outside of mathematics and has something to state after it.
func afterVerb(r string) int {
	dollars, best := 0, 0
	for i := 0; i < len(r); i++ {
		if r[i] == '$' {
			dollars++
		}
		if r[i] != ' ' || dollars%2 == 1 {
			continue
		}
		for _, v := range []string{" is ", " are ", " equals ", " it's "} {
			if strings.HasPrefix(r[i:], v) && strings.ContainsAny(r[i+len(v):], "0123456789$\\=") {
				best = i + len(v)
			}
		}
	}
	return best
}

// mathy reports that r reads as an answer by itself: few words.
func mathy(r string) bool {
	words := 0
	for _, f := range strings.Fields(r) {
		letters := 0
		for i := 0; i < len(f); i++ {
			if isAlpha(f[i]) || f[i] == '\'' && i > 0 && i+1 < len(f) { // it's
				letters++
			}
		}
		if letters > 2 && letters == len(strings.Trim(f, ",.;:")) {
			words++
		}
	}
	return words <= 3 && strings.TrimSpace(r) != ""
}

// delimited returns the range from the first to the last delimited piece of
// mathematics when only connecting words separate them, else the first.
func delimited(r string) (int, int, bool) {
	type piece struct{ s, e, next int }
	var ps []piece
	for i := 0; i < len(r); {
		switch {
		case r[i] == '$' && (i == 0 || r[i-1] != '\\'):
			w := 1
			if strings.HasPrefix(r[i:], "$$") {
				w = 2
			}
			k := closeDollar(r, i+w, w)
			if k < 0 {
				// A lone dollar is currency.
				i += w
				continue
			}
			ps = append(ps, piece{i + w, k, k + w})
			i = k + w
		case strings.HasPrefix(r[i:], "\\(") || strings.HasPrefix(r[i:], "\\["):
			end := map[byte]string{'(': "\\)", '[': "\\]"}[r[i+1]]
			k := strings.Index(r[i+2:], end)
			if k < 0 {
				return i + 2, len(r), true
			}
			ps = append(ps, piece{i + 2, i + 2 + k, i + 4 + k})
			i += k + 4
		default:
			i++
		}
	}
	if len(ps) == 0 {
		return 0, 0, false
	}
	for len(ps) > 0 && strings.TrimSpace(r[ps[0].s:ps[0].e]) == "" {
		ps = ps[1:]
	}
	if len(ps) == 0 {
		return 0, 0, false
	}
	first, last := ps[0], ps[0]
	for _, p := range ps[1:] {
		gap := strings.Trim(strings.ToLower(r[last.next:p.s]), " $\\([,;")
		if gap != "" && gap != "and" && gap != "or" {
			break
		}
		last = p
	}
	s, e := first.s, last.e
	if first != last {
		s, e = first.s-1, last.next
		if strings.HasPrefix(r[first.s-1:], "(") || strings.HasPrefix(r[first.s-1:], "[") {
			s--
		}
	}
	// "$x$ = 5": the value follows the mathematics.
	if rest := strings.TrimSpace(r[last.next:]); strings.HasPrefix(rest, "=") && first == last {
		i := last.next + strings.IndexByte(r[last.next:], '=') + 1
		s, e = trimRegion(r, i, len(r))
		return s, e, e > s
	}
	for s < e && (r[s] == ' ' || r[s] == '\n') {
		s++
	}
	for e > s && (r[e-1] == ' ' || r[e-1] == '\n' || r[e-1] == '.' || r[e-1] == ',') {
		e--
	}
	// Words after the mathematics may be its unit: "$28$ percent".
	if tail := strings.TrimSpace(r[last.next:]); first == last {
		for _, u := range []string{"percent", "pct", "%", "degrees"} {
			if strings.HasPrefix(tail, u) {
				e = last.next + strings.Index(r[last.next:], u) + len(u)
				s = first.s - 1
			}
		}
	}
	return s, e, e > s
}

// closeDollar finds the closing dollar sign; a dollar directly before a digit
// and after a space is currency.
func closeDollar(r string, i, w int) int {
	for j := i; j < len(r); j++ {
		if r[j] == '\\' {
			j++
			continue
		}
		if r[j] == '$' && (w == 1 || strings.HasPrefix(r[j:], "$$")) {
			return j
		}
	}
	return -1
}

// unstated applies the weaker rules in order: printed output, bold type, the
// whole text, the last sentence.
func (q Question) unstated(kind Kind, text string) (Prediction, bool) {
	ls, le := lastSentence(text)
	ts, te := trimRegion(text, 0, len(text))
	short := te-ts <= 60 && !strings.Contains(text[ts:te], "\n")
	try := func(rule string, s, e int, f func(string) (int, int, string, bool)) (Prediction, bool) {
		a, b, ans, ok := f(text[s:e])
		if !ok {
			return Prediction{}, false
		}
		p := Prediction{Rule: rule, Start: s + a, End: s + b, Answer: ans}
		if ans == "" {
			p.Answer = text[p.Start:p.End]
		}
		return p, true
	}
	span := func(f func(string) (int, int, bool)) func(string) (int, int, string, bool) {
		return func(r string) (int, int, string, bool) { s, e, ok := f(r); return s, e, "", ok }
	}
	// A response that opens with its answer means it, unless its last sentence
	// draws another conclusion.
	lead := func(first, last func(string) (int, int, string, bool)) (Prediction, bool) {
		p, opens := try("leading", ts, min(te, ts+40), first)
		c, closes := try("last_sentence", ls, le, last)
		if opens && closes && c.Start > p.Start && !concludes(text[ls:le]) {
			return p, true
		}
		if closes {
			return c, true
		}
		return p, opens
	}
	bs, be, bold := lastBold(text)
	os, oe, output := lastOutput(text)
	switch kind {
	case Number:
		if bold {
			if p, ok := try("bold", bs, be, span(stateNumber)); ok {
				return p, true
			}
		}
		if output && !hasDigit(text[oe:]) {
			if p, ok := try("output", os, oe, span(lastNumberOf)); ok {
				return p, true
			}
		}
		if short {
			if p, ok := try("whole", ts, te, span(concludedNumber)); ok {
				return p, true
			}
			if _, _, digits := firstNumber(text[ts:te]); !digits {
				if p, ok := try("whole", ts, te, span(wordNumber)); ok {
					return p, true
				}
			}
		}
		return try("last_sentence", ls, le, span(concludedNumber))
	case Math:
		if bold {
			if p, ok := try("bold", bs, be, span(stateMath)); ok && mathy(p.Answer) {
				return p, true
			}
		}
		if output && strings.TrimSpace(strings.Trim(text[oe:], "`")) == "" {
			s, e := trimRegion(text, os, oe)
			return Prediction{Answer: text[s:e], Rule: "output", Start: s, End: e}, e > s
		}
		if (short || te-ts <= 1000 && !strings.Contains(text[ts:te], ". ")) && mathy(text[ts:te]) {
			return try("whole", ts, te, span(stateMath))
		}
		return try("last_sentence", ls, le, span(concludedMath))
	case Choice:
		if p, ok := try("leading", ts, min(te, ts+200), q.leadingChoice); ok {
			return p, true
		}
		if bold {
			if p, ok := try("bold", bs, be, func(r string) (int, int, string, bool) { return q.stateChoice(r, true) }); ok {
				return p, true
			}
		}
		return try("last_sentence", ls, le, q.concludedChoice)
	case Label:
		if bold {
			if p, ok := try("bold", bs, be, stateLabel); ok {
				return p, true
			}
		}
		return lead(leadingLabel, concludedLabel)
	}
	if bold {
		if p, ok := try("bold", bs, be, stateYesNo); ok {
			return p, true
		}
	}
	return lead(leadingYesNo, concludedYesNo)
}

// concludes reports a sentence that begins like a conclusion.
func concludes(s string) bool {
	s = strings.ToLower(strings.TrimLeft(s, " *"))
	for _, w := range []string{"so", "thus", "therefore", "hence", "overall", "in conclusion", "in summary", "finally", "yes", "no,", "no.", "the hypothesis", "the statement"} {
		if strings.HasPrefix(s, w) {
			return true
		}
	}
	return false
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

func lastNumberOf(r string) (int, int, bool) { return lastNumber(r) }

// lastBold returns the inside of the last **...**.
func lastBold(text string) (int, int, bool) {
	e := lastIndex(text, "**")
	if e < 1 {
		return 0, 0, false
	}
	s := lastIndex(text[:e], "**")
	if s < 0 || e-s > 120 || strings.Contains(text[s:e], "\n") {
		return 0, 0, false
	}
	// Bold text in the last two lines only: earlier bold is a heading.
	if strings.Count(strings.TrimSpace(text[e+2:]), "\n") > 1 || strings.HasSuffix(text[s+2:e], ":") {
		return 0, 0, false
	}
	s, e = trimRegion(text, s+2, e)
	return s, e, e > s
}

// lastOutput returns the last block of printed program output.
func lastOutput(text string) (int, int, bool) {
	i := lastIndex(text, "```output")
	if i < 0 {
		return 0, 0, false
	}
	s := i + len("```output")
	e := len(text)
	if k := strings.Index(text[s:], "```"); k >= 0 {
		e = s + k
	}
	return s, e, strings.TrimSpace(text[s:e]) != ""
}

// concludedNumber reads the number of a closing sentence: the one after its equals
// sign, its only number, or the one after its verb.
func concludedNumber(r string) (int, int, bool) {
	if i := strings.LastIndexByte(r, '='); i >= 0 {
		s, e, ok := firstNumber(r[i+1:])
		return i + 1 + s, i + 1 + e, ok
	}
	s, e, ok := firstNumber(r)
	if !ok {
		return 0, 0, false
	}
	if _, _, more := firstNumber(r[e:]); !more {
		return s, e, true
	}
	// The number right after the last verb that states an amount.
	best := -1
	for _, v := range amountVerbs {
		for off := 0; ; {
			k := strings.Index(r[off:], v)
			if k < 0 {
				break
			}
			off += k + len(v)
			if s, _, ok := firstNumber(r[off:]); ok && s <= 2 && off > best {
				best = off
			}
		}
	}
	if best >= 0 {
		s, e, ok := firstNumber(r[best:])
		return best + s, best + e, ok
	}
	return 0, 0, false
}

// amountVerbs come right before the amount that a sentence states.
var amountVerbs = []string{" is ", " are ", " was ", " were ", " be ", " has ", " have ", " had ", " makes ", " made ",
	" earns ", " earned ", " needs ", " costs ", " equals ", " pays ", " spends ", " spent ", " gets ", " total of ",
	" takes ", " total is ", " it's "}

// concludedMath reads the last delimited mathematics of a closing sentence.
func concludedMath(r string) (int, int, bool) {
	off, found := 0, false
	var s, e int
	for {
		a, b, ok := delimited(r[off:])
		if !ok {
			break
		}
		s, e, found = off+a, off+b, true
		off = e + 1
		if off >= len(r) {
			break
		}
	}
	if found {
		return s, e, true
	}
	return concludedNumber(r)
}
