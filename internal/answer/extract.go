package answer

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/jsoncheck"
	"github.com/distillflow/distillflow/internal/thoughts"
)

// Prediction is an extracted answer.
type Prediction struct {
	// Answer is the answer as stated; for choices the label, for anli true,
	// false or neither, for yes/no questions yes or no. "" means none.
	Answer string
	// Rule names what found it: boxed, hash, answer_is, answer_tag, closing, bold, output,
	// leading, last_sentence, whole, json, pattern, json_path, last_number.
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
	// Thoughts are marks of reasoning beside those that thoughts.Cut knows.
	Thoughts []thoughts.Tag
}

// cand is a place that states an answer, in the order of the text.
type cand struct {
	rule       string
	start, end int // region that holds the answer
	pos        int // where the statement begins
	answer     string
	denied     bool // "the answer isn't"
	doubted    bool // "I don't think the answer is"
}

// Extract finds the answer that text states for q. Thoughts in the text state
// none, and a text whose thought is open has none.
func Extract(q Question, text string, opt Options) Prediction {
	if strings.TrimSpace(text) == "" {
		return Prediction{Reason: "empty response"}
	}
	parts := thoughts.Cut(text, opt.Thoughts)
	switch {
	case parts.Open:
		return Prediction{Reason: "the thought is not closed, so there is no answer"}
	case strings.TrimSpace(parts.Response) == "":
		return Prediction{Reason: "nothing follows the thought"}
	}
	if opt.Pattern != nil || opt.JSONPath != "" {
		return placed(custom(q, parts.Response, opt), parts, folded{})
	}
	f := fold(parts.Response)
	q.Choices = q.plainChoices()
	return placed(q.extract(f.text, tagged(parts, f), opt), parts, f)
}

// placed moves the range of a prediction from the folded response to the text.
func placed(p Prediction, parts thoughts.Parts, f folded) Prediction {
	if p.Answer == "" {
		return p
	}
	at := func(i int) int { return parts.Offset(f.offset(i)) }
	if p.End > p.Start {
		p.Start, p.End = at(p.Start), parts.Offset(max(f.offset(p.End)-1, 0))+1
	} else {
		p.Start, p.End = at(p.Start), at(p.Start)
	}
	p.End = max(p.Start, p.End)
	return p
}

// tagged is the statement between <answer> and </answer>.
func tagged(parts thoughts.Parts, f folded) []cand {
	if parts.AnswerEnd == 0 {
		return nil
	}
	// Folding shifts positions: search back from the offsets.
	to := func(i int) int {
		return sort.Search(len(f.text), func(k int) bool { return f.offset(k) >= i })
	}
	s, e := trimRegion(f.text, to(parts.AnswerStart), to(parts.AnswerEnd))
	if e <= s || e-s > maxRegion {
		return nil
	}
	return []cand{{rule: "answer_tag", start: s, end: e, pos: s}}
}

// maxCands bounds how many statements are tried, from the last one.
const maxCands = 100

// extract applies the rules to a folded response.
func (q Question) extract(text string, cands []cand, opt Options) Prediction {
	kind := q.Kind()
	text = ownTurn(text)
	// Stated answers, last first.
	if len(cands) > 0 && (cands[0].end > len(text) || len(statements(text[cands[0].start:cands[0].end])) > 0) {
		cands = nil // the tag holds sentences that state the answer
	}
	cands = append(cands, statements(text)...)
	own := kind == Label && !nli(q.spec())
	if own {
		cands = append(cands, labelCues(text)...)
	}
	if own || kind == Text {
		cands = withJSON(text, cands)
	}
	if c, ok := q.closing(kind, text); ok {
		cands = append(cands, c)
	}
	sortCands(cands)
	taken := false // the last statement is denied or doubted
	read := len(text)
	for i := len(cands) - 1; i >= max(0, len(cands)-maxCands); i-- {
		if end := cands[i].end; end < read {
			if retracted(text[end:read]) {
				break
			}
			read = end
		}
		if i > 0 && pointer(text[cands[i].start:cands[i].end]) {
			continue
		}
		p, st := q.read(kind, text, cands[i])
		switch {
		case st == several || st == bound:
			return Prediction{Reason: "several values, a range or a bound: " + quoted(text[cands[i].start:cands[i].end])}
		case st == stated && strings.TrimSpace(p.Answer) != "":
			return tidy(kind, text, p)
		}
		if ls, _ := lastSentence(text); (kind == Number || kind == Math) && (cands[i].denied || cands[i].doubted) && cands[i].start >= ls {
			taken = true
		}
		taken = taken || kind == Text || cands[i].rule == "json"
	}
	if !taken && !refused(text) {
		p, st := q.unstated(kind, text)
		if st == stated && strings.TrimSpace(p.Answer) != "" {
			return tidy(kind, text, p)
		}
	}
	if opt.Fallback == "last_number" && (kind == Number || kind == Math) {
		if s, e, ok := lastNumber(text); ok {
			return Prediction{Answer: text[s:e], Rule: "last_number", Start: s, End: e}
		}
	}
	return Prediction{Reason: "no " + strings.ReplaceAll(kind.String(), "_", "/") + " answer is stated"}
}

// pointer reports a statement that says where the answer stands: "in line 2".
func pointer(region string) bool {
	w := strings.Fields(strings.ToLower(region))
	if len(w) > 1 && foundWords[w[0]] {
		w = w[1:]
	}
	if len(w) < 2 || !placeWords[w[0]] {
		return false
	}
	return slices.ContainsFunc(w[1:min(len(w), 4)], func(w string) bool { return places[strings.Trim(w, ".,;:")] })
}

// retracted reports a sentence in rest, the text after a statement, that takes the
// statement back.
func retracted(rest string) bool {
	for off := 0; ; {
		k := strings.IndexAny(rest[off:], ".!?\n")
		if k < 0 {
			return false
		}
		off += k + 1
		s := off
		for s < len(rest) && (rest[s] == ' ' || rest[s] == '*') {
			s++
		}
		if s < len(rest) && strings.IndexByte(retractionStarts, rest[s]|0x20) >= 0 && startsWith(strings.ToLower(rest[s:min(len(rest), s+24)]), retractions) {
			return true
		}
	}
}

func quoted(s string) string {
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return strconv.Quote(strings.ToValidUTF8(s, ""))
}

// refused reports a text that begins with a refusal.
func refused(text string) bool {
	t := strings.ToLower(strings.TrimLeft(text[:min(len(text), 80)], " \n*"))
	for _, w := range refusals {
		if strings.HasPrefix(t, w) {
			return true
		}
	}
	return false
}

// tidy writes a number that has separators of another language in plain digits.
func tidy(kind Kind, text string, p Prediction) Prediction {
	if kind != Number && kind != Math || p.Rule == "last_number" {
		return p
	}
	s := 0
	for s < len(p.Answer) && !isDigit(p.Answer[s]) {
		s++
	}
	head := p.Answer[:s]
	if strings.Trim(head, "+-$€£¥₹ \\") != "" {
		return p
	}
	e := literalEnd(p.Answer, s)
	tail := p.Answer[e:]
	if e == s || tail != "" && tail != "%" && (tail[0] != ' ' || hasDigit(tail) || strings.ContainsAny(tail, "\\$^=")) {
		return p
	}
	lit := p.Answer[s:e]
	seps := strings.Count(lit, ",") + strings.Count(lit, ".")
	comma := false
	switch {
	case seps == 1 && strings.ContainsAny(lit, ",."):
		i := strings.IndexAny(lit, ",.")
		if len(lit)-i != 4 || i > 3 || !commaDecimals(text) && !(lit[i] == '.' && pointGroups(text)) {
			return p
		}
		comma = true
	case strings.ContainsAny(lit, " \\{"), seps == 0 && !strings.ContainsAny(lit, "'~"):
		return p
	}
	if plain := decimal(lit, comma); plain != "" && plain != strings.ReplaceAll(lit, ",", "") {
		p.Answer = head + plain + tail
	}
	return p
}

// pointGroups reports a text in a language that writes 1.250 for 1250.
func pointGroups(text string) bool {
	if strings.Contains(text, " the ") {
		return false
	}
	for _, c := range asciiCues {
		if c.points && strings.Contains(text, c.stem) {
			return true
		}
	}
	return false
}

// ownTurn cuts off what a model that does not stop writes after its answer: a
// chat turn of the user, or the next question of a few-shot prompt once an
// answer has been stated.
func ownTurn(text string) string {
	for _, mark := range turns {
		if i := strings.Index(text, mark); i > 0 {
			text = text[:i]
		}
	}
	for _, mark := range runOns {
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
	return unclosed(text)
}

// unclosed cuts closing sentences that state nothing: pleasantries, and "so the
// solution is correct" with the check that it ends.
func unclosed(text string) string {
	for tries := 0; tries < 5; tries++ {
		s, e := lastSentence(text)
		if s == 0 || e-s > 300 {
			break
		}
		t := strings.TrimLeft(strings.ToLower(text[s:e]), " *(\"")
		if containsWord(t, []string{"answer is", "answer:"}) >= 0 && !strings.Contains(t, "correct") {
			break
		}
		switch {
		case startsWith(t, pleasantries):
		case !hasDigit(t) && startsWith(t[contrastWord(t):], subjects) && containsWord(t, confirmations) >= 0:
			if k := checkStart(text[:s]); k > 0 {
				s = k
			}
		default:
			return text
		}
		text = text[:s]
	}
	return text
}

// checkStart finds the sentence with which the check of an answer begins.
func checkStart(text string) int {
	low := strings.ToLower(text[max(0, len(text)-maxRegion):])
	off := len(text) - len(low)
	best := 0
	for _, w := range checks {
		if k := strings.LastIndex(low, w); k >= 0 {
			if i := strings.LastIndexAny(low[:k], ".!?\n"); i >= 0 {
				best = max(best, off+i+1)
			}
		}
	}
	return best
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
	if len(out) == 0 {
		out = languageCues(text)
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
		if q.all() {
			line := strings.LastIndexByte(text[:s], '\n') + 1
			ok = strings.Trim(text[line:s], " *-•(") == "" && q.listsOnly(text[s:e]) && q.listStart(text, line) == line
			break
		}
		_, _, _, ok = q.closingChoice(text[s:e])
	case Number, Math:
		ok = closingNumber(text[s:e]) && !item(text, s)
	}
	return cand{rule: "closing", start: s, end: e, pos: s}, ok
}

// item reports that s begins an item of a list behind another one.
func item(text string, s int) bool {
	line := strings.LastIndexByte(text[:s], '\n')
	if line < 0 || !bullet(text[line+1:]) {
		return false
	}
	above := strings.TrimRight(text[:line], " \r\n")
	return bullet(above[strings.LastIndexByte(above, '\n')+1:])
}

func bullet(line string) bool {
	line = strings.TrimLeft(line, " ")
	return strings.HasPrefix(line, "* ") || strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "• ")
}

func sortCands(c []cand) {
	for i := 1; i < len(c); i++ { // few elements, nearly sorted
		for j := i; j > 0 && c[j].pos < c[j-1].pos; j-- {
			c[j], c[j-1] = c[j-1], c[j]
		}
	}
}

// read turns a statement into an answer of the right kind.
func (q Question) read(kind Kind, text string, c cand) (Prediction, status) {
	p := Prediction{Rule: c.rule, Start: c.start, End: c.end}
	if c.doubted {
		return p, nothing
	}
	if c.rule == "boxed" && (kind == Math || kind == Number) {
		if a, st := boxedProse(c.answer); st == stated {
			p.Answer = a
			return p, st
		}
		p.Answer = c.answer
		return p, stated
	}
	region := text[c.start:c.end]
	s, e := 0, len(region)
	switch {
	case kind == Text:
		return stateText(text, c)
	case kind == Choice && q.all():
		return q.readSet(text, c)
	}
	if kind != Label && kind != YesNo {
		if strings.HasPrefix(text[c.end:], "?") && c.rule == "answer_is" {
			return p, nothing
		}
		if kind == Choice {
			if s, n, l, ok := q.whole(region); ok && !c.denied {
				p.Start, p.End, p.Answer = c.start+s, c.start+s+n, l
				return p, stated
			}
		}
		cut := region
		if c.denied {
			cut = "not " + region
		}
		a, b, ok := affirmed(cut)
		if c.denied {
			a, b = a-4, b-4
			ok = ok && a >= 0
		}
		switch {
		case ok:
			s, e = a, b
		case kind == Math && !c.denied && !hasDigit(region):
		default:
			return p, nothing
		}
	}
	p.Start, p.End = c.start+s, c.start+e
	region = region[s:e]
	switch kind {
	case Math, Number:
		a, st := stateMath(region)
		if kind == Number {
			a, st = readAmount(region)
		}
		if st != stated {
			return p, st
		}
		if a.s == a.e {
			return p, nothing
		}
		// "The answer is 5!": an exclamation, not a factorial.
		p.End, p.Start = p.Start+a.e, p.Start+a.s
		p.Answer = a.text
		if p.Answer == "" {
			p.Answer = text[p.Start:p.End]
		}
		return p, stated
	case Choice:
		if c.rule == "closing" {
			s, e, label, ok := q.closingChoice(region)
			p.Start, p.End, p.Answer = p.Start+s, p.Start+e, label
			return p, when(ok)
		}
		s, e, label, st := q.stateChoice(region, c.rule != "answer_is" && c.rule != "bold")
		p.Start, p.End, p.Answer = p.Start+s, p.Start+e, label
		return p, st
	case Label:
		l := q.labels()
		s, e, label, ok := l.state(region)
		switch {
		case l.nli:
			s, e, label, ok = refusing(text, c, l.state)
		case c.rule == "json":
			_, _, label, ok = l.state(c.answer)
			s, e = 0, len(region)
		case strings.HasPrefix(text[c.end:], "?"):
			return p, nothing
		case c.denied:
			s, e, label, ok = l.stateOwn(region, true)
		}
		p.Start, p.End, p.Answer = c.start+s, c.start+e, label
		return p, when(ok)
	}
	s, e, label, ok := refusing(text, c, stateYesNo)
	p.Start, p.End, p.Answer = c.start+s, c.start+e, label
	return p, when(ok)
}

// refusing reads a statement by f, with the "not" of an "isn't" before it.
func refusing(text string, c cand, f func(string) (int, int, string, bool)) (int, int, string, bool) {
	before := strings.ToLower(strings.TrimRight(text[:c.start], " *_\"'`("))
	if !c.denied || !slices.ContainsFunc(deniers, func(w string) bool { return strings.HasSuffix(before, w) }) {
		return f(text[c.start:c.end])
	}
	const not = "not "
	s, e, label, ok := f(not + text[c.start:c.end])
	return max(0, s-len(not)), max(0, e-len(not)), label, ok
}

func when(ok bool) status {
	if ok {
		return stated
	}
	return nothing
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
	if !jsoncheck.ValidString(body) {
		s, e := strings.IndexByte(text, '{'), strings.LastIndexByte(text, '}')
		if s < 0 || e < s || !jsoncheck.ValidString(text[s:e+1]) {
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
		if q.all() {
			if _, _, set, st := q.stateSet(p.Answer); st == stated {
				p.Answer = strings.Join(set, ", ")
			}
		} else if _, _, l, st := q.stateChoice(p.Answer, true); st == stated {
			p.Answer = l
		}
	case Label:
		if _, _, l, ok := q.labels().state(p.Answer); ok {
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
func (q Question) unstated(kind Kind, text string) (Prediction, status) {
	ls, le := lastSentence(text)
	ts, te := trimRegion(text, 0, len(text))
	short := te-ts <= 60 && !strings.Contains(text[ts:te], "\n") && (ls == ts || ls == 0)
	try := func(rule string, s, e int, f func(string) (int, int, string, bool)) (Prediction, status) {
		a, b, ans, ok := f(text[s:e])
		return Prediction{Rule: rule, Start: s + a, End: s + b, Answer: ans}, when(ok)
	}
	// The affirmed part of a region, read as an amount.
	num := func(rule string, s, e int, f func(string) (amount, status)) (Prediction, status) {
		if k := strings.LastIndex(text[s:e], "? "); k >= 0 { // "Is it 5? No, 6."
			s += k + 2
		}
		x, y, ok := affirmed(text[s:e])
		if containsWord(strings.ToLower(text[s:e]), doubts) >= 0 {
			return Prediction{}, nothing
		}
		if !ok {
			if kind == Number || hasDigit(text[s:e]) {
				return Prediction{}, nothing
			}
			x, y = 0, e-s
		}
		a, st := f(text[s+x : s+y])
		p := Prediction{Rule: rule, Start: s + x + a.s, End: s + x + a.e, Answer: a.text}
		if p.Answer == "" && st == stated {
			p.Answer = text[p.Start:p.End]
		}
		return p, st
	}
	// A response that opens with its answer means it, unless its last sentence
	// draws another conclusion.
	front := min(te, ts+40)
	lead := func(first, last func(string) (int, int, string, bool)) (Prediction, status) {
		p, opens := try("leading", ts, front, first)
		if k := strings.IndexAny(text[ts:te], ".!?"); k >= 0 && text[ts+k] == '?' {
			opens = nothing // "Yes or no? No."
		}
		c, closes := try("last_sentence", ls, le, last)
		if opens == stated && closes == stated && c.Start > p.Start && !concludes(text[ls:le]) {
			return p, stated
		}
		if closes == stated {
			return c, stated
		}
		return p, opens
	}
	bs, be, bold := lastBold(text)
	os, oe, output := lastOutput(text)
	switch kind {
	case Text:
		return unstatedText(text, ts, te)
	case Number:
		if item(text, ls) && closingNumber(strings.TrimLeft(text[ls:le], "-* ")) {
			return Prediction{}, nothing
		}
		if bold {
			if p, st := num("bold", bs, be, readAmount); st != nothing {
				return p, st
			}
		}
		if output && !hasDigit(text[oe:]) {
			if s, e, ok := lastNumber(text[os:oe]); ok {
				return Prediction{Rule: "output", Start: os + s, End: os + e, Answer: text[os+s : os+e]}, stated
			}
		}
		if question(text, le) {
			return Prediction{}, nothing
		}
		if short {
			if p, st := num("whole", ts, te, concludedAmount); st != nothing {
				return p, st
			}
		}
		return num("last_sentence", ls, le, concludedAmount)
	case Math:
		if bold {
			if p, st := num("bold", bs, be, stateMath); st == stated && mathy(p.Answer) {
				return p, st
			}
		}
		if output && strings.TrimSpace(strings.Trim(text[oe:], "`")) == "" {
			s, e := trimRegion(text, os, oe)
			return Prediction{Answer: text[s:e], Rule: "output", Start: s, End: e}, when(e > s)
		}
		if question(text, le) {
			return Prediction{}, nothing
		}
		if (short || te-ts <= 1000 && !strings.Contains(text[ts:te], ". ") && !strings.Contains(text[ts:te], ".\n")) && mathy(text[ts:te]) && !inProse(text[ts:te]) {
			return num("whole", ts, te, stateMath)
		}
		if s, e, ok := lastDisplay(text); ok {
			return Prediction{Answer: text[s:e], Rule: "last_sentence", Start: s, End: e}, stated
		}
		return num("last_sentence", ls, le, concludedMath)
	case Choice:
		if q.all() {
			return q.unstatedSet(text, ts, te)
		}
		if p, st := try("leading", ts, min(te, ts+200), q.leadingChoice); st == stated {
			return p, st
		}
		if bold {
			s, e, label, st := q.stateChoice(text[bs:be], true)
			if st == stated {
				return Prediction{Rule: "bold", Start: bs + s, End: bs + e, Answer: label}, st
			}
		}
		if x, y, ok := affirmed(text[ls:le]); ok {
			if p, st := try("last_sentence", ls+x, ls+y, q.concludedChoice); st == stated {
				return p, st
			}
		}
		return q.remaining(text)
	case Label:
		l := q.labels()
		if bold {
			if p, st := try("bold", bs, be, l.state); st == stated {
				return p, st
			}
		}
		if !l.nli {
			if question(text, le) {
				return Prediction{}, nothing
			}
			front = min(te, sentenceEnd(text, ts))
		}
		return lead(l.leading, l.concluded)
	}
	if bold {
		if p, st := try("bold", bs, be, stateYesNo); st == stated {
			return p, st
		}
	}
	return lead(leadingYesNo, concludedYesNo)
}

// question reports that the sentence that ends at e asks.
func question(text string, e int) bool {
	return strings.HasPrefix(strings.TrimLeft(text[e:], "*\"' "), "?") || strings.HasSuffix(text[:e], "?")
}

// lastDisplay returns the inside of displayed mathematics that ends the text.
func lastDisplay(text string) (int, int, bool) {
	t := strings.TrimRight(text, " \n\r.*")
	for _, d := range [][2]string{{"\\[", "\\]"}, {"$$", "$$"}} {
		body, ok := strings.CutSuffix(t, d[1])
		if !ok {
			continue
		}
		k := strings.LastIndex(body, d[0])
		if k < 0 || len(body)-k > maxRegion {
			continue
		}
		s, e := trimRegion(text, k+2, len(body))
		return s, e, e > s
	}
	return 0, 0, false
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
