package rowexpr

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// Type is the type of a field. Values have these Go types: string, bool, int,
// []any for lists, map[string]any for objects.
type Type = types.Type

// The types of single values. Any is for what only the data know.
var (
	String = types.String
	Bool   = types.Bool
	Int    = types.Int
	Any    = types.Any
)

// List is the type of a list.
func List(of Type) Type { return types.Array(of) }

// Fields are the declared fields of a row or of an object in it.
type Fields map[string]Type

// Object is the type of an object with these fields and others unknown.
func Object(f Fields) Type { return f.types() }

func (f Fields) types() types.Map {
	m := types.Map{types.Extra: types.Any}
	for k, v := range f {
		m[k] = v
	}
	return m
}

// Want is what an expression has to give.
type Want int

// What an expression may have to give.
const (
	AnyValue  Want = iota
	BoolValue      // true or false
	TextValue      // a string
)

func (w Want) String() string {
	switch w {
	case BoolValue:
		return "true or false"
	case TextValue:
		return "text"
	}
	return "a value"
}

// Row gives the fields of the row at hand. ok is false where the row lacks the
// field; a declared field is always there.
type Row interface {
	Field(name string) (value any, ok bool)
}

// Program is a compiled expression. It is not safe for concurrent use: the
// space for values is reused from row to row.
type Program struct {
	src     string
	program *vm.Program
	want    Want
	names   []string // the fields it uses
	unseen  map[string]string
	env     map[string]any
	machine vm.VM
	limit   *usage
}

// Compile checks an expression against the declared fields. The error is an
// *[Error].
func Compile(src string, fields Fields, want Want) (*Program, error) {
	if len(src) > maxSource {
		return nil, &Error{Msg: fmt.Sprintf("the expression is %d bytes long; at most %d are allowed", len(src), maxSource)}
	}
	limit := &usage{}
	check := newChecker(fields)
	opts := append(sandbox(limit), expr.Env(fields.types()), expr.Patch(check))
	program, err := expr.Compile(src, opts...)
	if e := check.problem(src); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, wordError(src, err)
	}
	if t := program.Node().Type(); !want.allows(t) {
		return nil, &Error{Msg: fmt.Sprintf("the expression gives %s; it must give %s", describe(t), want)}
	}
	p := &Program{src: src, program: program, want: want, env: map[string]any{}, limit: limit, unseen: map[string]string{}}
	p.machine.MemoryBudget = maxElements
	for _, name := range check.fieldNames() {
		p.names = append(p.names, name)
		if _, declared := fields[name]; !declared {
			p.unseen[name] = suggest(name, keys(fields), 3)
		}
	}
	return p, nil
}

func (w Want) allows(t reflect.Type) bool {
	if t == nil || t.Kind() == reflect.Interface {
		return true // known when a row is at hand
	}
	switch w {
	case BoolValue:
		return t.Kind() == reflect.Bool
	case TextValue:
		return t.Kind() == reflect.String
	}
	return true
}

// Value evaluates the expression for one row. The error is an *[Error]. What it
// gives may share memory with what the row gave.
func (p *Program) Value(row Row) (any, error) {
	for _, name := range p.names {
		v, ok := row.Field(name)
		if ok && len(p.unseen) > 0 {
			delete(p.unseen, name)
		}
		p.env[name] = v
	}
	p.limit.reset()
	v, err := p.machine.Run(p.program, p.env)
	if err != nil {
		return nil, wordError(p.src, err)
	}
	if !p.want.allows(reflect.TypeOf(v)) || v == nil && p.want != AnyValue {
		return nil, &Error{Msg: fmt.Sprintf("the expression gives %s; it must give %s", describe(reflect.TypeOf(v)), p.want)}
	}
	return v, nil
}

// Bool evaluates an expression that was compiled for a [BoolValue].
func (p *Program) Bool(row Row) (bool, error) {
	v, err := p.Value(row)
	b, _ := v.(bool)
	return b, err
}

// Uses lists the row's fields that the expression uses, in alphabetical order.
func (p *Program) Uses() []string { return slices.Clone(p.names) }

// Unseen lists the undeclared fields that no row had so far, in alphabetical
// order, each with the declared name that it resembles, if any. A misspelled
// name shows so after a run.
func (p *Program) Unseen() []Unseen {
	var list []Unseen
	for name, near := range p.unseen {
		list = append(list, Unseen{Name: name, Near: near})
	}
	slices.SortFunc(list, func(a, b Unseen) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Unseen is a field that no row had.
type Unseen struct{ Name, Near string }

// String says so in words.
func (u Unseen) String() string {
	s := fmt.Sprintf("no row has the field %q", u.Name)
	if u.Near != "" {
		s += fmt.Sprintf("; did you mean %q?", u.Near)
	}
	return s
}
