// Package recorded holds a teacher's answers that were written down, so that a recipe can
// be tested without a network and without paying.
package recorded

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/distillflow/distillflow/internal/llm"
)

// Answer is one recorded answer and the requests that it answers: those for which every
// condition holds that is given.
type Answer struct {
	Stage     string `json:"stage,omitempty" yaml:"stage"`         // stage of the recipe
	ID        string `json:"id,omitempty" yaml:"id"`               // of the row
	Style     string `json:"style,omitempty" yaml:"style"`         // of the path
	Model     string `json:"model,omitempty" yaml:"model"`         // provider/name
	System    string `json:"system,omitempty" yaml:"system"`       // system prompt, in full
	Prompt    string `json:"prompt,omitempty" yaml:"prompt"`       // prompt, in full
	Match     string `json:"match,omitempty" yaml:"match"`         // regular expression (RE2) that is found in the prompt
	Replicate *int   `json:"replicate,omitempty" yaml:"replicate"` // nil: any
	Try       int    `json:"try,omitempty" yaml:"try"`             // 1: the further try that retry_on buys

	Text         string `json:"answer,omitempty" yaml:"answer"`
	Verdict      string `json:"verdict,omitempty" yaml:"verdict"` // in place of answer, for a judge: valid or invalid
	Reason       string `json:"reason,omitempty" yaml:"reason"`   // with verdict
	Reasoning    string `json:"reasoning,omitempty" yaml:"reasoning"`
	FinishReason string `json:"finish_reason,omitempty" yaml:"finish_reason"` // "" is stop
	Error        string `json:"error,omitempty" yaml:"error"`                 // in place of answer: the request fails so

	match *regexp.Regexp
	used  *atomic.Bool
}

// Query is a request as answers are matched with it.
type Query struct {
	Stage, ID, Style string // "" where not known
	Model            string // provider/name
	System, Prompt   string
	Replicate, Try   int
	Judge            bool
}

// QueryOf gives what a call tells; stage and id are for the caller to add.
func QueryOf(c llm.Call) Query {
	q := Query{Style: c.Style, Model: c.Provider, Replicate: c.Request.Replicate, Try: c.Request.Try, Judge: c.Judge}
	if c.Request.Model != "" {
		q.Model += "/" + c.Request.Model
	}
	for _, m := range c.Request.Messages {
		switch m.Role {
		case llm.RoleSystem:
			q.System = m.Content
		case llm.RoleUser:
			q.Prompt = m.Content // the last one
		}
	}
	return q
}

// Check completes an answer that was read, or says what is wrong with it.
func (a *Answer) Check() error {
	given := 0
	for _, s := range []string{a.Text, a.Verdict, a.Error} {
		if s != "" {
			given++
		}
	}
	switch {
	case a.Stage == "" && a.ID == "" && a.Style == "" && a.Prompt == "" && a.Match == "":
		return errors.New("it does not say which request it answers: give prompt, match, id, style or stage")
	case given > 1:
		return errors.New("give one of answer, verdict and error")
	case a.Verdict != "" && a.Verdict != "valid" && a.Verdict != "invalid":
		return fmt.Errorf("verdict %q is neither valid nor invalid", a.Verdict)
	case a.Reason != "" && a.Verdict == "":
		return errors.New("reason goes with verdict")
	}
	if a.Match != "" {
		re, err := regexp.Compile(a.Match)
		if err != nil {
			return fmt.Errorf("match: %w", err)
		}
		a.match = re
	}
	a.used = &atomic.Bool{}
	return nil
}

// answers reports whether every given condition holds. An answer that names neither
// prompt nor stage is for the teacher, and one with a verdict for the judge: both may ask
// about the same row.
func (a *Answer) answers(q Query) bool {
	same := func(want, got string) bool { return want == "" || want == got }
	switch {
	case !same(a.Stage, q.Stage), !same(a.ID, q.ID), !same(a.Style, q.Style), !same(a.Model, q.Model),
		!same(a.System, q.System), !same(a.Prompt, q.Prompt):
		return false
	case a.Replicate != nil && *a.Replicate != q.Replicate, a.Try != q.Try:
		return false
	case a.match != nil && !a.match.MatchString(q.Prompt):
		return false
	case a.Verdict != "":
		return q.Judge
	case q.Judge:
		return a.Stage != "" || a.Prompt != ""
	}
	return true
}

// Response is what the model is to have said.
func (a *Answer) Response() (*llm.Response, error) {
	if a.Error != "" {
		return nil, &llm.Error{Kind: llm.KindInvalid, Message: a.Error}
	}
	r := &llm.Response{Text: a.Text, Reasoning: a.Reasoning, FinishReason: a.FinishReason}
	if r.FinishReason == "" {
		r.FinishReason = llm.FinishStop
	}
	if a.Verdict != "" {
		b, err := json.Marshal(map[string]string{"verdict": a.Verdict, "reason": a.Reason})
		if err != nil {
			return nil, err
		}
		r.Text = string(b)
	}
	return r, nil
}

// Book is a list of answers; of several that answer a request the first one counts. It is
// safe for concurrent use once it is filled.
type Book struct {
	answers []Answer
	exact   map[string][]int // by full prompt
	loose   []int            // the others
}

// Add appends answers that were checked.
func (b *Book) Add(answers ...Answer) {
	if b.exact == nil {
		b.exact = map[string][]int{}
	}
	for _, a := range answers {
		i := len(b.answers)
		b.answers = append(b.answers, a)
		if a.Prompt != "" {
			b.exact[a.Prompt] = append(b.exact[a.Prompt], i)
		} else {
			b.loose = append(b.loose, i)
		}
	}
}

// Find gives the answer to a request, or nil.
func (b *Book) Find(q Query) *Answer {
	first := func(list []int) int {
		for _, i := range list {
			if b.answers[i].answers(q) {
				return i
			}
		}
		return len(b.answers)
	}
	i := min(first(b.exact[q.Prompt]), first(b.loose))
	if i == len(b.answers) {
		return nil
	}
	b.answers[i].used.Store(true)
	return &b.answers[i]
}

// Len is the number of answers.
func (b *Book) Len() int { return len(b.answers) }

// Used reports which answers were found by some request, in the order of Add.
func (b *Book) Used() []bool {
	used := make([]bool, len(b.answers))
	for i := range b.answers {
		used[i] = b.answers[i].used.Load()
	}
	return used
}

// LineError is a line of a file of answers that is not an answer.
type LineError struct {
	Line int // 1-based
	Err  error
}

// Error implements error.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap gives the cause.
func (e *LineError) Unwrap() error { return e.Err }

// maxLine bounds one recorded answer, in bytes.
const maxLine = 16 << 20

// Read reads a file of answers, one JSON object a line, and checks them. Empty lines are
// passed over. The error is a *[LineError] unless reading failed.
func Read(r io.Reader) ([]Answer, error) {
	var all []Answer
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	for n := 1; sc.Scan(); n++ {
		text := bytes.TrimSpace(bytes.TrimPrefix(sc.Bytes(), []byte("\ufeff")))
		if len(text) == 0 {
			continue
		}
		var a Answer
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		err := d.Decode(&a)
		if err == nil && d.More() {
			err = errors.New("more than one JSON value on the line")
		}
		if err == nil {
			err = a.Check()
		}
		if err != nil {
			return nil, &LineError{n, errors.New(strings.TrimPrefix(err.Error(), "json: "))}
		}
		all = append(all, a)
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("a line is longer than %d MiB", maxLine>>20)
	}
	return all, sc.Err()
}

// Of records the answer that a query got.
func Of(q Query, r *llm.Response) Answer {
	replicate := q.Replicate
	a := Answer{
		Model: q.Model, System: q.System, Prompt: q.Prompt, Replicate: &replicate, Try: q.Try,
		Text: r.Text, Reasoning: r.Reasoning, FinishReason: r.FinishReason, used: &atomic.Bool{},
	}
	a.used.Store(true)
	return a
}

// Write appends answers to w, one JSON object a line.
func Write(w io.Writer, answers []Answer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i := range answers {
		if err := e.Encode(&answers[i]); err != nil {
			return fmt.Errorf("writing recorded answers: %w", err)
		}
	}
	return nil
}
