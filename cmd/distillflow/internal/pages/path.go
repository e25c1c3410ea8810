package pages

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
)

// Verdict is what an answer is worth.
type Verdict string

// The verdicts of paths.
const (
	Right      Verdict = "right"
	Wrong      Verdict = "wrong"
	Unparsed   Verdict = "unparsed"   // there is a response, and no prediction in it
	Invalid    Verdict = "invalid"    // a judge turned it down
	Unanswered Verdict = "unanswered" // there is no response
	Ungraded   Verdict = "ungraded"
)

// VerdictOf is the verdict of a path.
func VerdictOf(p *schema.Path) Verdict {
	switch {
	case p.Judge != nil && !p.Judge.Valid:
		return Invalid
	case !p.Answered():
		return Unanswered
	case p.IsCorrect():
		return Right
	case p.Correct != nil && p.Pred != "":
		return Wrong
	case p.Correct != nil || p.Reason != "" && p.Pred == "":
		return Unparsed
	}
	return Ungraded
}

// Path is a reasoning path as people read it.
type Path struct {
	ID, Style  string
	Replicate  int // 0 for the first
	Verdict    Verdict
	Pred, Gold string // their beginnings; Facts have them whole
	Start      string // the first line of the question
	Facts      []Fact // beside the texts; append what a page knows besides, such as routing
	Prompt     *Text
	Reasoning  *Text
	Answered   bool
	// The response: Marked is the span in which the prediction was found.
	Before, Marked, After *Text
}

// Text is a text that may be too long for a page: its end is in Tail, with Left
// characters left out before it.
type Text struct {
	Text, Tail string
	Left       int
	Size       int // characters of the whole
}

// NewPath shows the i-th path of a problem, each text whole if it has at most limit
// bytes; 0 means no limit.
func NewPath(p *schema.Problem, i, limit int) Path {
	path := &p.Paths[i]
	v := Path{
		ID: short(p.ID), Style: short(path.Style), Replicate: path.Replicate, Verdict: VerdictOf(path), Pred: start(path.Pred), Gold: start(gold(p)),
		Start: start(p.Question), Prompt: newText(path.Prompt, limit), Reasoning: newText(path.Reasoning, limit),
		Answered: path.Response != "" || path.Answered(),
	}
	fact := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, NewFact(name, value, limit))
		}
	}
	fact("Prediction", path.Pred)
	fact("Gold answer", gold(p))
	if path.Reason != path.Pred {
		fact("Verifier", path.Reason)
	}
	if path.Judge != nil {
		fact("Judge", strings.TrimSuffix(map[bool]string{true: "valid: ", false: "invalid: "}[path.Judge.Valid]+path.Judge.Reason, ": "))
	}
	fact("Error", path.Error)
	fact("Found by", path.Rule)
	fact("Task", p.Task)
	fact("Provider", path.Provider)
	if path.FinishReason != "stop" {
		fact("Finished by", path.FinishReason)
	}
	if path.Replicate > 0 {
		fact("Replicate", strconv.Itoa(path.Replicate))
	}
	before, marked, after := path.Response, "", ""
	if s := path.Span; s != nil && s.Start >= 0 && s.Start < s.End && s.End <= len(path.Response) {
		before, marked, after = path.Response[:s.Start], path.Response[s.Start:s.End], path.Response[s.End:]
	}
	v.Before, v.Marked, v.After = newText(before, limit), newText(marked, limit), newText(after, limit)
	return v
}

// start is as much of a text as fits a line of a list.
func start(s string) string {
	const most = 100
	r := []rune(text.FirstLine(s))
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most-1]) + "…"
}

// short cuts what should be a name and is not.
func short(s string) string {
	if len(s) <= 1000 {
		return s
	}
	return start(s)
}

// NewFact shows a value whole if it has at most limit bytes, else its start and its end.
func NewFact(name, value string, limit int) Fact {
	if t := newText(value, limit); t != nil && t.Left > 0 {
		value = t.Text + " … " + t.Tail
	}
	return Fact{short(name), value}
}

func gold(p *schema.Problem) string {
	if len(p.GoldAnswers) > 1 {
		return strings.Join(p.GoldAnswers, " or ")
	}
	return p.GoldAnswer
}

// newText is nil for an empty text. Of one over the limit it keeps the start and the
// end, where answers stand.
func newText(s string, limit int) *Text {
	if s == "" {
		return nil
	}
	t := &Text{Text: s, Size: utf8.RuneCountInString(s)}
	if limit == 0 || len(s) <= limit {
		return t
	}
	start, end := limit/2, len(s)-limit/2
	for start > 0 && !utf8.RuneStart(s[start]) {
		start--
	}
	for end < len(s) && !utf8.RuneStart(s[end]) {
		end++
	}
	t.Text, t.Tail, t.Left = s[:start], s[end:], utf8.RuneCountInString(s[start:end])
	return t
}
