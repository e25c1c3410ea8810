package answer

import "strings"

// maxRegion bounds the text after a cue that is searched for the answer.
const maxRegion = 600

// foreignCues state an answer in other languages. The answer follows
// after a colon or blanks.
var foreignCues = []string{"réponse est", "Réponse :", "respuesta es", "Antwort ist", "Antwort:", "答案是", "答案为", "答案：", "ответ:", "Ответ:"}

// answerCues finds "answer is X", "Final Answer: X", "A: X" and the like.
func answerCues(text string) []cand {
	var out []cand
	for i := 0; i < len(text); {
		k := strings.Index(text[i:], "nswer")
		if k < 0 {
			break
		}
		k += i
		i = k + 5
		if k == 0 || text[k-1]|0x20 != 'a' || k > 1 && isAlpha(text[k-2]) {
			continue
		}
		if s, ok := afterAnswer(text, k+5); ok {
			if c, ok := region(text, s, k-1, "answer_is"); ok {
				out = append(out, c)
			}
		}
	}
	for i := lastIndex(text, "ANSWER"); i >= 0; i = -1 {
		if s, ok := afterAnswer(text, i+6); ok {
			if c, ok := region(text, s, i, "answer_is"); ok {
				out = append(out, c)
			}
		}
	}
	// "A: 4" at the start of a line, the form of few-shot prompts.
	if i := lastIndex(text, "\nA:"); i >= 0 {
		if c, ok := region(text, i+3, i, "answer_is"); ok {
			out = append(out, c)
		}
	} else if strings.HasPrefix(text, "A:") {
		if c, ok := region(text, 2, 0, "answer_is"); ok {
			out = append(out, c)
		}
	}
	for _, f := range foreignCues {
		if i := lastIndex(text, f); i >= 0 {
			if c, ok := region(text, i+len(f), i, "answer_is"); ok {
				out = append(out, c)
			}
		}
	}
	return out
}

// afterAnswer looks after the word "answer" for what introduces the value: a
// colon at once, or "is", "are", "was", "be", "=" within the clause.
func afterAnswer(text string, i int) (int, bool) {
	if i < len(text) && text[i] == 's' {
		i++
	}
	if i < len(text) && isAlpha(text[i]) {
		return 0, false
	}
	limit := min(len(text), i+80)
	for j := i; j < limit; j++ {
		switch c := text[j]; {
		case c == ':' || c == '=':
			return j + 1, true
		case c == '\n':
			if strings.Trim(text[i:j], " *#_:") == "" { // a heading: the answer follows below
				return j + 1, true
			}
			return 0, false
		case c == '.' || c == '?' || c == '!' || c == ';':
			return 0, false
		case c == '\\' && strings.HasPrefix(text[j:], "\\box"), c == '$' && j > i+1 && text[j-1] == ' ' && j-i < 3:
			return j, true
		case c == ' ':
			for _, w := range []string{"is", "are", "was", "be", "equals", "will be"} {
				if strings.HasPrefix(text[j+1:], w) && j+1+len(w) <= len(text) &&
					(j+1+len(w) == len(text) || !isAlpha(text[j+1+len(w)])) {
					return j + 1 + len(w), true
				}
			}
		}
	}
	if strings.Trim(text[i:limit], " *#_:") == "" {
		return limit, limit > i
	}
	return 0, false
}

// region cuts the clause after position s out of text.
func region(text string, s, pos int, rule string) (cand, bool) {
	for s < len(text) && strings.IndexByte(" \t\n\r*:_=#>\"'", text[s]) >= 0 {
		s++
	}
	for _, w := range []string{"equal to ", "equals ", "therefore ", "thus ", "simply ", "just ", "still ", "indeed ", "actually ",
		"approximately ", "about ", "exactly ", "obviously ", "clearly "} {
		if strings.HasPrefix(text[s:], w) {
			s += len(w)
		}
	}
	if s >= len(text) {
		return cand{}, false
	}
	e := clauseEnd(text, s)
	s, e = trimRegion(text, s, e)
	if e <= s {
		return cand{}, false
	}
	if t := text[s:e]; strings.HasPrefix(t, "(insert") || strings.HasPrefix(t, "[") && strings.HasSuffix(t, "answer]") || strings.HasPrefix(t, "<") && strings.HasSuffix(t, "answer>") {
		return cand{}, false
	}
	return cand{rule: rule, start: s, end: e, pos: pos}, true
}

// clauseEnd finds the end of the sentence that holds position s: a line end or
// a period before white space, outside of displayed mathematics.
func clauseEnd(text string, s int) int {
	limit := min(len(text), s+maxRegion)
	for _, d := range [][2]string{{"\\[", "\\]"}, {"$$", "$$"}, {"\\(", "\\)"}} {
		if strings.HasPrefix(text[s:limit], d[0]) {
			if k := strings.Index(text[s+2:limit], d[1]); k >= 0 {
				s += 2 + k + 2
			}
		}
	}
	math := false
	for j := s; j < limit; j++ {
		switch text[j] {
		case '$':
			math = !math
		case '\n':
			return j
		case '<':
			if strings.HasPrefix(text[j:], "<|") {
				return j
			}
		case '.', '!', '?':
			if math || text[j] == '!' && j > s && !isAlpha(text[j-1]) {
				continue // a factorial or \!
			}
			if j+1 >= len(text) {
				return j
			}
			n := text[j+1]
			if n == ' ' || n == '\n' || n == '"' || n == '<' || n == '*' || n == '\r' {
				// "10:35 A.M. is" and "e.g. this": a lone letter before the period
				if j >= 2 && isAlpha(text[j-1]) && text[j-2] == '.' && n == ' ' || abbreviation(text, j) {
					continue
				}
				return j
			}
		}
	}
	return limit
}

// abbreviation reports that the period at j belongs to a title: "Mr. Watson".
func abbreviation(text string, j int) bool {
	if text[j] != '.' {
		return false
	}
	for _, w := range []string{"Mr", "Mrs", "Ms", "Dr", "St", "Prof", "Jr", "vs", "approx", "e.g", "i.e"} {
		if strings.HasSuffix(text[:j], w) && (j == len(w) || !isWordByte(text[j-len(w)-1])) {
			return true
		}
	}
	return false
}

func trimRegion(text string, s, e int) (int, int) {
	for s < e && strings.IndexByte(" \t\r\n*_\"'`", text[s]) >= 0 {
		s++
	}
	for e > s && strings.IndexByte(" \t\r\n*_\"'`.,;:", text[e-1]) >= 0 {
		e--
	}
	return s, e
}

func lineEnd(text string, s int) int {
	if k := strings.IndexByte(text[s:], '\n'); k >= 0 {
		return s + k
	}
	return len(text)
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isWordByte(c byte) bool {
	return isAlpha(c) || isDigit(c) || c == '_' || c >= 0x80
}

// word reports that text[s:e] is not part of a longer word.
func word(text string, s, e int) bool {
	return (s == 0 || !isWordByte(text[s-1])) && (e >= len(text) || !isWordByte(text[e]))
}

// lastSentence returns the last sentence or line with any letters or digits.
func lastSentence(text string) (int, int) {
	e := len(text)
	if k := strings.Index(text, "<|im_"); k > 0 {
		e = k
	}
	for e > 0 {
		_, e = trimRegion(text, 0, e)
		s := max(0, e-maxRegion)
		for j := e - 1; j > s; j-- {
			if c := text[j]; c == '\n' || (c == '.' || c == '!' || c == '?') && j+1 < e && (text[j+1] == ' ' || text[j+1] == '\n') && !abbreviation(text, j) {
				s = j + 1
				break
			}
		}
		ts, te := trimRegion(text, s, e)
		if strings.ContainsFunc(text[ts:te], func(r rune) bool {
			return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r > 127
		}) {
			return ts, te
		}
		if s == 0 {
			break
		}
		e = min(s, e-1) // a lone line end gives an empty sentence
	}
	return 0, 0
}

// lastIndex is strings.LastIndex for patterns that a text seldom holds: a few
// forward searches with vector instructions instead of one backward hash.
func lastIndex(s, sub string) int {
	last := -1
	for off := 0; off <= len(s); {
		k := strings.Index(s[off:], sub)
		if k < 0 {
			break
		}
		last = off + k
		off = last + 1
	}
	return last
}
