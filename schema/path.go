package schema

import (
	"fmt"

	"github.com/tidwall/gjson"
)

// Path is one reasoning path: one prompt in one style, the teacher's answer to
// it, and what later stages found out about that answer.
type Path struct {
	Style        string
	Replicate    int // 0-based index among answers to the same prompt
	Prompt       string
	Reasoning    string // what the teacher thought before it answered; "" for most
	Response     string // what it answered: all that is extracted, verified and judged
	FinishReason string // stop, length, content_filter, ...; "" means not asked yet
	Provider     string // who answered, as provider/model
	Pred         string // extracted answer; "" with a Reason when there is none
	Rule         string // the extraction rule that found Pred
	Span         *Span  // where Pred stands in Response
	Correct      *bool  // nil until verified
	Reason       string // why there is no Pred, or how it was compared
	Judge        *Judge // nil until judged
	Error        string // why there is no response
	Extra        Fields // fields this version does not know
}

// Span is a half-open byte range [Start, End) of a response.
type Span struct{ Start, End int }

// Judge is the verdict of an LLM judge on one path.
type Judge struct {
	Valid  bool   `json:"valid"`
	Reason string `json:"reason,omitempty"`
}

// IsCorrect reports whether the path was verified and found correct.
func (p Path) IsCorrect() bool { return p.Correct != nil && *p.Correct }

// Answered reports whether the path holds a completed response.
func (p Path) Answered() bool { return p.FinishReason != "" && p.Error == "" }

func (p Path) appendJSON(dst []byte) []byte {
	w := objectWriter{buf: append(dst, '{')}
	w.str("style", p.Style)
	w.num("replicate", p.Replicate)
	w.strOpt("prompt", p.Prompt)
	w.strOpt("reasoning", p.Reasoning)
	if p.FinishReason != "" || p.Response != "" {
		w.str("response", p.Response)
		w.str("finish_reason", p.FinishReason)
	}
	w.strOpt("provider", p.Provider)
	if p.Correct != nil || p.Pred != "" || p.Rule != "" {
		w.str("pred", p.Pred)
	}
	w.strOpt("rule", p.Rule)
	w.span(p.Span)
	if p.Correct != nil {
		w.boolean("correct", *p.Correct)
	}
	w.strOpt("reason", p.Reason)
	w.judge(p.Judge)
	w.strOpt("error", p.Error)
	w.fields(p.Extra)
	return append(w.buf, '}')
}

func (p *Path) parse(v gjson.Result) error {
	if !v.IsObject() {
		return fmt.Errorf("a path must be an object, not %s", KindOf(v))
	}
	var err error
	var seen Names
	v.ForEach(func(k, f gjson.Result) bool {
		name := k.String()
		if !seen.Add(name) {
			err = fmt.Errorf("field %q occurs twice", name)
			return false
		}
		err = p.setField(name, f)
		return err == nil
	})
	return err
}

func (p *Path) setField(name string, v gjson.Result) error {
	switch name {
	case "style":
		return setString(&p.Style, name, v)
	case "replicate":
		return setInt(&p.Replicate, name, v)
	case "prompt":
		return setString(&p.Prompt, name, v)
	case "reasoning":
		return setString(&p.Reasoning, name, v)
	case "response":
		return setString(&p.Response, name, v)
	case "finish_reason":
		return setString(&p.FinishReason, name, v)
	case "provider":
		return setString(&p.Provider, name, v)
	case "pred":
		return setString(&p.Pred, name, v)
	case "rule":
		return setString(&p.Rule, name, v)
	case "reason":
		return setString(&p.Reason, name, v)
	case "error":
		return setString(&p.Error, name, v)
	case "span":
		return p.setSpan(v)
	case "correct":
		if v.Type == gjson.Null {
			return nil
		}
		if !v.IsBool() {
			return TypeError(name, "true or false", v)
		}
		b := v.Bool()
		p.Correct = &b
		return nil
	case "judge":
		if v.Type == gjson.Null {
			return nil
		}
		valid := v.Get("valid")
		if !v.IsObject() || !valid.IsBool() {
			return TypeError(name, "{valid: bool, reason: string}", v)
		}
		p.Judge = &Judge{Valid: valid.Bool(), Reason: v.Get("reason").String()}
		return nil
	}
	p.Extra = append(p.Extra, Field{Name: name, Raw: []byte(v.Raw)})
	return nil
}

func (p *Path) setSpan(v gjson.Result) error {
	if v.Type == gjson.Null {
		return nil
	}
	a := v.Array()
	if !v.IsArray() || len(a) != 2 || a[0].Type != gjson.Number || a[1].Type != gjson.Number {
		return TypeError("span", "[start, end]", v)
	}
	p.Span = &Span{Start: int(a[0].Int()), End: int(a[1].Int())}
	return nil
}
