package answer

import (
	"strings"
	"unicode"

	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/task"
)

// maxText is the longest free text that is read as an answer, in bytes.
const maxText = 200

// stateText reads a statement as free text: all of it, without quotes and the final
// period.
func stateText(text string, p Prediction) (Prediction, status) {
	for _, command := range []string{`\text{`, `\textbf{`} {
		if t := text[p.Start:p.End]; strings.HasPrefix(t, command) && strings.HasSuffix(t, "}") {
			p.Start, p.End = p.Start+len(command), p.End-1
		}
	}
	p.Start, p.End = trimText(text, p.Start, p.End)
	p.Answer = text[p.Start:p.End]
	return p, when(p.Answer != "" && len(p.Answer) <= maxText)
}

// wholeText reads a short response of one line as its answer, or the last line of a
// longer one.
func wholeText(text string, s, e int) (Prediction, status) {
	if containsWord(strings.ToLower(text[s:e]), doubts) >= 0 {
		return Prediction{}, nothing
	}
	rule := "whole"
	if k := strings.LastIndexByte(text[s:e], '\n'); k >= 0 {
		s, rule = s+k+1, "last_sentence"
	}
	return stateText(text, Prediction{Rule: rule, Start: s, End: e})
}

func trimText(text string, s, e int) (int, int) {
	const around = " \t\r\n*\"'`“”"
	s += len(text[s:e]) - len(strings.TrimLeft(text[s:e], around))
	e = s + len(strings.TrimRight(text[s:e], around+".,;!"))
	return s, e
}

// tokens splits a text as the SQuAD metric does (arXiv 1606.05250): without case,
// punctuation and articles.
func tokens(t task.Task, s string) []string {
	if !t.CaseSensitive {
		s = strings.ToLower(s)
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsPunct(r) {
			return -1
		}
		return r
	}, s)
	var out []string
	for _, w := range strings.Fields(s) {
		switch strings.ToLower(w) {
		case "a", "an", "the":
		default:
			out = append(out, w)
		}
	}
	return out
}

// gradeText compares free text: equal words, or a token F1 of at least the task's.
func gradeText(t task.Task, gold, pred string) (mathverify.Verdict, string) {
	g, p := tokens(t, gold), tokens(t, pred)
	if strings.Join(g, " ") == strings.Join(p, " ") && (len(g) > 0 || gold == pred) {
		return mathverify.Equal, "same text"
	}
	if f := tokenF1(g, p); t.F1 > 0 && f >= t.F1 {
		return mathverify.Equal, "enough words in common"
	}
	return mathverify.Different, "another text"
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
