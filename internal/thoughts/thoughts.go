// Package thoughts splits what a reasoning model wrote into its reasoning and
// its response, where both stand in one text.
//
// The marks of a thought are, in any case and with blanks inside the brackets:
//
//	<think> <thinking> <thought> <thoughts> <reasoning> <reflection> <scratchpad> <seed:think>
//	[THINK]...[/THINK]   ◁think▷...◁/think▷   <|thinking|>...<|/thinking|>
//	<|begin_of_thought|>...<|end_of_thought|>   <|START_THINKING|>...<|END_THINKING|>
//	<|channel|>analysis<|message|>...<|end|>, and every channel but final
//	analysis...assistantfinal..., what is left of channels without their marks
//
// and the pairs that a caller adds. The rules:
//
//   - A thought ends with its own closing mark. Thoughts nest: a mark that is
//     opened twice is closed twice, except that an opening mark repeated at once
//     counts once.
//   - A closing mark without an opening one ends a thought that began with the
//     text, because chat templates open it: all before it is reasoning.
//   - A thought without a closing mark is open: it goes on to the end of the text,
//     and the text gives no answer, even where a response stands before it.
//   - <answer>...</answer> and <|begin_of_solution|> around the response are marks
//     as well and drop out of it.
//   - A mark inside a code block, between backticks or between quotation marks on
//     one line, or behind a backslash is text that mentions the mark.
//
// Nothing but marks is lost, and the response has no marks: to split it once more
// changes nothing.
package thoughts

import "strings"

// Tag is a pair of marks around a thought, such as "<plan>" and "</plan>".
type Tag struct{ Open, Close string }

// Parts is a split text.
type Parts struct {
	Reasoning, Response string
	// Open tells that the last thought has no closing mark.
	Open bool
	// AnswerStart and AnswerEnd give the bytes of Response that stood in the last
	// <answer>...</answer>; both are 0 where there is none.
	AnswerStart, AnswerEnd int

	levels [][]segment
}

// segment maps bytes of a response to the text that it was cut from.
type segment struct{ to, from int }

// Offset returns where byte i of Response stands in the text that was split.
func (p Parts) Offset(i int) int {
	for l := len(p.levels) - 1; l >= 0; l-- {
		segs := p.levels[l]
		k := len(segs) - 1
		for k > 0 && segs[k].to > i {
			k--
		}
		if k >= 0 {
			i += segs[k].from - segs[k].to
		}
	}
	return i
}

// Marked is Response with <answer> and </answer> around what stood in them, for a reader
// that splits it again.
func (p Parts) Marked() string {
	if p.AnswerEnd == 0 {
		return p.Response
	}
	return p.Response[:p.AnswerStart] + "<answer>" + p.Response[p.AnswerStart:p.AnswerEnd] + "</answer>" + p.Response[p.AnswerEnd:]
}

// Found reports whether text, which was cut, has marks of a thought, be it an empty one.
// Marks of an answer alone are none.
func (p Parts) Found(text string) bool {
	return p.Reasoning != "" || p.Open || !strings.EqualFold(p.Marked(), text)
}

// Join adds thoughts that stood in a response to those that arrived apart. Servers may send
// them twice.
func Join(apart, inline string) string {
	apart, inline = strings.TrimSpace(apart), strings.TrimSpace(inline)
	switch {
	case strings.Contains(apart, inline):
		return apart
	case apart == "":
		return inline
	}
	return apart + "\n" + inline
}

// maxPasses bounds how often marks may appear because others dropped out.
const maxPasses = 8

// Cut splits text. The pairs of extra are marks beside those of the package.
func Cut(text string, extra []Tag) Parts {
	p := Parts{Response: text}
	for pass := 0; ; pass++ {
		s := scanner{text: p.Response, tags: extra}
		if !s.run() {
			return p
		}
		if pass == maxPasses { // made to confuse: no response
			return Parts{Reasoning: p.Reasoning + "\n" + p.Response, Open: true}
		}
		s.build(&p)
	}
}

// join adds a piece of reasoning or of a response on a line of its own, so that no
// word or number goes over the seam.
func join(b *strings.Builder, piece string) {
	if had := b.String(); had != "" && had[len(had)-1] != '\n' && !strings.HasPrefix(piece, "\n") {
		b.WriteByte('\n')
	}
	b.WriteString(piece)
}

// piece is a part of a text between two marks.
type piece struct {
	start, end int
	thought    bool
	answer     bool // inside <answer>
}

type scanner struct {
	text   string
	tags   []Tag
	next   []int // position of the next of each byte that may begin a mark, plus 1
	pieces []piece

	stack         []string // names of the open thoughts
	start         int      // where the current piece begins
	answer        bool
	channels      bool // a channel mark was seen
	repeat        int  // end of the last opening mark
	fences        int  // code fences in the response so far
	fenced, ahead int  // how far fences were counted; the next fence, or -1
	open          bool
}

// run cuts the text into pieces and reports whether it has any marks.
func (s *scanner) run() bool {
	bytes := s.triggers()
	s.next = make([]int, len(bytes))
	i, marks := 0, false
	if n := bareChannels(s.text); n > 0 {
		i, marks = s.bare(n), true
	}
	for {
		k := s.nearest(bytes, i)
		if k < 0 {
			break
		}
		m := s.markAt(k)
		if m.end == 0 || s.mentioned(k, m.end) || !s.apply(k, m) {
			i = k + 1
			continue
		}
		marks = true
		i = m.end
	}
	if !marks {
		return false
	}
	s.cut(len(s.text), len(s.text))
	s.open = s.open || len(s.stack) > 0
	return true
}

// plainTriggers are the first bytes of the marks of this package.
const plainTriggers = "<[\xe2"

// triggers lists the bytes with which a mark may begin.
func (s *scanner) triggers() string {
	out := plainTriggers
	add := func(c byte) {
		if strings.IndexByte(out, c) < 0 {
			out += string([]byte{c})
		}
	}
	for _, t := range s.tags {
		for _, m := range []string{t.Open, t.Close} {
			if m != "" {
				add(lower(m[0]))
				add(upper(m[0]))
			}
		}
	}
	return out
}

// nearest finds the first of the bytes at or after i, or -1.
func (s *scanner) nearest(bytes string, i int) int {
	best := -1
	for b := range len(bytes) {
		n := s.next[b]
		if n >= 0 && n-1 < i {
			n = -1
			if k := strings.IndexByte(s.text[i:], bytes[b]); k >= 0 {
				n = i + k + 1
			}
			s.next[b] = n
		}
		if n > 0 && (best < 0 || n-1 < best) {
			best = n - 1
		}
	}
	return best
}

type what uint8

const (
	opens what = iota + 1
	closes
	answerOpens
	answerCloses
	drops // no part of either text
	thinks
	speaks // channels of reasoning and of the response
	ends   // end of a channel
)

// mark is a mark in the text: it ends before end; end 0 is no mark.
type mark struct {
	what what
	name string
	end  int
}

// names are the thoughts written as <name>...</name>.
var names = []string{"think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "seed:think"}

// pairs are the thoughts with other marks.
var pairs = []Tag{
	{"[THINK]", "[/THINK]"},
	{"◁think▷", "◁/think▷"},
	{"<|think|>", "<|/think|>"},
	{"<|thinking|>", "<|/thinking|>"},
	{"<|begin_of_thought|>", "<|end_of_thought|>"},
	{"<|START_THINKING|>", "<|END_THINKING|>"},
	{"<|channel>thought", "<channel|>"},
}

// wrappers stand around a response.
var wrappers = []string{"<|begin_of_solution|>", "<|end_of_solution|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>"}

// channelEnds are marks once a channel has been seen.
var channelEnds = []string{"<|end|>", "<|return|>", "<|call|>"}

// markAt reads the mark that begins at k.
func (s *scanner) markAt(k int) mark {
	t := s.text[k:]
	pair := func(p Tag) mark {
		switch {
		case hasPrefix(t, p.Open):
			return mark{opens, p.Open, k + len(p.Open)}
		case hasPrefix(t, p.Close):
			return mark{closes, p.Open, k + len(p.Close)}
		}
		return mark{}
	}
	for _, p := range s.tags {
		if m := pair(p); m.end > 0 && m.end > k {
			return m
		}
	}
	if t[0] == '<' {
		if name, closing, n := element(t); n > 0 {
			if name == "answer" {
				return mark{[]what{answerOpens, answerCloses}[closing], name, k + n}
			}
			return mark{[]what{opens, closes}[closing], name, k + n}
		}
		if len(t) < 3 || t[1] != '|' && lower(t[1]) != 'c' {
			return mark{}
		}
		if m := s.channelAt(t, k); m.end > 0 {
			return m
		}
		for _, w := range wrappers {
			if hasPrefix(t, w) {
				return mark{drops, "", k + len(w)}
			}
		}
	}
	for _, p := range pairs {
		if p.Open[0] == t[0] {
			if m := pair(p); m.end > 0 {
				return m
			}
		}
	}
	return mark{}
}

// element reads <name>, </name>, < NAME > and <name key="value"> of the thoughts
// and of the answer; closing is 1 for a closing mark.
func element(t string) (name string, closing, n int) {
	i := blanks(t, 1)
	if i < len(t) && t[i] == '/' {
		closing, i = 1, blanks(t, i+1)
	}
	j := i
	for j < len(t) && j-i < 16 && (lower(t[j]) >= 'a' && lower(t[j]) <= 'z' || t[j] == ':') {
		j++
	}
	if j == i {
		return "", 0, 0
	}
	name = strings.ToLower(t[i:j])
	known := name == "answer"
	for _, w := range names {
		known = known || w == name
	}
	if !known {
		return "", 0, 0
	}
	e := blanks(t, j)
	if e > j && e < len(t) && t[e] != '>' && closing == 0 && name != "answer" { // attributes
		k := strings.IndexAny(t[e:min(len(t), e+80)], ">\n")
		if k < 0 || t[e+k] != '>' || !strings.Contains(t[e:e+k], "=") {
			return "", 0, 0
		}
		e += k
	}
	if e >= len(t) || t[e] != '>' {
		return "", 0, 0
	}
	return name, closing, e + 1
}

// channelAt reads "<|channel|>analysis<|message|>", with the "<|start|>assistant"
// before it, and the marks that end a channel.
func (s *scanner) channelAt(t string, k int) mark {
	const start, channel, message = "<|start|>", "<|channel|>", "<|message|>"
	i := 0
	if hasPrefix(t, start) {
		i = letters(t, len(start))
	}
	if !hasPrefix(t[i:], channel) {
		if !s.channels {
			return mark{}
		}
		for _, e := range channelEnds {
			if hasPrefix(t, e) {
				return mark{ends, "", k + len(e)}
			}
		}
		if i > 0 {
			return mark{ends, "", k + i}
		}
		return mark{}
	}
	i += len(channel)
	j := letters(t, i)
	m := mark{thinks, channel, k + j}
	if name := strings.ToLower(t[i:j]); name == "final" || name == "response" || name == "answer" {
		m.what = speaks
	}
	head := t[j:min(len(t), j+100)]
	if e := strings.Index(head, message); e >= 0 && !strings.Contains(head[:e], "\n") {
		m.end += e + len(message)
	}
	return m
}

// apply takes in the mark at k; it returns false for a mark that is text here.
func (s *scanner) apply(k int, m mark) bool {
	within := len(s.stack) > 0
	switch m.what {
	case opens:
		if within && s.stack[len(s.stack)-1] == m.name && strings.TrimSpace(s.text[s.repeat:k]) == "" {
			break
		}
		s.cut(k, m.end)
		s.stack = append(s.stack, m.name)
		s.repeat = m.end
		return true
	case closes:
		at := -1
		for i, name := range s.stack {
			if name == m.name {
				at = i
			}
		}
		if at < 0 && within {
			return false
		}
		s.cut(k, m.end)
		if at >= 0 {
			s.stack = s.stack[:at]
			return true
		}
		// All before it is reasoning.
		for i := range s.pieces {
			s.pieces[i].thought = true
		}
		s.answer, s.fences, s.fenced, s.ahead = false, 0, 0, 0
		return true
	case thinks, speaks:
		if within && s.stack[0] != m.name {
			return false
		}
		s.cut(k, m.end)
		s.channels, s.stack = true, s.stack[:0]
		if m.what == thinks {
			s.stack = append(s.stack, m.name)
		}
		return true
	case ends:
		if within && s.stack[0] != "<|channel|>" {
			return false
		}
		s.cut(k, m.end)
		s.stack = s.stack[:0]
		return true
	case answerOpens, answerCloses:
		if within {
			return false
		}
		s.cut(k, m.end)
		s.answer = m.what == answerOpens
		return true
	default:
		if within {
			return false
		}
	}
	s.cut(k, m.end)
	return true
}

// cut ends the current piece at k; the next begins at next.
func (s *scanner) cut(k, next int) {
	if k > s.start {
		s.pieces = append(s.pieces, piece{start: s.start, end: k, thought: len(s.stack) > 0, answer: s.answer})
	}
	s.start = next
}

// bareChannels reports "analysis" before a capital, as it begins a text whose
// channel marks were stripped; it returns the length of the mark.
func bareChannels(t string) int {
	const word = "analysis"
	i := blanks(t, 0)
	if strings.HasPrefix(t[i:], word) && i+len(word) < len(t) && t[i+len(word)] >= 'A' && t[i+len(word)] <= 'Z' {
		return i + len(word)
	}
	return 0
}

// bare cuts such a text; n is the length of its first mark. It returns where the
// response begins.
func (s *scanner) bare(n int) int {
	const final = "assistantfinal"
	k := strings.LastIndex(s.text, final)
	if k < 0 {
		k, s.open = len(s.text), true
	}
	s.start = n
	s.stack = append(s.stack, final)
	s.cut(k, min(len(s.text), k+len(final)))
	s.stack = s.stack[:0]
	return s.start
}

// quotes are the signs between which a mark is only mentioned.
var quotes = [][2]string{{"`", "`"}, {`"`, `"`}, {"“", "”"}, {"«", "»"}, {"„", "“"}}

// mentioned reports that the mark at [k, e) is only mentioned.
func (s *scanner) mentioned(k, e int) bool {
	const window = 400
	before, after := s.text[max(s.start, k-window):k], s.text[e:min(len(s.text), e+window)]
	if i := strings.LastIndexByte(before, '\n'); i >= 0 {
		before = before[i+1:]
	}
	if i := strings.IndexByte(after, '\n'); i >= 0 {
		after = after[:i]
	}
	if strings.HasSuffix(before, `\`) || strings.HasSuffix(before, "'") && strings.HasPrefix(after, "'") {
		return true
	}
	for _, q := range quotes {
		if q[0] == q[1] && strings.Count(before, q[0])%2 == 1 && strings.Contains(after, q[1]) ||
			q[0] != q[1] && strings.LastIndex(before, q[0]) > strings.LastIndex(before, q[1]) && strings.Contains(after, q[1]) {
			return true
		}
	}
	return len(s.stack) == 0 && s.inFence(k, e)
}

// inFence reports that [k, e) stands between two code fences of the response.
func (s *scanner) inFence(k, e int) bool {
	const fence = "```"
	from := max(s.fenced, s.start)
	if from < k {
		s.fences += strings.Count(s.text[from:k], fence)
		s.fenced = k
	}
	if s.fences%2 == 0 || s.ahead < 0 {
		return false
	}
	if s.ahead < e {
		if i := strings.Index(s.text[e:], fence); i >= 0 {
			s.ahead = e + i
		} else {
			s.ahead = -1
		}
	}
	return s.ahead >= 0
}

// build puts the pieces of one pass into p.
func (s *scanner) build(p *Parts) {
	var response strings.Builder
	var segs []segment
	var reasoning strings.Builder
	reasoning.WriteString(p.Reasoning)
	seam := false
	start, end := 0, 0
	for _, c := range s.pieces {
		t := s.text[c.start:c.end]
		if c.thought {
			join(&reasoning, t)
			seam = true
			continue
		}
		if seam && t[0] != '\n' {
			join(&response, "")
		}
		seam = false
		segs = append(segs, segment{response.Len(), c.start})
		if c.answer {
			start, end = response.Len(), response.Len()+len(t)
		}
		response.WriteString(t)
	}
	p.AnswerStart, p.AnswerEnd = start, end
	p.Reasoning, p.Response = reasoning.String(), response.String()
	p.Open = p.Open || s.open
	p.levels = append(p.levels, segs)
}

// hasPrefix is strings.HasPrefix in any ASCII case.
func hasPrefix(t, prefix string) bool {
	if len(t) < len(prefix) || prefix == "" {
		return false
	}
	for i := 0; i < len(prefix); i++ {
		if lower(t[i]) != lower(prefix[i]) {
			return false
		}
	}
	return true
}

func blanks(t string, i int) int {
	for i < len(t) && (t[i] == ' ' || t[i] == '\t') {
		i++
	}
	return i
}

func letters(t string, i int) int {
	for i < len(t) && lower(t[i]) >= 'a' && lower(t[i]) <= 'z' {
		i++
	}
	return i
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}
