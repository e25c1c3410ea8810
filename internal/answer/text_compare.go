package answer

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/task"
)

// tokens splits a text as the SQuAD metric does (arXiv 1606.05250): without case,
// punctuation and articles, after Unicode normalisation (NFKC). It keeps what that
// metric loses: points, slashes and signs of numbers, + # = < > and a last "A". It
// reads & as "and", and splits Chinese and Japanese by character, as MLQA does (arXiv
// 1910.07475).
func tokens(t task.Task, s string) []string {
	s = norm.NFKC.String(fold(s).text)
	if !t.CaseSensitive {
		s = strings.ToLower(s)
	}
	words := strings.Fields(kept([]rune(joinInitials(s))))
	var out []string
	for i, w := range words {
		switch strings.ToLower(w) {
		case "a", "an", "the":
			if i+1 < len(words) {
				continue // "vitamin A" ends with no article
			}
		}
		out = append(out, w)
	}
	return out
}

// kept drops punctuation and sets the symbols that count apart.
func kept(s []rune) string {
	var b strings.Builder
	at := func(i int) rune {
		if i < 0 || i >= len(s) {
			return ' '
		}
		return s[i]
	}
	for i, r := range s {
		number := unicode.IsDigit(at(i-1)) && unicode.IsDigit(at(i+1))
		starts := unicode.IsDigit(at(i+1)) && !unicode.IsDigit(at(i-1)) && !unicode.IsLetter(at(i-1))
		switch {
		case (r == '.' || r == '/' || r == ':') && number, r == '-' && starts, r == '.' && starts:
			b.WriteRune(r)
		case unicode.Is(unicode.Pd, r) && number:
			b.WriteByte(' ')
		case r == '&':
			b.WriteString(" and ")
		case r == '+' && starts, unicode.Is(unicode.Sc, r):
		case r == '#' && unicode.IsLetter(at(i-1)), unicode.In(r, unicode.Sm, unicode.So, unicode.Han, unicode.Hiragana, unicode.Katakana):
			b.WriteString(" " + string(r) + " ")
		case unicode.IsPunct(r), unicode.Is(unicode.Sk, r):
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// joinInitials writes "J. K." as "J.K.".
func joinInitials(s string) string {
	if !strings.Contains(s, ". ") {
		return s
	}
	initial := func(i int) bool {
		return i >= 0 && i+1 < len(s) && isAlpha(s[i]) && s[i+1] == '.' && (i == 0 || !isWordByte(s[i-1]))
	}
	var b strings.Builder
	for i := range len(s) {
		if s[i] != ' ' || !initial(i-2) || !initial(i+1) {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// gradeText compares free text: equal words, or a token F1 of at least the task's.
func gradeText(t task.Task, gold, pred string) (mathverify.Verdict, string) {
	g := tokens(t, gold)
	for _, reading := range otherNames(pred) {
		p := tokens(t, reading)
		if strings.Join(g, " ") == strings.Join(p, " ") && (len(g) > 0 || gold == reading) {
			return mathverify.Equal, "same text"
		}
		if f := tokenF1(g, p); t.F1 > 0 && f >= t.F1 {
			return mathverify.Equal, "enough words in common"
		}
	}
	return mathverify.Different, "another text"
}

// otherNames lists what an answer may be taken for: itself, what stands before its last
// brackets, and both names of "X (also known as Y)".
func otherNames(s string) []string {
	all := []string{s}
	k := strings.LastIndex(s, " (")
	if k > 0 && strings.HasSuffix(s, ")") {
		all = append(all, s[:k])
	}
	low := strings.ToLower(s)
	if len(low) != len(s) {
		return all
	}
	for _, w := range []string{"also known as ", "a.k.a. ", "aka ", "also called "} {
		if i := strings.Index(low, w); i > 0 && strings.IndexByte(" (", s[i-1]) >= 0 {
			return append(all, strings.TrimRight(s[:i], " ,("), strings.TrimRight(s[i+len(w):], ")"))
		}
	}
	return all
}

// tokenF1 is the harmonic mean of precision and recall over words (arXiv 1606.05250).
func tokenF1(gold, pred []string) float64 {
	left := map[string]int{}
	for _, w := range gold {
		left[w]++
	}
	common := 0
	for _, w := range pred {
		if left[w] > 0 {
			left[w]--
			common++
		}
	}
	if common == 0 {
		return 0
	}
	return 2 * float64(common) / float64(len(gold)+len(pred))
}
