package recipe

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"
	"github.com/expr-lang/expr/vm/runtime"
)

// Bounds of one expression. The language has no unbounded loops, but loops over
// lists nest and text can double at each step; together these bounds keep every
// expression to a small amount of time and memory.
const (
	maxExprLen      = 4096    // bytes of source
	maxExprNodes    = 500     // nodes of the syntax tree
	maxExprBindings = 6       // let variables and loop bodies
	maxExprSteps    = 100_000 // runs of loop bodies
	exprMemory      = 10_000  // elements that may be allocated (vm memory budget)
	maxExprText     = 64 << 10
)

// exprFunctions are the built-in functions an expression may call. Left out are
// those that read the clock or whose cost the bounds above do not cover.
var exprFunctions = []string{
	"all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "count", "sum",
	"groupBy", "sortBy", "reduce", "len", "type", "abs", "ceil", "floor", "round", "int", "float", "trim", "trimPrefix",
	"trimSuffix", "upper", "lower", "split", "indexOf", "lastIndexOf", "hasPrefix", "hasSuffix", "max", "min", "mean",
	"median", "first", "last", "get", "take", "keys", "values", "reverse", "concat", "sort",
}

// ownFunctions replace built-in functions by bounded ones.
var ownFunctions = []string{"string", "join", "replace"}

// sandbox gives the compiler options that every expression gets. steps counts
// the runs of loop bodies; the caller sets it to 0 before each evaluation.
func sandbox(steps *int) []expr.Option {
	opts := []expr.Option{expr.MaxNodes(maxExprNodes), expr.DisableAllBuiltins()}
	for _, f := range exprFunctions {
		opts = append(opts, expr.EnableBuiltin(f))
	}
	return append(opts,
		expr.Function("string", func(a ...any) (any, error) { return scalarText(a[0]) }, new(func(any) string)),
		expr.Function("join", func(a ...any) (any, error) { return joinText(a) }, new(func(any, string) string), new(func(any) string)),
		expr.Function("replace", func(a ...any) (any, error) {
			s, old, repl := a[0].(string), a[1].(string), a[2].(string)
			if n := strings.Count(s, old); len(s)+n*len(repl) > maxExprText {
				return nil, errTextTooLong
			}
			return strings.ReplaceAll(s, old, repl), nil
		}, new(func(string, string, string) string)),
		expr.Function(concatText, func(a ...any) (any, error) { return addBounded(a[0], a[1]) }, new(func(string, string) string)),
		expr.Function(addAny, func(a ...any) (any, error) { return addBounded(a[0], a[1]) }, new(func(any, any) any)),
		expr.Function(tick, func(...any) (any, error) {
			if *steps++; *steps > maxExprSteps {
				return nil, errTooManySteps
			}
			return true, nil
		}, new(func() bool)),
		expr.Patch(plusPatcher{}),
		expr.Patch(loopPatcher{}),
	)
}

// Names that a recipe cannot write, so that they cannot clash.
const (
	concatText = "+text"
	addAny     = "+any"
	tick       = "+tick"
)

var errTooManySteps = fmt.Errorf("the expression takes more than %d steps", maxExprSteps)

// loopPatcher makes every loop body count its runs: the language cannot loop
// for ever, but loops over lists nest.
type loopPatcher struct{}

func (loopPatcher) Visit(node *ast.Node) {
	p, ok := (*node).(*ast.PredicateNode)
	if !ok {
		return
	}
	count := &ast.CallNode{Callee: &ast.IdentifierNode{Value: tick}}
	count.SetType(reflect.TypeFor[bool]())
	body := &ast.SequenceNode{Nodes: []ast.Node{count, p.Node}}
	for _, n := range []ast.Node{count, count.Callee, body} {
		n.SetLocation(p.Node.Location())
	}
	body.SetNature(*p.Node.Nature())
	p.Node = body
}

var errTextTooLong = fmt.Errorf("the text grows beyond %d bytes", maxExprText)

// plusPatcher turns every + that may join text into a call that bounds it.
type plusPatcher struct{}

func (plusPatcher) Visit(node *ast.Node) {
	b, ok := (*node).(*ast.BinaryNode)
	if !ok || b.Operator != "+" {
		return
	}
	l, r := b.Left.Type().Kind(), b.Right.Type().Kind()
	call := &ast.CallNode{Callee: &ast.IdentifierNode{Value: addAny}, Arguments: []ast.Node{b.Left, b.Right}}
	switch {
	case l == reflect.String && r == reflect.String:
		call.Callee = &ast.IdentifierNode{Value: concatText}
		call.SetType(reflect.TypeFor[string]())
	case (l == reflect.Interface || l == reflect.String) && (r == reflect.Interface || r == reflect.String):
	default:
		return
	}
	call.Callee.SetLocation(b.Location())
	ast.Patch(node, call)
}

func addBounded(a, b any) (sum any, err error) {
	x, ok1 := a.(string)
	y, ok2 := b.(string)
	if ok1 && ok2 {
		if len(x)+len(y) > maxExprText {
			return nil, errTextTooLong
		}
		return x + y, nil
	}
	defer func() { // the runtime reports mismatched types by a panic
		if r := recover(); r != nil {
			sum, err = nil, fmt.Errorf("%v", r)
		}
	}()
	return runtime.Add(a, b), nil
}

func scalarText(a any) (string, error) {
	switch x := a.(type) {
	case string:
		return x, nil
	case bool:
		return strconv.FormatBool(x), nil
	case int:
		return strconv.Itoa(x), nil
	case float64:
		return formatFloat(x), nil
	case nil:
		return "", fmt.Errorf("null cannot become text")
	}
	return "", fmt.Errorf("%s cannot become text; use join(list, \", \")", article(kindOf(a)))
}

func joinText(args []any) (string, error) {
	sep := ""
	if len(args) > 1 {
		sep, _ = args[1].(string)
	}
	list := reflect.ValueOf(args[0])
	if !list.IsValid() || list.Kind() != reflect.Slice {
		return "", fmt.Errorf("join takes a list, not %s", article(kindOf(args[0])))
	}
	var b strings.Builder
	for i := range list.Len() {
		s, err := scalarText(list.Index(i).Interface())
		if err != nil {
			return "", err
		}
		if i > 0 {
			b.WriteString(sep)
		}
		if b.WriteString(s); b.Len() > maxExprText {
			return "", errTextTooLong
		}
	}
	return b.String(), nil
}

// bindingCounter counts what can repeat work inside an expression.
type bindingCounter struct{ n int }

func (c *bindingCounter) Visit(node *ast.Node) {
	switch (*node).(type) {
	case *ast.PredicateNode, *ast.VariableDeclaratorNode:
		c.n++
	}
}

func runBounded(p *vm.Program, env any) (any, error) {
	machine := vm.VM{MemoryBudget: exprMemory}
	return machine.Run(p, env)
}

// kindOf names the kind of an expression's result as recipes call it.
func kindOf(a any) string {
	v := reflect.ValueOf(a)
	switch v.Kind() {
	case reflect.Invalid:
		return Null.String()
	case reflect.Bool:
		return Bool.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return Int.String()
	case reflect.Float32, reflect.Float64:
		return Float.String()
	case reflect.String:
		return String.String()
	case reflect.Slice, reflect.Array:
		return List.String()
	case reflect.Map:
		return Map.String()
	}
	return v.Type().String()
}
