package schema

import (
	"bytes"
	"fmt"
	"io"
	"iter"

	"github.com/tidwall/gjson"
)

// The parallel lists of the cot_pipeline scripts: element i of each list belongs
// to path i. path_info is ours: it holds, per path, what those lists have no
// place for, so that nothing is lost on the way out and back. Readers that do
// not know it can ignore it.
const (
	listPrompts   = "prompts"
	listResponses = "responses"
	listPreds     = "preds"
	listFlags     = "correct_flags"
	listStyles    = "styles"
	listInfo      = "path_info"
)

var listNames = []string{listPrompts, listResponses, listPreds, listFlags, listStyles, listInfo}

// defaultFinish is the finish reason of a path in the list layout that gives
// none: a text is a completed answer, no text means that nobody asked yet.
func defaultFinish(response string) string {
	if response != "" {
		return "stop"
	}
	return ""
}

// ToLists gives the row as one JSON object in the list layout, without a
// newline: prompts, responses, preds, correct_flags (true, false or null) and
// styles, all as long as the row has paths. A row that never had paths gets no
// lists.
func ToLists(p Problem) ([]byte, error) {
	paths := p.Paths
	p.Paths = nil
	row, err := p.AppendJSON(nil)
	if err != nil || paths == nil {
		return row, err
	}
	// A field left over under a list's name would occur twice in the object.
	for _, name := range listNames {
		if p.Extra.Get(name) != nil {
			return nil, fmt.Errorf("row %q: field %q has the name of a list of the list layout: rename or drop it", p.ID, name)
		}
	}
	w := objectWriter{buf: row[:len(row)-1], some: true}
	list := func(name string, each func(*Path)) {
		w.key(name)
		w.buf = append(w.buf, '[')
		for i := range paths {
			if i > 0 {
				w.buf = append(w.buf, ',')
			}
			each(&paths[i])
		}
		w.buf = append(w.buf, ']')
	}
	list(listPrompts, func(p *Path) { w.buf = AppendString(w.buf, p.Prompt) })
	list(listResponses, func(p *Path) { w.buf = AppendString(w.buf, p.Response) })
	list(listPreds, func(p *Path) { w.buf = AppendString(w.buf, p.Pred) })
	list(listFlags, func(p *Path) {
		switch {
		case p.Correct == nil:
			w.buf = append(w.buf, "null"...)
		case *p.Correct:
			w.buf = append(w.buf, "true"...)
		default:
			w.buf = append(w.buf, "false"...)
		}
	})
	list(listStyles, func(p *Path) { w.buf = AppendString(w.buf, p.Style) })
	infos, some := make([][]byte, len(paths)), false
	for i := range paths {
		infos[i] = paths[i].appendInfo(nil)
		some = some || len(infos[i]) > 2
	}
	if some {
		w.key(listInfo)
		w.buf = append(w.buf, '[')
		w.buf = append(w.buf, bytes.Join(infos, []byte(","))...)
		w.buf = append(w.buf, ']')
	}
	return append(w.buf, '}'), nil
}

// appendInfo appends the fields that have no list of their own as an object.
func (p Path) appendInfo(dst []byte) []byte {
	rest := Path{
		Provider: p.Provider, Rule: p.Rule, Span: p.Span, Reason: p.Reason,
		Judge: p.Judge, Error: p.Error, Extra: p.Extra,
	}
	w := objectWriter{buf: append(dst, '{')}
	if p.Replicate != 0 {
		w.num("replicate", p.Replicate)
	}
	w.strOpt("reasoning", p.Reasoning)
	if p.FinishReason != defaultFinish(p.Response) {
		w.str("finish_reason", p.FinishReason)
	}
	w.buf = append(w.buf, rest.appendTail(w.some)...)
	return append(w.buf, '}')
}

// appendTail gives the optional members that follow replicate in a path's JSON.
func (p Path) appendTail(some bool) []byte {
	w := objectWriter{some: some}
	w.strOpt("provider", p.Provider)
	w.strOpt("rule", p.Rule)
	w.span(p.Span)
	w.strOpt("reason", p.Reason)
	w.judge(p.Judge)
	w.strOpt("error", p.Error)
	w.fields(p.Extra)
	return w.buf
}

// FromLists reads a row in the list layout; a row that has paths already, or
// neither prompts nor responses, is read as it is.
func FromLists(line []byte) (Problem, error) {
	var p Problem
	if err := p.UnmarshalJSON(line); err != nil {
		return p, err
	}
	_, err := p.TakeLists()
	return p, err
}

// TakeLists turns the list layout among the row's unknown fields into Paths and
// reports whether there was one. Fields that merely share a name with a list are
// left alone: at least prompts or responses must be a list. All lists must be
// equally long.
func (p *Problem) TakeLists() (bool, error) {
	lists := map[string][]gjson.Result{}
	for _, name := range listNames {
		if v := gjson.ParseBytes(p.Extra.Get(name)); v.IsArray() {
			lists[name] = v.Array()
		}
	}
	leading := listPrompts
	if lists[leading] == nil {
		leading = listResponses
	}
	if lists[leading] == nil {
		return false, nil
	}
	if p.Paths != nil {
		return false, fmt.Errorf("the row has both \"paths\" and the list %q: drop one of them", leading)
	}
	n := len(lists[leading])
	for _, name := range listNames {
		v := p.Extra.Get(name)
		if v == nil {
			continue
		}
		l, ok := lists[name]
		if !ok && string(v) != "null" {
			return false, fmt.Errorf("field %q must be a list, as %q is", name, leading)
		}
		if ok && len(l) != n {
			return false, fmt.Errorf("field %q has %d elements, but %q has %d: the lists must be equally long", name, len(l), leading, n)
		}
	}
	paths := make([]Path, n)
	for i := range paths {
		for _, name := range listNames {
			if l := lists[name]; l != nil {
				if err := paths[i].setListed(name, l[i]); err != nil {
					return false, fmt.Errorf("field %q[%d]: %w", name, i, err)
				}
			}
		}
	}
	p.Paths = paths
	var keep Fields
	for _, f := range p.Extra {
		if lists[f.Name] == nil {
			keep = append(keep, f)
		}
	}
	p.Extra = keep
	return true, nil
}

func (p *Path) setListed(name string, v gjson.Result) error {
	switch name {
	case listPrompts:
		return setString(&p.Prompt, "prompt", v)
	case listStyles:
		return setString(&p.Style, "style", v)
	case listResponses:
		err := setString(&p.Response, "response", v)
		p.FinishReason = defaultFinish(p.Response)
		return err
	case listPreds:
		// The scripts wrote whatever their parser found, numbers included.
		switch {
		case v.Type == gjson.Null:
		case v.Type == gjson.String:
			p.Pred = v.String()
		case v.Type == gjson.Number || v.IsBool():
			p.Pred = v.Raw
		default:
			return TypeError("pred", "a string", v)
		}
		return nil
	case listFlags:
		b := v.Bool() // 0 and 1 are flags too
		switch {
		case v.Type == gjson.Null:
		case v.IsBool() || v.Raw == "0" || v.Raw == "1":
			p.Correct = &b
		default:
			return TypeError("correct", "true or false", v)
		}
		return nil
	}
	return p.parse(v)
}

// WriteEnriched writes all rows in the list layout, one a line, and returns how
// many. An error of the rows or of w ends it.
func WriteEnriched(w io.Writer, rows iter.Seq2[Problem, error]) (int, error) {
	return writeLists(w, rows, func(p Problem) (Problem, bool) { return p, true })
}

// WriteCorrect writes, in the list layout, the rows that have at least one
// correct path, each with its correct paths only. It returns how many.
func WriteCorrect(w io.Writer, rows iter.Seq2[Problem, error]) (int, error) {
	return writeLists(w, rows, func(p Problem) (Problem, bool) {
		var keep []Path
		for _, x := range p.Paths {
			if x.IsCorrect() {
				keep = append(keep, x)
			}
		}
		p.Paths = keep
		return p, len(keep) > 0
	})
}

func writeLists(w io.Writer, rows iter.Seq2[Problem, error], keep func(Problem) (Problem, bool)) (int, error) {
	n := 0
	for row, err := range rows {
		if err != nil {
			return n, err
		}
		row, ok := keep(row)
		if !ok {
			continue
		}
		b, err := ToLists(row)
		if err != nil {
			return n, err
		}
		if _, err := w.Write(append(b, '\n')); err != nil {
			return n, fmt.Errorf("writing row %q: %w", row.ID, err)
		}
		n++
	}
	return n, nil
}
