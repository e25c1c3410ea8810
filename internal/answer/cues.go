package answer

import (
	"strings"
	"unicode/utf8"
)

// maxRegion bounds the text after a cue that is searched for the answer.
const maxRegion = 600

// answerCues finds "answer is X", "Final Answer: X", "A: X" and the like.
func answerCues(text string) []cand {
	var out []cand
	for _, w := range []string{"nswer", "NSWER"} {
		for i := 0; i < len(text); {
			k := strings.Index(text[i:], w)
			if k < 0 {
				break
			}
			k += i
			i = k + len(w)
			if k == 0 || text[k-1]|0x20 != 'a' || k > 1 && isAlpha(text[k-2]) {
				continue
			}
			if s, denied, ok := afterAnswer(text, i); ok {
				if c, ok := region(text, s, k-1, "answer_is"); ok {
					c.denied = denied
					c.doubted = doubted(text, k-1)
					out = append(out, c)
				}
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
	return out
}

// languageCues lists the last statement that each cue of another language makes.
func languageCues(text string) []cand {
	var out []cand
	cues := [][]cue{asciiCues, nil}
	if strings.Contains(text, " the ") { // English
		cues[0] = nil
	}
	for i := 0; i < len(text); i++ {
		if text[i] >= utf8.RuneSelf {
			cues[1] = foreignCues
			break
		}
	}
	for _, list := range cues {
		for _, f := range list {
			for end, tries := len(text), 0; tries < 16; tries++ {
				k := lastIndex(text[:end], f.stem)
				if k < 0 {
					break
				}
				end = k
				s, denied, ok := f.after(text, k)
				if !ok {
					continue
				}
				if c, ok := region(text, s, k, "answer_is"); ok {
					c.denied = denied
					for _, w := range copulas {
						if t := strings.TrimRight(text[c.start:c.end], " "); strings.HasSuffix(t, w) {
							c.end = c.start + len(strings.TrimRight(strings.TrimSuffix(t, w), " "))
						}
					}
					if c.end > c.start {
						out = append(out, c)
						break
					}
				}
			}
		}
	}
	return out
}

// after looks for the answer behind the cue whose stem is at k.
func (f cue) after(text string, k int) (s int, denied, ok bool) {
	if len(f.heads) > 0 {
		head := false
		for _, h := range f.heads {
			head = head || strings.HasSuffix(text[:k], h) && !isAlpha(byteBefore(text, k-len(h)))
		}
		if !head {
			return 0, false, false
		}
	}
	i := k + len(f.stem)
	if len(f.heads) > 0 && i < len(text) && isAlpha(text[i]) {
		return 0, false, false
	}
	limit := min(len(text), i+80)
	for j := i; j < limit; j++ {
		switch c := text[j]; {
		case c == ':' || c == '=':
			return j + 1, denies(text[i:j]), true
		case c == '\n' || c == '.' || c == '?' || c == '!' || c == ';':
			limit = j
		case strings.HasPrefix(text[j:], "—") || strings.HasPrefix(text[j:], "–"):
			return j + len("—"), denies(text[i:j]), true
		case !f.label && strings.Trim(text[i:j], " *\"") == "" && (isDigit(c) || (c == '$' || c == '(' || c == '-' || c == '\\') && j+1 < limit):
			return j, false, true
		case f.label && (c >= 'A' && c <= 'H' || c == '(') && j-i < 8:
			return j, false, true
		default:
			for _, w := range f.links {
				if strings.HasPrefix(text[j:], w) && (w[0] >= 0x80 && w != "è" && w != "é" || word(text, j, j+len(w))) {
					if f.label {
						j += len(w) - 1
						break
					}
					t := strings.ToLower(text[i:j])
					return j + len(w), denies(t) || containsWord(t, between) >= 0 || bounded(t), true
				}
			}
		}
	}
	return 0, false, false
}

func byteBefore(text string, i int) byte {
	if i <= 0 {
		return ' '
	}
	return text[i-1]
}

// afterAnswer looks after the word "answer" for what introduces the value: a
// colon at once, or "is", "are", "was", "be", "=" within the clause. denied tells
// that the clause denies it: "isn't", "cannot be".
func afterAnswer(text string, i int) (s int, denied, ok bool) {
	if i < len(text) && text[i]|0x20 == 's' {
		i++
	}
	if i < len(text) && isAlpha(text[i]) {
		return 0, false, false
	}
	limit := min(len(text), i+80)
	for j := i; j < limit; j++ {
		switch c := text[j]; {
		case c == ':' || c == '=':
			return j + 1, false, true
		case c == '\n':
			if strings.Trim(text[i:j], " *#_:") == "" { // a heading: the answer follows below
				return j + 1, false, true
			}
			return 0, false, false
		case c == '.' || c == '?' || c == '!' || c == ';':
			return 0, false, false
		case c == '\\' && strings.HasPrefix(text[j:], "\\box"), c == '$' && j > i+1 && text[j-1] == ' ' && j-i < 3:
			return j, false, true
		case c == ' ':
			for _, w := range []string{"is", "are", "was", "be", "equals", "will be", "isn't", "aren't", "wasn't"} {
				if e := j + 1 + len(w); e <= len(text) && strings.EqualFold(text[j+1:e], w) && (e == len(text) || !isAlpha(text[e]) && text[e] != '\'') {
					return e, denies(text[i:e]), true
				}
			}
		}
	}
	if strings.Trim(text[i:limit], " *#_:") == "" {
		return limit, false, limit > i
	}
	return 0, false, false
}

// doubted reports that the sentence before position k takes the statement back:
// "I don't think the answer", "if the answer".
func doubted(text string, k int) bool {
	t := text[max(0, k-60):k]
	if i := strings.LastIndexAny(t, ".!?\n;:,"); i >= 0 {
		t = t[i+1:]
	}
	t = strings.ToLower(t)
	return containsWord(t, doubts) >= 0 || containsWord(t, conditions) >= 0
}

// containsWord finds the first of the words in t, which is in lower case, that
// stands by itself; -1 where none does. "n't" may end a word, and scripts without
// blanks have no bounds of words.
func containsWord(t string, words []string) int {
	best := -1
	for _, w := range words {
		for off := 0; ; {
			k := strings.Index(t[off:], w)
			if k < 0 {
				break
			}
			k += off
			off = k + 1
			e := k + len(w)
			if w[0] >= 0xE0 || (strings.HasPrefix(w, "n't") || k == 0 || !isWordByte(t[k-1])) && (e >= len(t) || !isWordByte(t[e])) {
				if best < 0 || k < best {
					best = k
				}
				break
			}
		}
	}
	return best
}

// denies reports a negation in t.
func denies(t string) bool { return containsWord(strings.ToLower(t), denials) >= 0 }

// region cuts the clause after position s out of text.
func region(text string, s, pos int, rule string) (cand, bool) {
	for s < len(text) && strings.IndexByte(" \t\n\r*:_=#>\"'", text[s]) >= 0 {
		s++
	}
	s = skipFillers(text, s)
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

// skipFillers moves s over words such as "about" and "simply".
func skipFillers(text string, s int) int {
	for _, w := range fillers {
		if len(text)-s >= len(w) && strings.EqualFold(text[s:s+len(w)], w) {
			s += len(w)
		}
	}
	return s
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
			if math || text[j] == '!' && j > s && !isAlpha(text[j-1]) && !exclaims(text, j) {
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

// exclaims tells the end of a sentence from a factorial: "The answer is 42!"
// against "5! + 1".
func exclaims(text string, j int) bool {
	rest := strings.TrimLeft(text[j+1:], " *\"")
	return (rest == "" || rest[0] == '\n' || rest[0] >= 'A' && rest[0] <= 'Z' && len(rest) < len(text)-j-1) && isDigit(text[j-1])
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
		_, e = trimRegion(text, max(0, e-maxRegion), e)
		s := max(0, e-maxRegion)
		for j := e - 1; j > s; j-- {
			if c := text[j]; c == '\n' || (c == '.' || c == '!' || c == '?') && j+1 < e && (text[j+1] == ' ' || text[j+1] == '\n') && text[j-1] != '\\' && !abbreviation(text, j) {
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
