package data

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

// parse reads a line in any of the layouts and applies the mapping.
func (im *importer) parse(line []byte) (schema.Problem, error) {
	p := schema.Problem{TaskSpec: im.task.spec}
	root := gjson.ParseBytes(line)
	if !root.IsObject() {
		return p, fmt.Errorf("a row must be a JSON object, not %s", schema.KindOf(root))
	}
	r := rowParser{row: &p, task: im.task, root: root}
	err := r.locate()
	if err != nil {
		return p, err
	}
	moved := im.moved(&r)
	root.ForEach(func(k, v gjson.Result) bool {
		if name := k.String(); !slices.Contains(moved, name) {
			err = r.importRaw(name, v)
		}
		return err == nil
	})
	if err != nil {
		return p, err
	}
	if _, err := p.TakeLists(); err != nil {
		return p, err
	}
	for _, l := range r.found {
		if pathSetters[l.ours] != nil || l.value.Type == gjson.Null {
			continue
		}
		if err := r.importField(l.ours, l.value); err != nil {
			return p, fmt.Errorf("%w (mapped from %q)", err, l.theirs)
		}
	}
	if err := r.findChat(); err != nil {
		return p, err
	}
	if err := r.importGold(); err != nil {
		return p, err
	}
	return p, r.mapPaths()
}

// moved lists the row's fields that become ours as a whole by import's own mapping. What a
// task maps stays under its own name, too.
func (im *importer) moved(r *rowParser) []string {
	var names []string
	for _, l := range append(slices.Clip(r.found), r.gold) {
		if !l.value.Exists() {
			continue
		}
		delete(im.missing, l.ours)
		if _, own := im.cfg.Fields[l.ours]; own {
			names = append(names, l.theirs)
		}
	}
	return names
}

// importRaw takes a field of the raw row. One whose name is ours but which is mapped from
// elsewhere is kept aside.
func (r *rowParser) importRaw(name string, v gjson.Result) error {
	if !r.seen.Add(name) {
		return fmt.Errorf("field %q occurs twice", name)
	}
	l, ok := r.mapped(name)
	taken := ok && pathSetters[name] == nil && l.value.Type != gjson.Null
	if name == "gold_answer" || name == "gold_answers" {
		if r.task.fields["gold"] != nil && there(r.gold.value) {
			l, taken = r.gold, true
		}
	}
	if taken {
		r.aside(name, v, l.value)
		return nil
	}
	return r.importField(name, v)
}

// importField sets a field of the row. It is more lenient than a stage's input:
// other tools write ids and answers as numbers.
func (r *rowParser) importField(name string, v gjson.Result) error {
	switch name {
	case "task":
		if v.Type == gjson.Null || r.task.spec != nil {
			break
		}
		return setText(&r.row.Task, name, v)
	case "gold_answer":
		switch {
		case v.Type == gjson.Null:
		case v.Type == gjson.String:
			r.row.GoldAnswer = v.String()
		case v.Type == gjson.Number || v.IsBool():
			r.row.GoldAnswer = v.Raw
		default:
			return schema.TypeError(name, "text or a number", v)
		}
		return nil
	case "gold_answers", "task_spec":
		if name == "task_spec" && r.task.spec != nil {
			break
		}
		var own schema.Problem
		err := own.UnmarshalJSON([]byte(`{"` + name + `":` + v.Raw + `}`))
		r.row.GoldAnswers = append(r.row.GoldAnswers, own.GoldAnswers...)
		r.row.TaskSpec = append(r.row.TaskSpec, own.TaskSpec...)
		return err
	}
	return r.set(name, v)
}

// importGold normalises a gold answer that is mapped, by the row's task.
func (r *rowParser) importGold() error {
	if r.task.fields["gold"] == nil || !there(r.gold.value) {
		return nil
	}
	if r.task.spec == nil {
		var err error
		r.task.name = cmp.Or(r.row.Task, r.task.name)
		if r.task.Task, err = task.Of(r.task.name, r.row.TaskSpec, len(r.row.Choices)); err != nil {
			return fmt.Errorf("task_spec: %w", err)
		}
	}
	if _, err := r.setGold(r.gold.theirs, r.gold.value); err != nil {
		return fmt.Errorf("field %q: %w", r.gold.theirs, err)
	}
	return nil
}

// pathSetters set the fields of a path that can be mapped.
var pathSetters = map[string]func(*schema.Path, gjson.Result) error{
	"prompt":        func(p *schema.Path, v gjson.Result) error { return setText(&p.Prompt, "prompt", v) },
	"reasoning":     func(p *schema.Path, v gjson.Result) error { return setText(&p.Reasoning, "reasoning", v) },
	"response":      func(p *schema.Path, v gjson.Result) error { return setText(&p.Response, "response", v) },
	"style":         func(p *schema.Path, v gjson.Result) error { return setText(&p.Style, "style", v) },
	"provider":      func(p *schema.Path, v gjson.Result) error { return setText(&p.Provider, "provider", v) },
	"finish_reason": func(p *schema.Path, v gjson.Result) error { return setText(&p.FinishReason, "finish_reason", v) },
	"reason":        func(p *schema.Path, v gjson.Result) error { return setText(&p.Reason, "reason", v) },
	"error":         func(p *schema.Path, v gjson.Result) error { return setText(&p.Error, "error", v) },
	"pred": func(p *schema.Path, v gjson.Result) error {
		if v.Type == gjson.Number || v.IsBool() {
			p.Pred = v.Raw
			return nil
		}
		return setText(&p.Pred, "pred", v)
	},
	"correct": func(p *schema.Path, v gjson.Result) error {
		if !v.IsBool() && v.Raw != "0" && v.Raw != "1" {
			return schema.TypeError("correct", "true or false", v)
		}
		b := v.Bool()
		p.Correct = &b
		return nil
	},
}

// mapPaths makes paths of the mapped fields, or of the answer of a chat. Lists must be
// equally long.
func (r *rowParser) mapPaths() error {
	p := r.row
	n, longest := -1, ""
	var values []located
	for _, l := range append(slices.Clip(r.found), r.chatPath()...) {
		if pathSetters[l.ours] == nil || l.value.Type == gjson.Null {
			continue
		}
		values = append(values, l)
		if !l.value.IsArray() {
			continue
		}
		if m := len(l.value.Array()); n >= 0 && m != n {
			return fmt.Errorf("field %q has %d elements, but %q has %d: mapped lists must be equally long", l.theirs, m, longest, n)
		} else if n < 0 {
			n, longest = m, l.theirs
		}
	}
	if len(values) == 0 {
		return nil
	}
	if p.Paths != nil && n >= 0 && n != len(p.Paths) {
		return fmt.Errorf("field %q has %d elements, but the row has %d paths", longest, n, len(p.Paths))
	}
	if p.Paths == nil {
		p.Paths = make([]schema.Path, max(n, 1))
		if n == 0 {
			p.Paths = []schema.Path{}
		}
	}
	finished := false
	for _, l := range values {
		finished = finished || l.ours == "finish_reason"
		list := l.value.Array() // a single value is a list of itself
		for i := range p.Paths {
			e := list[0]
			if l.value.IsArray() {
				e = list[i]
			}
			if e.Type == gjson.Null {
				continue
			}
			if err := pathSetters[l.ours](&p.Paths[i], e); err != nil {
				return fmt.Errorf("%w (mapped from %q)", err, l.theirs)
			}
		}
	}
	finishMapped(p.Paths, finished)
	return nil
}

// chatPath is what the answer of a chat gives a path, where no response is mapped.
func (r *rowParser) chatPath() []located {
	if r.chat == nil || r.chat.answer == "" || r.row.Paths != nil || r.task.fields["response"] != nil {
		return nil
	}
	var list []located
	for _, f := range []struct{ ours, text string }{{"prompt", r.chat.question}, {"reasoning", r.chat.reasoning}, {"response", r.chat.answer}} {
		if r.task.fields[f.ours] == nil && f.text != "" {
			list = append(list, located{f.ours, r.chat.field, textValue(f.text)})
		}
	}
	return list
}

// finishMapped gives answers without a finish reason one, and numbers paths of
// one style.
func finishMapped(paths []schema.Path, given bool) {
	count := map[string]int{}
	for i := range paths {
		p := &paths[i]
		if !given && p.FinishReason == "" && p.Response != "" {
			p.FinishReason = "stop"
		}
		if p.Replicate == 0 {
			p.Replicate = count[p.Style]
		}
		count[p.Style]++
	}
}
