package rowexpr

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// Bounds of one evaluation. Loops always end, but they nest; texts of a row are
// long, and joining can double them at each step.
const (
	maxSource   = 4096     // bytes of source
	maxNodes    = 500      // nodes of the syntax tree
	maxSteps    = 50_000   // runs of loop bodies
	maxElements = 100_000  // elements of lists and maps that are made
	maxText     = 16 << 20 // bytes of text that are made, over the whole evaluation
)

// functions are the library's functions that an expression may call. Left out
// are those that read the clock, decode or encode, and those whose cost the
// bounds do not cover.
var functions = []string{
	"all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "count", "sum",
	"groupBy", "countBy", "sortBy", "reduce", "len", "type", "abs", "ceil", "floor", "round", "int", "float", "trim", "trimPrefix",
	"trimSuffix", "upper", "lower", "split", "indexOf", "lastIndexOf", "hasPrefix", "hasSuffix", "max", "min", "mean",
	"median", "first", "last", "get", "take", "keys", "values", "reverse", "concat", "sort", "uniq", "flatten",
}

// bounded are functions of our own that replace unbounded ones.
var bounded = []string{"string", "join", "replace"}

// Names of functions that the language itself cannot spell.
const (
	callTick    = "+tick"
	callAddText = "+text"
	callAddAny  = "+any"
)

// usage counts what an evaluation has used up.
type usage struct{ steps, text int }

func (u *usage) reset() { *u = usage{} }

func (u *usage) step() error {
	if u.steps++; u.steps > maxSteps {
		return fmt.Errorf("the expression takes more than %d steps", maxSteps)
	}
	return nil
}

func (u *usage) grow(bytes int) error {
	if u.text += bytes; u.text > maxText || bytes < 0 {
		return fmt.Errorf("the expression makes more than %d MiB of text", maxText>>20)
	}
	return nil
}

func sandbox(u *usage) []expr.Option {
	opts := []expr.Option{expr.MaxNodes(maxNodes), expr.DisableAllBuiltins()}
	for _, f := range functions {
		opts = append(opts, expr.EnableBuiltin(f))
	}
	add := func(a ...any) (any, error) { return u.add(a[0], a[1]) }
	return append(opts,
		expr.Function("string", func(a ...any) (any, error) { return scalar(a[0]) }, new(func(any) string)),
		expr.Function("join", func(a ...any) (any, error) { return u.join(a) }, new(func(any, string) string), new(func(any) string)),
		expr.Function("replace", func(a ...any) (any, error) { return u.replace(a[0], a[1], a[2]) }, new(func(string, string, string) string)),
		expr.Function(callAddText, add, new(func(string, string) string)),
		expr.Function(callAddAny, add, new(func(any, any) any)),
		expr.Function(callTick, func(...any) (any, error) { return true, u.step() }, new(func() bool)),
		expr.Patch(plus{}), expr.Patch(loops{}),
	)
}

// loops makes every loop body count its runs.
type loops struct{}

func (loops) Visit(node *ast.Node) {
	p, ok := (*node).(*ast.PredicateNode)
	if !ok {
		return
	}
	if seq, done := p.Node.(*ast.SequenceNode); done && len(seq.Nodes) == 2 {
		if c, ok := seq.Nodes[0].(*ast.CallNode); ok && calls(c, callTick) {
			return
		}
	}
	count := &ast.CallNode{Callee: &ast.IdentifierNode{Value: callTick}}
	count.SetType(reflect.TypeFor[bool]())
	body := &ast.SequenceNode{Nodes: []ast.Node{count, p.Node}}
	for _, n := range []ast.Node{count, count.Callee, body} {
		n.SetLocation(p.Node.Location())
	}
	body.SetNature(*p.Node.Nature())
	p.Node = body
}

func calls(c *ast.CallNode, name string) bool {
	id, ok := c.Callee.(*ast.IdentifierNode)
	return ok && id.Value == name
}

// plus turns every + that may join texts into a call that counts their bytes.
type plus struct{}

func (plus) Visit(node *ast.Node) {
	b, ok := (*node).(*ast.BinaryNode)
	if !ok || b.Operator != "+" {
		return
	}
	text := func(k reflect.Kind) bool { return k == reflect.String || k == reflect.Interface }
	l, r := kindOf(b.Left), kindOf(b.Right)
	if !text(l) || !text(r) {
		return
	}
	name := callAddAny
	if l == reflect.String && r == reflect.String {
		name = callAddText
	}
	call := &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: []ast.Node{b.Left, b.Right}}
	if name == callAddText {
		call.SetType(reflect.TypeFor[string]())
	}
	call.Callee.SetLocation(b.Location())
	ast.Patch(node, call)
}

func kindOf(n ast.Node) reflect.Kind {
	if t := n.Type(); t != nil {
		return t.Kind()
	}
	return reflect.Interface
}

func (u *usage) add(a, b any) (sum any, err error) {
	x, ok := a.(string)
	y, too := b.(string)
	if ok && too {
		return x + y, u.grow(len(x) + len(y))
	}
	defer func() { // the library reports types that do not add up by a panic
		if r := recover(); r != nil {
			sum, err = nil, fmt.Errorf("%v", r)
		}
	}()
	return runtime.Add(a, b), nil
}

func (u *usage) replace(a, b, c any) (string, error) {
	s, ok1 := a.(string)
	old, ok2 := b.(string)
	with, ok3 := c.(string)
	if !ok1 || !ok2 || !ok3 {
		return "", fmt.Errorf("replace takes three texts")
	}
	n := strings.Count(s, old)
	if err := u.grow(len(s) + n*max(0, len(with)-len(old))); err != nil {
		return "", err
	}
	return strings.ReplaceAll(s, old, with), nil
}

func (u *usage) join(args []any) (string, error) {
	sep := ""
	if len(args) > 1 {
		sep, _ = args[1].(string)
	}
	list := reflect.ValueOf(args[0])
	if !list.IsValid() || list.Kind() != reflect.Slice {
		return "", fmt.Errorf("join takes a list, not %s", describe(reflect.TypeOf(args[0])))
	}
	var b strings.Builder
	for i := range list.Len() {
		s, err := scalar(list.Index(i).Interface())
		if err != nil {
			return "", err
		}
		if err := u.grow(len(s) + len(sep)); err != nil {
			return "", err
		}
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func scalar(a any) (string, error) {
	switch x := a.(type) {
	case string:
		return x, nil
	case bool:
		return strconv.FormatBool(x), nil
	case int:
		return strconv.Itoa(x), nil
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64), nil
	}
	return "", fmt.Errorf("%s cannot become text", describe(reflect.TypeOf(a)))
}
