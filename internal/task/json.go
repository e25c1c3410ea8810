package task

import (
	"bytes"
	"encoding/json"
	"sync/atomic"

	"github.com/tidwall/gjson"
)

func decode(doc any, t *Task) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	*t, err = Parse(text)
	return err
}

// Parse reads a task as JSON.
func Parse(text []byte) (Task, error) {
	var t Task
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return t, err
	}
	return t, t.Validate()
}

// JSON is the task as a row carries it: without what it does not say.
func (t Task) JSON() []byte {
	all, err := json.Marshal(t)
	if err != nil {
		panic(err) // a struct of texts and numbers
	}
	text := []byte{'{'}
	gjson.ParseBytes(all).ForEach(func(k, v gjson.Result) bool {
		switch v.Raw {
		case "null", `""`, "{}", "0", "false":
			return true
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(append(text, k.Raw...), ':'), v.Raw...)
		return true
	})
	return append(text, '}')
}

// last is what was read last: the rows of a data set carry one text.
var last atomic.Pointer[carried]

type carried struct {
	text string
	task Task
}

// Of gives the task of a row: what the row carries as JSON, the preset of that name,
// or, for rows of other tools, one by their form: choices make it a choice, anything
// else is mathematics.
func Of(name string, text []byte, choices int) (Task, error) {
	if len(text) > 0 {
		if l := last.Load(); l != nil && l.text == string(text) {
			return l.task, nil
		}
		t, err := Parse(text)
		if err == nil {
			last.Store(&carried{string(text), t})
		}
		return t, err
	}
	if t, ok := Preset(name); ok {
		return t, nil
	}
	if choices > 0 {
		return Task{Answer: Choice}, nil
	}
	return Task{Answer: Math}, nil
}

// KindOf is the kind of a row's answer.
func (t Task) KindOf(choices int) Kind {
	if t.Answer == Choice && choices == 0 && t.WithoutChoices != "" {
		return t.WithoutChoices
	}
	return t.Answer
}
