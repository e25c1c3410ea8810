package answer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/jsoncheck"
)

// maxText is the longest free text that is read as an answer, in bytes.
const maxText = 200

// stateText reads a statement as free text: what it names, without quotes, marks and
// what explains it.
func stateText(text string, c cand) (Prediction, status) {
	p := Prediction{Rule: c.rule, Start: c.start, End: c.end}
	switch c.rule {
	case "json":
		p.Answer = strings.TrimSpace(c.answer)
		return p, when(p.Answer != "" && len(p.Answer) <= maxText)
	case "answer_is":
		if e := enclosed(text, c.start); e > 0 && !c.denied {
			p.End = e
			return cleanText(text, p)
		}
		p.End = sentenceEnd(text, c.start)
		if e := strings.Index(text[p.Start:p.End], "**"); e >= 0 && strings.Count(text[p.Start:p.End], "**")%2 == 1 {
			p.End = p.Start + e // the end of "**Answer: Paris**"
		}
		if strings.HasPrefix(text[p.End:], "?") && !startsWith(strings.ToLower(text[p.Start:p.End]), asking) {
			return p, nothing
		}
	case "boxed", "hash", "answer_tag":
		if c.answer != "" && c.answer != text[p.Start:p.End] { // several boxes
			p.Answer = c.answer
			return p, when(len(p.Answer) <= maxText)
		}
		return cleanText(text, p)
	}
	region := text[p.Start:p.End]
	for _, w := range hedges {
		if strings.HasPrefix(region, w) {
			p.Start += len(w)
			region = region[len(w):]
		}
	}
	for _, w := range copulas {
		region = strings.TrimSuffix(region, w)
	}
	if c.denied || startsWith(region, textDenials) && region != "neither" && !startsWith(region, absences) {
		k := meant(region)
		if k < 0 {
			return p, nothing
		}
		p.Start += k
		region = region[k:]
	}
	if startsWith(region, []string{"either"}) && strings.Contains(region, " or ") {
		return p, several
	}
	p.End = p.Start + explained(region, c.rule == "answer_is" || c.rule == "bold")
	return cleanText(text, p)
}

// meant finds what is set against a denial: "not Lyon but Paris"; -1 where nothing is.
func meant(region string) int {
	best := -1
	for _, w := range textContrasts {
		if k := strings.Index(region, w); k >= 0 && k+len(w) > best {
			best = k + len(w)
		}
	}
	return best
}

// enclosed is the end of what quotes, bold type, italics or code around position s hold;
// 0 where there are none, or several in a list.
func enclosed(text string, s int) int {
	for _, mark := range []string{"**", "*", `"`, "`"} {
		if !strings.HasSuffix(text[:s], mark) {
			continue
		}
		rest := text[s:lineEnd(text, s)]
		k := strings.Index(rest, mark)
		if k <= 0 || startsWith(strings.TrimLeft(rest[k+len(mark):], ", "), []string{"and", "or", mark}) || strings.HasPrefix(strings.TrimLeft(rest[k+len(mark):], ", "), mark) {
			return 0
		}
		return s + k
	}
	return 0
}

// cleanText takes off what marks the answer: quotes, stars, dollar signs, LaTeX commands
// for text, the final period.
func cleanText(text string, p Prediction) (Prediction, status) {
	if p.End-p.Start > maxRegion {
		return p, nothing
	}
	for again := true; again; {
		p.Start, p.End = trimText(text, p.Start, p.End)
		again = false
		t := text[p.Start:p.End]
		for _, pair := range [][2]string{{"$", "$"}, {`\(`, `\)`}, {`\text{`, "}"}, {`\textbf{`, "}"}, {`\textit{`, "}"}, {`\mathrm{`, "}"}, {`\mathbf{`, "}"}, {`\emph{`, "}"}} {
			if inner := len(t) - len(pair[0]) - len(pair[1]); inner > 0 && strings.HasPrefix(t, pair[0]) && strings.HasSuffix(t, pair[1]) {
				p.Start, p.End, again = p.Start+len(pair[0]), p.End-len(pair[1]), true
				break
			}
		}
	}
	p.Answer = latexSigns.Replace(text[p.Start:p.End])
	return p, when(p.Answer != "" && len(p.Answer) <= maxText)
}

var latexSigns = strings.NewReplacer(`\&`, "&", `\%`, "%", `\$`, "$", `\#`, "#", `\_`, "_")

func trimText(text string, s, e int) (int, int) {
	const around = " \t\r\n*\"'`“”"
	s += len(text[s:e]) - len(strings.TrimLeft(text[s:e], around))
	for _, bullet := range []string{"- ", "• ", "> "} {
		if strings.HasPrefix(text[s:e], bullet) {
			s += len(bullet)
			s += len(text[s:e]) - len(strings.TrimLeft(text[s:e], around))
			break
		}
	}
	e = s + len(strings.TrimRight(text[s:e], around+".,;!"))
	if k := strings.LastIndexByte(text[s:e], ' ') + 1; e < len(text) && text[e] == '.' && dotted(text[s+k:e]) {
		e++ // the last period of "U.S."
	}
	return s, e
}

// dotted reports letters with periods between them, such as "U.S" and "a.m".
func dotted(w string) bool {
	w = strings.TrimLeft(w, "(\"'*")
	for i := 0; i < len(w); i++ {
		if isAlpha(w[i]) != (i%2 == 0) || i%2 == 1 && w[i] != '.' {
			return false
		}
	}
	return len(w) >= 3
}

// sentenceEnd finds the end of the sentence that holds position s. Periods of initials
// and abbreviations are none.
func sentenceEnd(text string, s int) int {
	limit := min(len(text), s+maxRegion)
	for j := s; j < limit; j++ {
		switch text[j] {
		case '\n':
			return j
		case '.', '!', '?':
			if j+1 < len(text) && strings.IndexByte(" \n\r\"*)", text[j+1]) < 0 || text[j] == '.' && goesOn(text[s:min(len(text), limit+80)], j-s) {
				continue
			}
			return j
		}
	}
	return limit
}

// goesOn reports that the period at j does not end the sentence: "J. K. Rowling", "the
// U.S. Senate", "St. Louis", "Apple Inc. of Cupertino".
func goesOn(t string, j int) bool {
	k := strings.LastIndexByte(t[:j], ' ') + 1
	w := strings.TrimLeft(t[k:j], "(\"'*")
	next := strings.TrimLeft(t[j+1:], "\"*) ")
	if next == "" || next[0] == '\n' || next[0] == '\r' || w == "" {
		return false
	}
	first, _, _ := strings.Cut(next, " ")
	small := next[0] >= 'a' && next[0] <= 'z' || isDigit(next[0]) || next[0] == ','
	initial := len(first) == 2 && first[1] == '.'
	starts := !initial && sentenceStarts[strings.ToLower(strings.TrimRight(first, ".,;:!?'\"*"))]
	switch {
	case titles[w]:
		return true
	case w == "No" || w == "no":
		return isDigit(next[0])
	case dotted(w):
		return small || !starts
	case suffixes[w]:
		return small
	case len(w) == 1 && w[0] >= 'A' && w[0] <= 'Z':
		before := strings.TrimLeft(t[strings.LastIndexByte(strings.TrimRight(t[:k], " "), ' ')+1:k], "(\"'*")
		r, _ := utf8.DecodeRuneInString(next)
		return !starts && unicode.IsUpper(r) && (k == 0 || before != "" && before[0] >= 'A' && before[0] <= 'Z')
	}
	return false
}

// explained is the end of what a region names before it goes on to explain it: "Paris,
// not Lyon", "Paris because ...". What comes before is no sentence of its own. Reasons
// without a comma count in a statement only: a sentence has them, too.
func explained(r string, statement bool) int {
	for i := 1; i < len(r); i++ {
		cut := false
		switch rest := r[i+1:]; {
		case r[i] == ',' && strings.HasPrefix(rest, " "):
			rest = rest[1:]
			cut = begins(rest, textTails) || pronoun(rest) || apposition(rest, r[:i])
		case r[i] == ';':
			cut = clause(rest)
		case r[i] == ':' && strings.HasPrefix(rest, " "):
			cut = pronoun(rest[1:])
		case r[i] == ' ' && strings.HasPrefix(rest, "("):
			cut = begins(rest[1:], textTails) || pronoun(rest[1:])
		case r[i] == ' ':
			cut = begins(rest, contrastTails) || statement && begins(rest, reasonTails)
			for _, dash := range []string{"- ", "– ", "— "} {
				if after, ok := strings.CutPrefix(rest, dash); ok && after != "" {
					cut = after[0] >= 'a' && after[0] <= 'z' || clause(after)
				}
			}
		}
		if cut && fragment(r[:i]) {
			return i
		}
	}
	return len(r)
}

// apposition reports words after a name and a comma that say what it is: "the capital of
// France", "a novel".
func apposition(t, name string) bool {
	if strings.Contains(t, " and ") || strings.Contains(t, " or ") {
		return false
	}
	if startsWith(t, []string{"a", "an"}) {
		return !strings.Contains(t, ", ") && !startsWith(strings.ToLower(name), []string{"a", "an", "the"})
	}
	return startsWith(t, []string{"the"}) && containsWord(t, []string{"of", "by which", "that", "which", "who", "where"}) >= 0
}

// begins is startsWith, also for scripts without blanks.
func begins(t string, words []string) bool {
	return startsWith(t, words) || slices.ContainsFunc(words, func(w string) bool { return w[0] >= 0xE0 && strings.HasPrefix(t, w) })
}

// pronoun reports a text that begins with a small word as a clause does: "it is".
func pronoun(t string) bool {
	w, _, more := strings.Cut(t, " ")
	switch w {
	case "it", "it's", "he", "she", "they", "this", "that", "these", "we", "its", "there":
		return more
	}
	return false
}

// clause reports a text with a verb.
func clause(t string) bool {
	for _, w := range strings.Fields(strings.ToLower(t)) {
		if verbs[strings.Trim(w, ".,;:!?\"*")] {
			return true
		}
	}
	return false
}

// fragment reports a text that is a name or the like and no sentence.
func fragment(t string) bool { return len(strings.Fields(t)) <= 12 && !clause(t) }

// unstatedText reads a response without a statement: its bold text, or its last line,
// and there the first sentence that is no sentence, else the last.
func unstatedText(text string, s, e int) (Prediction, status) {
	if containsWord(strings.ToLower(text[s:e]), textDoubts) >= 0 {
		return Prediction{}, nothing
	}
	if bs, be, ok := lastBold(text); ok {
		line := text[strings.LastIndexByte(text[:bs], '\n')+1 : lineEnd(text, be)]
		if strings.Count(line, "**") == 2 {
			return cleanText(text, Prediction{Rule: "bold", Start: bs, End: be})
		}
	}
	rule := "whole"
	if k := strings.LastIndexByte(text[s:e], '\n'); k >= 0 {
		s, rule = s+k+1, "last_sentence"
	}
	var all []cand
	for s < e {
		end := min(e, sentenceEnd(text, s))
		if a, b := trimText(text, s, end); b > a && !interjections[strings.ToLower(text[a:b])] {
			all = append(all, cand{rule: rule, start: a, end: b})
		}
		s = end + 1
	}
	if len(all) == 0 {
		return Prediction{}, nothing
	}
	c := all[len(all)-1]
	if len(all) > 1 {
		c.rule = "last_sentence"
		if fragment(text[all[0].start:all[0].end]) && rule == "whole" && !fragment(text[c.start:c.end]) {
			c = all[0]
			c.rule = "leading"
		}
	}
	for _, w := range textAnswers {
		if head, ok := strings.CutSuffix(text[c.start:c.end], w); ok {
			c.end = c.start + len(head)
		}
	}
	c.start += opener(text[c.start:c.end], len(all) > 1)
	return stateText(text, c)
}

// opener is the length of the words before what a closing sentence states: "So it is".
// A sentence that is all the response, and draws no conclusion, has none.
func opener(t string, more bool) int {
	n := 0
	for _, w := range []string{"So, ", "So ", "Thus, ", "Thus ", "Therefore, ", "Therefore ", "Hence, ", "Hence ", "I think ", "I believe ", "I would say ", "I'd say "} {
		if strings.HasPrefix(t, w) {
			n, more = len(w), true
			break
		}
	}
	low := strings.ToLower(t[n:])
	for _, w := range []string{"it is ", "it's ", "it was ", "that is ", "that's ", "this is ", "it must be ", "it would be "} {
		if more && strings.HasPrefix(low, w) {
			return n + len(w)
		}
	}
	if strings.HasPrefix(t, "I") || n > 1 && t[n-2] == ',' {
		return n
	}
	return 0
}

// withJSON adds the statement of a JSON object in the response: the member with the name
// of an answer, or the only one. Nothing else in the object states one.
func withJSON(text string, cands []cand) []cand {
	s, e := strings.IndexByte(text, '{'), strings.LastIndexByte(text, '}')
	if s < 0 || e < s || strings.IndexByte(text[s:e], '"') < 0 || !jsoncheck.ValidString(text[s:e+1]) {
		return cands
	}
	var found gjson.Result
	best, n := len(jsonNames), 0
	gjson.Parse(text[s : e+1]).ForEach(func(k, v gjson.Result) bool {
		n++
		if v.Type != gjson.String && v.Type != gjson.Number {
			return true
		}
		for i, name := range jsonNames[:best] {
			if strings.EqualFold(k.Str, name) {
				found, best = v, i
			}
		}
		if n == 1 && best == len(jsonNames) {
			found = v
		}
		return true
	})
	if !found.Exists() || best == len(jsonNames) && n > 1 {
		return cands
	}
	start := s + found.Index
	cands = slices.DeleteFunc(cands, func(c cand) bool { return c.pos >= s && c.pos < e })
	return append(cands, cand{rule: "json", start: start, end: start + len(found.Raw), pos: start, answer: found.String()})
}
