package data

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/schema"
)

// parse reads a line in any of the layouts and applies the mapping.
func (im *importer) parse(line []byte) (schema.Problem, error) {
	var p schema.Problem
	root := gjson.ParseBytes(line)
	if !root.IsObject() {
		return p, fmt.Errorf("a row must be a JSON object, not %s", schema.KindOf(root))
	}
	mapped := map[string]bool{} // their fields that become ours as a whole
	for _, theirs := range im.cfg.Fields {
		mapped[theirs] = true
	}
	r := rowParser{row: &p}
	var err error
	root.ForEach(func(k, v gjson.Result) bool {
		if name := k.String(); !mapped[name] {
			err = importField(&r, name, v)
		}
		return err == nil
	})
	if err != nil {
		return p, err
	}
	if _, err := p.TakeLists(); err != nil {
		return p, err
	}
	var onPaths []string
	for _, ours := range slices.Sorted(maps.Keys(im.cfg.Fields)) {
		theirs := im.cfg.Fields[ours]
		v := lookup(root, theirs)
		if v.Exists() {
			delete(im.missing, theirs)
		}
		switch {
		case pathSetters[ours] != nil:
			onPaths = append(onPaths, ours)
		case v.Exists() && v.Type != gjson.Null:
			p.Extra = slices.DeleteFunc(p.Extra, func(f schema.Field) bool { return f.Name == ours })
			if err := importField(&rowParser{row: &p}, ours, v); err != nil {
				return p, fmt.Errorf("%w (mapped from %q)", err, theirs)
			}
		}
	}
	return p, im.mapPaths(&p, root, onPaths)
}

// importField sets a field of the row. It is more lenient than a stage's input:
// other tools write ids and answers as numbers.
func importField(r *rowParser, name string, v gjson.Result) error {
	switch name {
	case "task":
		if v.Type == gjson.Null {
			return nil
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
	}
	if name == "gold_answers" || name == "task_spec" {
		var own schema.Problem
		err := own.UnmarshalJSON([]byte(`{"` + name + `":` + v.Raw + `}`))
		r.row.GoldAnswers = append(r.row.GoldAnswers, own.GoldAnswers...)
		r.row.TaskSpec = append(r.row.TaskSpec, own.TaskSpec...)
		return err
	}
	return r.field(name, v)
}

// lookup finds a value by a dotted path. A field whose own name is the whole
// path goes first.
func lookup(root gjson.Result, path string) gjson.Result {
	if v := member(root, path); v.Exists() {
		return v
	}
	v := root
	for _, part := range strings.Split(path, ".") {
		if v = member(v, part); !v.Exists() {
			return v
		}
	}
	return v
}

// member takes one step. gjson's own paths are not used, because names of data
// must not be read as its queries.
func member(v gjson.Result, name string) gjson.Result {
	var found gjson.Result
	switch {
	case v.IsObject():
		v.ForEach(func(k, e gjson.Result) bool {
			if k.String() == name {
				found = e
				return false
			}
			return true
		})
	case v.IsArray():
		list := v.Array()
		if i, err := strconv.Atoi(name); err == nil && i >= -len(list) && i < len(list) {
			found = list[(i+len(list))%len(list)]
		}
	}
	return found
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

// mapPaths makes paths of the mapped fields. Lists must be equally long.
func (im *importer) mapPaths(p *schema.Problem, root gjson.Result, names []string) error {
	n, longest := -1, ""
	values := map[string]gjson.Result{}
	for _, ours := range names {
		v := lookup(root, im.cfg.Fields[ours])
		if !v.Exists() || v.Type == gjson.Null {
			continue
		}
		values[ours] = v
		if !v.IsArray() {
			continue
		}
		if m := len(v.Array()); n >= 0 && m != n {
			return fmt.Errorf("field %q has %d elements, but %q has %d: mapped lists must be equally long", im.cfg.Fields[ours], m, longest, n)
		} else if n < 0 {
			n, longest = m, im.cfg.Fields[ours]
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
	for _, ours := range names {
		v, ok := values[ours]
		if !ok {
			continue
		}
		list := v.Array() // a single value is a list of itself
		for i := range p.Paths {
			e := list[0]
			if v.IsArray() {
				e = list[i]
			}
			if e.Type == gjson.Null {
				continue
			}
			if err := pathSetters[ours](&p.Paths[i], e); err != nil {
				return fmt.Errorf("%w (mapped from %q)", err, im.cfg.Fields[ours])
			}
		}
	}
	finishMapped(p.Paths, values["finish_reason"].Exists())
	return nil
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
