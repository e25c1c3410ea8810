package answer

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/tidwall/gjson"
)

// Prediction is an extracted answer.
type Prediction struct {
	// Answer is the answer as stated; for choices the label, for anli true,
	// false or neither, for yes/no questions yes or no. "" means none.
	Answer string
	// Rule names what found it: boxed, hash, answer_is, closing, bold, output,
	// leading, last_sentence, whole, pattern, json_path, last_number.
	Rule string
	// Start and End give the byte range in the text that states the answer.
	Start, End int
	// Reason says why there is no answer.
	Reason string
}

// Options change extraction. The zero value is the default.
type Options struct {
	// Fallback is "" (none) or "last_number": take the last number of the text
	// when nothing states an answer. It applies to Number and Math.
	Fallback string
	// Pattern, when set, replaces the built-in rules: its last match gives the
	// answer, through the first group if it has one.
	Pattern *regexp.Regexp
	// JSONPath, when set, replaces the built-in rules: the text, or its last
	// {...} block, is read as JSON and the value at this gjson path is taken.
	JSONPath string
}

// cand is a place that states an answer, in the order of the text.
type cand struct {
	rule       string
	start, end int // region that holds the answer
	pos        int // where the statement begins
	answer     string
}

// Extract finds the answer that text states for q.
func Extract(q Question, text string, opt Options) Prediction {
	if strings.TrimSpace(text) == "" {
		return Prediction{Reason: "empty response"}
	}
	if opt.Pattern != nil || opt.JSONPath != "" {
		return custom(q, text, opt)
	}
	kind := q.Kind()
	text = ownTurn(text)
	var best Prediction
	found := false
	// Stated answers, last first.
	cands := statements(text)
	if c, ok := q.closing(kind, text); ok {
		cands = append(cands, c)
		sortCands(cands)
	}
	for i := len(cands) - 1; i >= 0 && !found; i-- {
		best, found = q.read(kind, text, cands[i])
		found = found && strings.TrimSpace(best.Answer) != ""
	}
	if !found {
		best, found = q.unstated(kind, text)
		found = found && strings.TrimSpace(best.Answer) != ""
	}
	if found {
		return best
	}
	if opt.Fallback == "last_number" && (kind == Number || kind == Math) {
		if s, e, ok := lastNumber(text); ok {
			return Prediction{Answer: text[s:e], Rule: "last_number", Start: s, End: e}
		}
	}
	return Prediction{Reason: fmt.Sprintf("no %s answer is stated", strings.ReplaceAll(kind.String(), "_", "/"))}
}

// ownTurn cuts off what a model that does not stop writes after its answer: a
// chat turn of the user, or the next question of a few-shot prompt once an
// answer has been stated.
func ownTurn(text string) string {
	for _, mark := range []string{"<|im_start|>", "<|start_header_id|>user", "<start_of_turn>user", "[INST]"} {
		if i := strings.Index(text, mark); i > 0 {
			text = text[:i]
		}
	}
	for _, mark := range []string{"Q:", "Question:", "Problem:"} {
		for off, tries := 0, 0; tries < 16; tries++ {
			i := strings.Index(text[off:], mark)
			if i < 0 {
				break
			}
			i += off
			off = i + len(mark)
			if line := strings.TrimRight(text[:i], " #*"); strings.HasSuffix(line, "\n") && len(statements(line)) > 0 {
				text = line
				break
			}
		}
	}
	return text
}

// statements collects boxes, "answer is", "####", "A:" and bold text in the
// order in which they stand. Bold text counts only when nothing stronger does.
func statements(text string) []cand {
	out := answerCues(text)
	if b := boxes(text); len(b) > 0 {
		p := joinBoxes(text, b)
		out = append(out, cand{rule: "boxed", start: p.Start, end: p.End, pos: b[len(b)-1].cmd, answer: p.Answer})
	}
	for i := lastIndex(text, "####"); i >= 0; i = -1 {
		s, e := trimRegion(text, i+4, lineEnd(text, i+4))
		if e > s && !strings.HasPrefix(text[s:e], "#") {
			out = append(out, cand{rule: "hash", start: s, end: e, pos: i})
		}
	}
	if len(out) > 1 {
		sortCands(out)
	}
	return out
}

// closing finds a last sentence that is nothing but an answer, or program
// output that ends the text.
func (q Question) closing(kind Kind, text string) (cand, bool) {
	if s, e, ok := lastOutput(text); ok && strings.Trim(text[e:], "` \n\r") == "" && (kind == Number || kind == Math) {
		s, e = trimRegion(text, s, e)
		return cand{rule: "output", start: s, end: e, pos: s}, true
	}
	s, e := lastSentence(text)
	if s == 0 || e <= s {
		return cand{}, false
	}
	ok := false
	switch kind {
	case Choice:
		_, _, _, ok = q.closingChoice(text[s:e])
	case Number:
		ok = closingNumber(text[s:e])
	}
	return cand{rule: "closing", start: s, end: e, pos: s}, ok
}

func sortCands(c []cand) {
	for i := 1; i < len(c); i++ { // few elements, nearly sorted
		for j := i; j > 0 && c[j].pos < c[j-1].pos; j-- {
			c[j], c[j-1] = c[j-1], c[j]
		}
	}
}

// read turns a statement into an answer of the right kind.
func (q Question) read(kind Kind, text string, c cand) (Prediction, bool) {
	p := Prediction{Rule: c.rule, Start: c.start, End: c.end}
	region := text[c.start:c.end]
	switch kind {
	case Math, Number:
		if c.rule == "boxed" {
			p.Answer = c.answer
			return p, true
		}
		var s, e int
		var ok bool
		if kind == Number {
			s, e, ok = stateNumber(region)
		} else {
			s, e, ok = stateMath(region)
		}
		if !ok {
			return p, false
		}
		p.Start, p.End = c.start+s, c.start+e
		p.Answer = text[p.Start:p.End]
		return p, true
	case Choice:
		if c.rule == "closing" {
			s, e, label, ok := q.closingChoice(region)
			p.Start, p.End, p.Answer = c.start+s, c.start+e, label
			return p, ok
		}
		s, e, label, ok := q.stateChoice(region, c.rule != "answer_is" && c.rule != "bold")
		p.Start, p.End, p.Answer = c.start+s, c.start+e, label
		return p, ok
	case Label:
		s, e, label, ok := stateLabel(region)
		p.Start, p.End, p.Answer = c.start+s, c.start+e, label
		return p, ok
	}
	s, e, label, ok := stateYesNo(region)
	p.Start, p.End, p.Answer = c.start+s, c.start+e, label
	return p, ok
}

// custom applies a recipe's own extractor.
func custom(q Question, text string, opt Options) Prediction {
	if opt.Pattern != nil {
		m := opt.Pattern.FindAllStringSubmatchIndex(text, -1)
		if len(m) == 0 {
			return Prediction{Reason: "the pattern does not match"}
		}
		l := m[len(m)-1]
		s, e := l[0], l[1]
		if len(l) > 3 && l[2] >= 0 {
			s, e = l[2], l[3]
		}
		return q.canonical(Prediction{Answer: text[s:e], Rule: "pattern", Start: s, End: e})
	}
	body, off := text, 0
	if !gjson.Valid(body) {
		s, e := strings.IndexByte(text, '{'), strings.LastIndexByte(text, '}')
		if s < 0 || e < s || !gjson.Valid(text[s:e+1]) {
			return Prediction{Reason: "no JSON object in the response"}
		}
		body, off = text[s:e+1], s
	}
	r := gjson.Get(body, opt.JSONPath)
	if !r.Exists() {
		return Prediction{Reason: fmt.Sprintf("nothing at JSON path %q", opt.JSONPath)}
	}
	return q.canonical(Prediction{Answer: r.String(), Rule: "json_path", Start: off + r.Index, End: off + r.Index + len(r.Raw)})
}

// canonical maps a custom extractor's text to the label it names.
func (q Question) canonical(p Prediction) Prediction {
	p.Answer = strings.TrimSpace(p.Answer)
	switch q.Kind() {
	case Choice:
		if _, _, l, ok := q.stateChoice(p.Answer, true); ok {
			p.Answer = l
		}
	case Label:
		if _, _, l, ok := stateLabel(p.Answer); ok {
			p.Answer = l
		}
	case YesNo:
		if _, _, l, ok := stateYesNo(p.Answer); ok {
			p.Answer = l
		}
	}
	if p.Answer == "" {
		p.Reason = "the extractor gave an empty answer"
	}
	return p
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
			if p, ok := try("output", os, oe, span(lastNumber)); ok {
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

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }
