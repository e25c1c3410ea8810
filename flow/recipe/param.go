package recipe

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/diag"
)

// ParamType is the declared type of a param.
type ParamType string

// The param types. PathParam is a string that Value.Path resolves.
const (
	StringParam ParamType = "string"
	IntParam    ParamType = "int"
	FloatParam  ParamType = "float"
	BoolParam   ParamType = "bool"
	PathParam   ParamType = "path"
	ListParam   ParamType = "list"
	MapParam    ParamType = "map"
	AnyParam    ParamType = "any"
)

var paramTypes = []string{"string", "int", "float", "bool", "path", "list", "map", "any"}

// Origin says where the value of a param came from.
type Origin string

// The origins, from the weakest to the strongest.
const (
	FromDefault Origin = "default"
	FromProfile Origin = "profile"
	FromFile    Origin = "params file"
	FromSet     Origin = "--set"
)

// Param is a declared param with the value chosen for this reading.
type Param struct {
	Name    string
	NamePos diag.Pos
	Type    ParamType
	Default *Value // nil when the param must be given
	Help    string
	Choices []*Value // for a list param: the allowed items
	Min     *float64 // for int and float
	Max     *float64

	Value  *Value // the value in use
	Origin Origin
}

var (
	paramName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	paramKeys = []string{"type", "default", "help", "choices", "min", "max"}
)

// params decodes the `params:` section. Values are checked later, by resolve,
// so that a param with a wrong default can still be overridden in the messages'
// order of strength.
func (d *decoder) params(v *Value) {
	if !d.want(v, Map, "`params` maps names to defaults or to {type, default, help, ...}") {
		return
	}
	ev := newEvaluator(d.sources, d.diags, nil, d.envValues)
	for _, en := range v.Entries {
		p := &Param{Name: en.Key, NamePos: en.KeyPos}
		if !paramName.MatchString(en.Key) {
			dg := diag.Errorf(en.KeyPos, "bad-name", "%q cannot be the name of a param", en.Key).Over(utf8.RuneCountInString(en.Key)).
				WithHelp("use letters, digits and _, so that it can be written as params.NAME")
			if fixed := strings.ReplaceAll(en.Key, "-", "_"); paramName.MatchString(fixed) {
				dg.Suggestion = fixed
			}
			d.diags.Add(dg)
			continue
		}
		d.recipe.Params = append(d.recipe.Params, p)
		if en.Val.Kind != Map {
			p.Default = ev.value(en.Val)
			p.Type = inferType(p.Default)
			continue
		}
		d.paramSpec(p, en.Val, ev)
	}
}

func (d *decoder) paramSpec(p *Param, spec *Value, ev *evaluator) {
	for _, en := range spec.Entries {
		switch en.Key {
		case "type":
			if !d.want(en.Val, String, "the type of a param is one of "+strings.Join(paramTypes, ", ")) {
				continue
			}
			if !slices.Contains(paramTypes, en.Val.Str) {
				d.diags.Add(diag.Errorf(en.Val.Pos, "wrong-type", "unknown param type %q", en.Val.Str).Over(utf8.RuneCountInString(en.Val.Str)).
					WithSuggestion(en.Val.Str, paramTypes).WithHelp("the types are %s", strings.Join(paramTypes, ", ")))
				continue
			}
			p.Type = ParamType(en.Val.Str)
		case "default":
			p.Default = ev.value(en.Val)
		case "help":
			if d.want(en.Val, String, "`help` is a text") {
				p.Help = en.Val.Str
			}
		case "choices":
			if d.want(en.Val, List, "`choices` is a list of allowed values") {
				p.Choices = ev.value(en.Val).Items
			}
		case "min", "max":
			f, ok := number(en.Val)
			if !ok {
				d.wrongType(en.Val, "`%s` is a number", en.Key)
			} else if en.Key == "min" {
				p.Min = &f
			} else {
				p.Max = &f
			}
		default:
			dg := d.unknownKey(en, "a param", paramKeys)
			if dg.Suggestion == "" {
				dg = dg.WithHelp("a param has %s; a default that is a map is written default: {...}", strings.Join(paramKeys, ", "))
			}
			d.diags.Add(dg)
		}
	}
	if p.Type == "" {
		p.Type = inferType(p.Default)
		if p.Default == nil && len(p.Choices) > 0 {
			p.Type = inferType(p.Choices[0])
		}
	}
	if p.Type != IntParam && p.Type != FloatParam {
		for _, en := range spec.Entries {
			if en.Key == "min" || en.Key == "max" {
				d.diags.Errorf(en.KeyPos, "wrong-type", "`%s` has no meaning for a param of type %s", en.Key, p.Type)
			}
		}
	}
}

func inferType(v *Value) ParamType {
	if v.IsNull() {
		return AnyParam
	}
	switch v.Kind {
	case Bool:
		return BoolParam
	case Int:
		return IntParam
	case Float:
		return FloatParam
	case String:
		return StringParam
	case List:
		return ListParam
	}
	return MapParam
}

// number gives the value of an Int or Float.
func number(v *Value) (float64, bool) {
	switch v.Kind {
	case Int:
		return float64(v.Int), true
	case Float:
		return v.Float, true
	}
	return 0, false
}

// coerce checks a value for a param and gives it the param's type. The result
// is never nil; it is broken when a diagnostic was reported.
func (d *decoder) coerce(p *Param, v *Value) *Value {
	if v.broken {
		return v
	}
	fail := func(dg diag.Diagnostic) *Value {
		if v.Kind != List && v.Kind != Map {
			dg = dg.Over(v.width())
		}
		if p.NamePos != (diag.Pos{}) && p.NamePos.Line != v.Pos.Line {
			dg = dg.WithRelated(p.NamePos.Span(utf8.RuneCountInString(p.Name)), "the param is declared here")
		}
		d.diags.Add(dg)
		return broken(v)
	}
	if v.Kind == Null {
		if p.Type == AnyParam || p.Default != nil && p.Default.Kind == Null {
			return v
		}
		return fail(diag.Errorf(v.Pos, "wrong-type", "param %s is %s, not null", p.Name, article(string(p.Type))))
	}
	c := *v
	ok := true
	switch p.Type {
	case StringParam, PathParam:
		ok = v.Kind == String
	case IntParam:
		ok = v.Kind == Int
	case FloatParam:
		ok = v.Kind == Float || v.Kind == Int
		if v.Kind == Int {
			c.Kind, c.Float, c.Int = Float, float64(v.Int), 0
		}
	case BoolParam:
		ok = v.Kind == Bool
	case ListParam:
		ok = v.Kind == List
	case MapParam:
		ok = v.Kind == Map
	}
	if !ok {
		dg := diag.Errorf(v.Pos, "wrong-type", "param %s is %s, not %s", p.Name, article(string(p.Type)), article(v.Describe()))
		switch {
		case p.Type == ListParam && v.Kind == String:
			dg = dg.WithHelp("write a list: [%s]", v.Str)
		case p.Type == StringParam && v.Kind <= Float:
			dg = dg.WithHelp("put it in quotes: %q", v.Str)
		case p.Type == IntParam && v.Kind == Float:
			dg = dg.WithHelp("declare the param with type: float if you mean fractions")
		}
		return fail(dg)
	}
	if f, isNum := number(&c); isNum {
		if p.Min != nil && f < *p.Min {
			return fail(diag.Errorf(v.Pos, "param-range", "param %s must be at least %s, not %s", p.Name, formatFloat(*p.Min), formatFloat(f)))
		}
		if p.Max != nil && f > *p.Max {
			return fail(diag.Errorf(v.Pos, "param-range", "param %s must be at most %s, not %s", p.Name, formatFloat(*p.Max), formatFloat(f)))
		}
	}
	if len(p.Choices) > 0 {
		check := []*Value{&c}
		if c.Kind == List {
			check = c.Items
		}
		for _, one := range check {
			if !slices.ContainsFunc(p.Choices, one.Equal) {
				var names []string
				for _, ch := range p.Choices {
					names = append(names, ch.text())
				}
				return fail(diag.Errorf(one.Pos, "param-choice", "param %s cannot be %s", p.Name, one.text()).
					WithSuggestion(one.text(), names).WithHelp("choose one of %s", strings.Join(names, ", ")))
			}
		}
	}
	return &c
}

// text gives a scalar as written; for lists and maps a description.
func (v *Value) text() string {
	if v.Kind == List || v.Kind == Map || v.Kind == Null {
		return v.Describe()
	}
	if v.Str != "" {
		return v.Str
	}
	return fmt.Sprint(v.Interface())
}

// width is the number of runes to underline for a scalar, when it stands on
// one line.
func (v *Value) width() int {
	if v.style&^hasProps == block || v.style&hasProps != 0 || strings.Contains(v.Str, "\n") {
		return 1
	}
	n := utf8.RuneCountInString(v.Str)
	if s := v.style; s == singleQuoted || s == doubleQuoted {
		n += 2
	}
	return n
}
