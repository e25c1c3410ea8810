package rowexpr

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/types"

	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/base/suggest"
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

// Row gives the fields of the row at hand. ok is false where the row lacks the
// field; a declared field is always there.
type Row interface {
	Field(name string) (value any, ok bool)
}

// bounds of one evaluation. The texts of a row are long, and it may have many
// paths.
var bounds = expr.Bounds{Elements: 100_000, Text: 16 << 20}

// Program is a compiled expression. It is not safe for concurrent use: the
// space for values is reused from row to row.
type Program struct {
	program *expr.Program
	names   []string // the fields it uses
	unseen  map[string]string
	values  map[string]any
}

// Compile checks an expression against the declared fields. The error is an
// *[expr.Error].
func Compile(src string, fields Fields, want expr.Want) (*Program, error) {
	check := newChecker(src, fields)
	program, err := expr.Compile(src, expr.Config{Names: fields.types(), Want: want, Bounds: bounds, Visitor: check})
	if e := check.problem(); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	p := &Program{program: program, names: check.fieldNames(), values: map[string]any{}, unseen: map[string]string{}}
	for _, name := range p.names {
		if _, declared := fields[name]; !declared {
			p.unseen[name] = suggest.Near(name, keys(fields))
		}
	}
	return p, nil
}

// Value evaluates the expression for one row. The error is an *[expr.Error]. What
// it gives may share memory with what the row gave.
func (p *Program) Value(row Row) (any, error) {
	for _, name := range p.names {
		v, ok := row.Field(name)
		if ok && len(p.unseen) > 0 {
			delete(p.unseen, name)
		}
		p.values[name] = v
	}
	return p.program.Run(p.values)
}

// Bool evaluates an expression that was compiled for an [expr.Bool].
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
