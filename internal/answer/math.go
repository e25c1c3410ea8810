package answer

import "strings"

// stateMath finds the mathematical object that a clause states: its delimited
// mathematics if it has any, the whole clause if it is short, otherwise its
// number.
func stateMath(r string) (amount, status) {
	if k := leadIn(r); k > 0 {
		a, st := stateMath(r[k:])
		a.s, a.e = a.s+k, a.e+k
		return a, st
	}
	if k := condition(r); k > 0 {
		r = r[:k]
	}
	if k := afterVerb(r); k > 0 {
		if a, st := stateMath(r[k:]); st == stated {
			a.s, a.e = a.s+k, a.e+k
			return a, st
		}
	}
	if s, e, ok := delimited(r); ok {
		return amount{s: s, e: e}, stated
	}
	// A number phrase that has to be read out: "minus three and a half apples".
	if t, ok := spoken(r); ok {
		return amount{s: 0, e: len(r), text: t}, stated
	}
	if mathy(r) {
		return amount{s: 0, e: len(r)}, stated
	}
	// A clause of prose: "120 cubic meters", "the interval [0, 1)".
	if i := strings.LastIndexByte(r, '='); i > 0 && i+1 < len(r) {
		s, e := trimRegion(r, i+1, len(r))
		if mathy(r[s:e]) {
			return amount{s: s, e: e}, when(e > s)
		}
	}
	if a, st := readAmount(r); st == several {
		return a, stated
	} else if st != nothing {
		return a, st
	}
	if len(r) <= 40 && len(strings.Fields(r)) <= 4 {
		return amount{s: 0, e: len(r)}, stated
	}
	return amount{}, nothing
}

// inProse reports mathematics in dollar signs behind words: a sentence.
func inProse(r string) bool {
	i := strings.IndexByte(r, '$')
	return i > 0 && strings.TrimSpace(r[:i]) != "" && strings.Count(r, "$") > 2
}

// leadIn is the length of words such as "we have" before a statement.
func leadIn(r string) int {
	for _, w := range leadIns {
		if len(r) > len(w) && strings.EqualFold(r[:len(w)], w) {
			return len(w)
		}
	}
	return 0
}

// condition returns where what explains a leading number begins: "12 when x = 3";
// 0 where nothing does.
func condition(r string) int {
	if r == "" || !isDigit(r[0]) {
		return 0
	}
	low := strings.ToLower(r)
	for _, w := range []string{", where ", " where ", ", when ", " when ", ", i.e.", " i.e.", ", if "} {
		if k := strings.Index(low, w); k > 0 && spokenUnit(r[literalEnd(r, 0):k]) {
			return k
		}
	}
	return 0
}

// spoken reads out a clause that is a number phrase with at most a unit.
func spoken(r string) (string, bool) {
	a, ok := amountIn(r, 0)
	if !ok || a.text == "" || strings.Trim(r[:a.s], " ~") != "" || !spokenUnit(r[a.e:]) {
		return "", false
	}
	if t := strings.TrimLeft(r[a.s:a.e], "+-"); literalEnd(t, 0) == len(t) && strings.Count(t, ",")+strings.Count(t, ".") == 1 {
		return "", false // "2,5" may be a pair
	}
	return a.text + r[a.e:], true
}

// spokenUnit reports what may follow a number in words: nothing, or a unit.
func spokenUnit(r string) bool {
	return len(strings.Fields(r)) <= 3 && !strings.ContainsAny(r, "0123456789=+*/<>,;:^\\_") && containsWord(strings.ToLower(r), []string{"or", "and", "to"}) < 0
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
			if !strings.HasPrefix(r[i:], v) {
				continue
			}
			rest := r[i+len(v):]
			ws := wordsOf(rest, 1)
			if strings.ContainsAny(rest, "0123456789$\\=") || len(ws) == 1 && (numerals[ws[0].word] > 0 || ws[0].word == "half") {
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

// concludedMath reads a closing sentence: what its verb states, or its last
// delimited mathematics.
func concludedMath(r string) (amount, status) {
	if k := skipFillers(r, afterVerb(r)); k > 0 && strings.Count(r[:k], "$")%2 == 0 && valueStart(r[k:]) {
		if a, st := stateMath(r[k:]); st != nothing {
			a.s, a.e = a.s+k, a.e+k
			return a, st
		}
	}
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
		return amount{s: s, e: e}, stated
	}
	a, st := concludedAmount(r)
	if st == several {
		st = stated
	}
	return a, st
}

// valueStart reports that r begins with a number, a word for one, or mathematics.
func valueStart(r string) bool {
	if r == "" || isDigit(r[0]) || strings.IndexByte("$\\-(.", r[0]) >= 0 {
		return r != ""
	}
	s, _, ok := wordNumber(r)
	return ok && (s == 0 || signWord(r) == s)
}

// words takes the marks of text out of mathematics.
var words = strings.NewReplacer("\\text{", "", "\\textbf{", "", "}", "")

// boxedProse reads a box that holds a sentence: "\text{She makes } 18 \text{ dollars}".
func boxedProse(t string) (string, status) {
	k := strings.IndexAny(t, "0123456789")
	if k < 0 || !strings.HasPrefix(strings.TrimLeft(t, " $"), "\\text") || len(strings.Fields(t[:k])) < 3 {
		return "", nothing
	}
	plain := words.Replace(t)
	if strings.ContainsAny(plain, "\\{^_") {
		return "", nothing
	}
	a, st := readAmount(plain)
	if st == stated && a.text == "" {
		a.text = plain[a.s:a.e]
	}
	return a.text, st
}
