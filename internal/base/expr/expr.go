// Package expr is the expression language of recipes and of row stages, such as
//
//	len(question) < 500 and any(paths, .correct)
//
// The language is expr-lang/expr (https://expr-lang.org) with the functions that
// [Functions] lists and no others: none reads the clock, decodes, encodes or
// calls out. An expression sees the names that its [Config] declares and nothing
// else. The length of its source, the nodes of its syntax tree, the runs of its
// loops, the lists and the text that it makes are bounded, so that a stranger's
// expression cannot use up a machine.
package expr

import (
	"fmt"
	"reflect"

	lang "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// Bounds of every expression; what it may make is for [Bounds] to say. The
// language has no unbounded loops, but loops over lists nest.
const (
	MaxSource = 4096    // bytes of source
	maxNodes  = 500     // nodes of the syntax tree
	maxSteps  = 100_000 // runs of loop bodies, and comparisons of uniq
)

// Bounds limit what one evaluation may make.
type Bounds struct {
	Elements int // elements of lists and maps
	Text     int // bytes of text, all texts together
}

// Want is what an expression has to give.
type Want int

// What an expression may have to give.
const (
	Any  Want = iota
	Bool      // true or false
	Text      // a string
)

func (w Want) String() string {
	switch w {
	case Bool:
		return "true or false"
	case Text:
		return "text"
	}
	return "a value"
}

func (w Want) allows(t reflect.Type) bool {
	if t == nil || t.Kind() == reflect.Interface {
		return true // known when it runs
	}
	switch w {
	case Bool:
		return t.Kind() == reflect.Bool
	case Text:
		return t.Kind() == reflect.String
	}
	return true
}

// Config says what an expression sees and may give.
type Config struct {
	Names  types.Map // the types of what it sees
	Want   Want
	Bounds Bounds
	// Visitor, if not nil, sees the typed syntax tree before it is compiled,
	// children before their parents.
	Visitor ast.Visitor
}

// Program is a compiled expression. It is not safe for concurrent use: the space
// for values is reused from run to run.
type Program struct {
	src     string
	program *vm.Program
	want    Want
	machine vm.VM
	used    *usage
}

// Compile checks an expression and compiles it. The error is an *[Error].
func Compile(src string, c Config) (*Program, error) {
	if len(src) > MaxSource {
		return nil, &Error{Kind: Limit, Msg: fmt.Sprintf("the expression is %d bytes long; at most %d are allowed", len(src), MaxSource)}
	}
	used := &usage{bounds: c.Bounds}
	opts := []lang.Option{lang.Env(c.Names)}
	if c.Visitor != nil {
		opts = append(opts, lang.Patch(c.Visitor))
	}
	program, err := lang.Compile(src, append(opts, sandbox(used)...)...)
	if err != nil {
		return nil, compileError(src, err)
	}
	if t := program.Node().Type(); !c.Want.allows(t) {
		return nil, wrongResult(t, c.Want)
	}
	return &Program{src: src, program: program, want: c.Want, used: used,
		machine: vm.VM{MemoryBudget: uint(c.Bounds.Elements)}}, nil
}

// Run evaluates the expression over the values of its names. The error is an
// *[Error]. The result may share memory with the values.
func (p *Program) Run(values map[string]any) (any, error) {
	p.used.steps, p.used.text = 0, 0
	v, err := p.machine.Run(p.program, values)
	if err != nil {
		return nil, p.runError(err)
	}
	if t := reflect.TypeOf(v); !p.want.allows(t) || v == nil && p.want != Any {
		return nil, wrongResult(t, p.want)
	}
	return v, nil
}

func wrongResult(t reflect.Type, want Want) *Error {
	return &Error{Kind: Type, Msg: fmt.Sprintf("the expression gives %s; it must give %s", Describe(t), want)}
}
