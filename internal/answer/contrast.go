package answer

import "strings"

// affirmed cuts a clause down to what it affirms: "not 16 but 18" to 18, "18, not
// 16" and "18 because 16 is odd" to 18, "rules out C, leaving D" to D. It returns
// the whole clause where nothing in it is denied, and false where all is.
func affirmed(r string) (int, int, bool) {
	low := strings.ToLower(r)
	if len(low) != len(r) {
		return 0, len(r), true
	}
	if containsWord(low, denials) < 0 && containsWord(low, denied) < 0 && containsWord(low, reasons) < 0 {
		return 0, len(r), true
	}
	from := -1
	s := 0
	before := false
	for s < len(low) {
		e, next := segmentEnd(low, s)
		bad := deniedSegment(low[s:e])
		// "rules out A, B and D": the list goes on
		bad = bad || before && contrastWord(low[s:e]) == 0 &&
			(len(strings.Fields(low[s:e])) <= 2 || containsWord(low[s:e], []string{"and", "or", "nor"}) >= 0 && len(strings.Fields(low[s:e])) <= 4)
		before = bad
		if !bad && startsWith(low[s:e], reasons) && s > 0 {
			bad = true
		}
		switch {
		case from < 0 && !bad && strings.Trim(low[s+contrastWord(low[s:e]):e], " ,;.()") != "":
			from = s + contrastWord(low[s:e])
		case from >= 0 && bad && containsWord(low[s:e], plural) >= 0 && len(strings.Fields(low[from:s])) <= 3:
			from = -1 // "A, B and D are wrong"
		case from >= 0 && bad:
			a, b := trimRegion(r, from, s)
			b = a + len(strings.TrimRight(r[a:b], " (—–,;"))
			return a, b, b > a
		}
		s = next
	}
	if from < 0 {
		return 0, 0, false
	}
	a, b := trimRegion(r, from, len(r))
	return a, b, b > a
}

// segmentEnd finds where the segment of a clause that begins at s ends, and where
// the next begins: at a comma before a blank, a semicolon, a bracket, a dash, or
// before "but" and the reasons. Mathematics in dollar signs is not cut.
func segmentEnd(low string, s int) (int, int) {
	math := false
	for j := s; j < len(low); j++ {
		switch c := low[j]; {
		case c == '$' && byteBefore(low, j) != '\\':
			k := strings.IndexByte(low[j+1:], '$') + j + 1 // a price has no closing sign
			math = !math && k > j && low[k-1] != ' ' && !isDigitAt(low, k+1)
		case math:
		case c == ',' && j+1 < len(low) && low[j+1] == ' ', c == ';':
			return j, j + 1
		case c == '(' && j > s && low[j-1] == ' ':
			return j, j + 1
		case c == ' ' && j > s:
			if strings.HasPrefix(low[j+1:], "— ") || strings.HasPrefix(low[j+1:], "– ") || strings.HasPrefix(low[j+1:], "but ") && !strings.HasSuffix(low[:j], "thing") || strings.HasPrefix(low[j+1:], "it's ") || strings.HasPrefix(low[j+1:], "sondern ") {
				return j, j + 1
			}
			if startsWith(low[j+1:], reasons) && strings.Trim(low[s:j], " (") != "" {
				return j, j + 1
			}
		}
	}
	return len(low), len(low)
}

func startsWith(t string, words []string) bool {
	t = strings.TrimLeft(t, " (")
	for _, w := range words {
		if strings.HasPrefix(t, w) && (len(t) == len(w) || !isWordByte(t[len(w)])) {
			return true
		}
	}
	return false
}

// deniedSegment reports a segment that denies what it names.
func deniedSegment(t string) bool {
	return containsWord(t, denials) >= 0 || containsWord(t, denied) >= 0
}

// contrastWord is the length of the words that lead to what is meant.
func contrastWord(t string) int {
	n := 0
	for {
		rest := strings.TrimLeft(t[n:], " ,—–")
		hit := false
		for _, w := range contrasts {
			if strings.HasPrefix(rest, w) && (len(rest) == len(w) || rest[len(w)] == ' ' || w[0] >= 0xE0) {
				n = len(t) - len(rest) + len(w)
				hit = true
				break
			}
		}
		if !hit {
			return n
		}
	}
}
