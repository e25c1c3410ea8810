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
