package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/jsoncheck"
)

// Choice is one option of a multiple-choice problem.
type Choice struct {
	Label string `json:"label"` // as the row prints it: "A", "1", ...
	Text  string `json:"text"`
}

// Problem is one row: a question, its gold answer, and its reasoning paths.
//
// In JSON the fields stand in the order id, task, task_spec, question, choices,
// premise, hypothesis, table, gold_answer, gold_answers, then the unknown fields in the order in which
// they came, then paths. Empty optional fields are left out.
type Problem struct {
	ID         string
	Task       string // gsm8k, math, arc_challenge, ...
	TaskSpec   []byte // the task as JSON, where a recipe declares it; see internal/task
	Question   string
	Choices    []Choice // multiple choice only
	Premise    string   // natural-language inference only
	Hypothesis string   // natural-language inference only
	Table      string   // table problems only: the table's text
	GoldAnswer string   // normalised by scan
	// GoldAnswers are all right answers, GoldAnswer the first of them; nil for one.
	GoldAnswers []string
	Extra       Fields // fields this version does not know
	Paths       []Path
}

// RecordType names the record for port type checks.
func (Problem) RecordType() string { return "problem" }

// AppendJSON appends the row as one JSON object without a newline.
func (p Problem) AppendJSON(dst []byte) ([]byte, error) {
	w := objectWriter{buf: append(dst, '{')}
	w.str("id", p.ID)
	w.str("task", p.Task)
	if len(p.TaskSpec) > 0 {
		w.key("task_spec")
		w.buf = append(w.buf, p.TaskSpec...)
	}
	w.str("question", p.Question)
	if len(p.Choices) > 0 {
		w.key("choices")
		w.buf = append(w.buf, '[')
		for i, c := range p.Choices {
			if i > 0 {
				w.buf = append(w.buf, ',')
			}
			in := objectWriter{buf: append(w.buf, '{')}
			in.str("label", c.Label)
			in.str("text", c.Text)
			w.buf = append(in.buf, '}')
		}
		w.buf = append(w.buf, ']')
	}
	w.strOpt("premise", p.Premise)
	w.strOpt("hypothesis", p.Hypothesis)
	w.strOpt("table", p.Table)
	w.str("gold_answer", p.GoldAnswer)
	if len(p.GoldAnswers) > 0 {
		w.key("gold_answers")
		for i, g := range p.GoldAnswers {
			w.buf = append(w.buf, "[,"[min(i, 1)])
			w.buf = AppendString(w.buf, g)
		}
		w.buf = append(w.buf, ']')
	}
	w.fields(p.Extra)
	if p.Paths != nil {
		w.key("paths")
		w.buf = append(w.buf, '[')
		for i := range p.Paths {
			if i > 0 {
				w.buf = append(w.buf, ',')
			}
			w.buf = p.Paths[i].appendJSON(w.buf)
		}
		w.buf = append(w.buf, ']')
	}
	return append(w.buf, '}'), nil
}

// MarshalJSON implements [encoding/json.Marshaler].
func (p Problem) MarshalJSON() ([]byte, error) { return p.AppendJSON(nil) }

// UnmarshalJSON implements [encoding/json.Unmarshaler]. Known fields must have
// their type; every other field goes to Extra as it is.
func (p *Problem) UnmarshalJSON(data []byte) error {
	if err := CheckJSON(data); err != nil {
		return err
	}
	root := gjson.ParseBytes(data)
	if !root.IsObject() {
		return fmt.Errorf("a row must be a JSON object, not %s", KindOf(root))
	}
	*p = Problem{}
	var err error
	var seen Names
	root.ForEach(func(k, v gjson.Result) bool {
		name := k.String()
		if !seen.Add(name) {
			err = fmt.Errorf("field %q occurs twice", name)
			return false
		}
		err = p.setField(name, v)
		return err == nil
	})
	return err
}

func (p *Problem) setField(name string, v gjson.Result) error {
	switch name {
	case "id":
		return setString(&p.ID, name, v)
	case "task":
		return setString(&p.Task, name, v)
	case "task_spec":
		if v.IsObject() {
			p.TaskSpec = []byte(v.Raw)
			return nil
		}
	case "gold_answers":
		if list := v.Array(); v.IsArray() && !slices.ContainsFunc(list, func(e gjson.Result) bool { return e.Type != gjson.String }) {
			for _, e := range list {
				p.GoldAnswers = append(p.GoldAnswers, e.String())
			}
			return nil
		}
	case "question":
		return setString(&p.Question, name, v)
	case "premise":
		return setString(&p.Premise, name, v)
	case "hypothesis":
		return setString(&p.Hypothesis, name, v)
	case "table":
		return setString(&p.Table, name, v)
	case "gold_answer":
		return setString(&p.GoldAnswer, name, v)
	case "choices":
		if v.Type == gjson.Null {
			return nil
		}
		var err error
		p.Choices, err = ParseChoices(v)
		return err
	case "paths":
		return p.setPaths(v)
	}
	p.Extra = append(p.Extra, Field{Name: name, Raw: []byte(v.Raw)})
	return nil
}

// ParseChoices reads choices in any layout that data sets have: a list of {label,
// text}, {label: [...], text: [...]}, or a plain list of texts, which get the
// labels A, B, C, ... A text that is one of these as JSON counts as it: cells of a CSV
// hold nothing else.
func ParseChoices(v gjson.Result) ([]Choice, error) {
	if v.Type == gjson.String && jsoncheck.ValidString(v.Str) {
		if inner := gjson.Parse(v.Str); inner.IsArray() || inner.IsObject() {
			v = inner
		}
	}
	var list []Choice
	add := func(label, text gjson.Result) error {
		i := len(list)
		scalar := func(v gjson.Result) bool { return v.Type == gjson.String || v.Type == gjson.Number }
		if !scalar(label) || !scalar(text) {
			return fmt.Errorf("field \"choices\"[%d] needs a label and a text, each a string", i)
		}
		c := Choice{Label: strings.TrimSpace(label.String()), Text: text.String()}
		if c.Label == "" {
			return fmt.Errorf("field \"choices\"[%d] has an empty label", i)
		}
		if slices.ContainsFunc(list, func(o Choice) bool { return o.Label == c.Label }) {
			return fmt.Errorf("field \"choices\": label %q occurs twice", c.Label)
		}
		list = append(list, c)
		return nil
	}
	switch {
	case v.IsObject():
		labels, texts := v.Get("label"), v.Get("text")
		if !labels.IsArray() || !texts.IsArray() {
			return nil, errors.New("field \"choices\" must hold the lists label and text")
		}
		l, t := labels.Array(), texts.Array()
		if len(l) != len(t) {
			return nil, fmt.Errorf("field \"choices\" has %d labels for %d texts", len(l), len(t))
		}
		for i := range l {
			if err := add(l[i], t[i]); err != nil {
				return nil, err
			}
		}
	case v.IsArray():
		for i, e := range v.Array() {
			label, text := e.Get("label"), e.Get("text")
			if !e.IsObject() {
				if i >= 26 {
					return nil, errors.New("field \"choices\" has more than 26 texts without labels")
				}
				label, text = gjson.Result{Type: gjson.String, Str: string(rune('A' + i))}, e
			}
			if err := add(label, text); err != nil {
				return nil, err
			}
		}
	default:
		return nil, TypeError("choices", "{label: [...], text: [...]} or a list", v)
	}
	return list, nil
}

func (p *Problem) setPaths(v gjson.Result) error {
	if v.Type == gjson.Null {
		return nil
	}
	if !v.IsArray() {
		return fmt.Errorf("field \"paths\" must be a list of objects, not %s", KindOf(v))
	}
	p.Paths = []Path{}
	var err error
	v.ForEach(func(_, e gjson.Result) bool {
		var path Path
		if err = path.parse(e); err != nil {
			err = fmt.Errorf("field \"paths\"[%d]: %w", len(p.Paths), err)
			return false
		}
		p.Paths = append(p.Paths, path)
		return true
	})
	return err
}
