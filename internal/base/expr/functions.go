package expr

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	lang "github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"

	"github.com/distillflow/distillflow/internal/base/text"
)

// builtins are the library's functions that an expression may call. Left out are
// those that read the clock, decode or encode, and those whose cost the bounds do
// not cover.
var builtins = []string{
	"all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "count", "sum",
	"groupBy", "sortBy", "reduce", "len", "type", "abs", "ceil", "floor", "round", "int", "float", "trim", "trimPrefix",
	"trimSuffix", "upper", "lower", "split", "indexOf", "lastIndexOf", "hasPrefix", "hasSuffix", "max", "min", "mean",
	"median", "first", "last", "get", "take", "keys", "values", "reverse", "concat", "sort",
}

// bounded are functions of the library that are replaced by bounded ones.
var bounded = []string{"flatten", "join", "replace", "string", "uniq"}

// Functions lists the functions that an expression may call, in alphabetical
// order.
func Functions() []string { return slices.Sorted(slices.Values(slices.Concat(builtins, bounded))) }

// Names of functions that the language itself cannot spell.
const (
	callTick    = "+tick"
	callAddText = "+text"
	callAddAny  = "+any"
	callEqual   = "+equal"
	callUnequal = "+unequal"
	callIn      = "+in"
)

// usage counts what an evaluation has used up.
type usage struct {
	bounds      Bounds
	steps, text int
}

func (u *usage) step() error {
	if u.steps++; u.steps > maxSteps {
		return fmt.Errorf("the expression takes more than %d steps", maxSteps)
	}
	return nil
}

func (u *usage) grow(bytes int) error {
	if u.text += bytes; u.text > u.bounds.Text || bytes < 0 {
		return fmt.Errorf("the expression makes more than %s of text", text.Size(int64(u.bounds.Text)))
	}
	return nil
}

// sandbox gives the compiler options that every expression gets.
func sandbox(u *usage) []lang.Option {
	opts := []lang.Option{lang.MaxNodes(maxNodes), lang.DisableAllBuiltins()}
	for _, f := range builtins {
		opts = append(opts, lang.EnableBuiltin(f))
	}
	add := func(a ...any) (any, error) { return u.add(a[0], a[1]) }
	return append(opts,
		lang.Function("string", func(a ...any) (any, error) { return ToText(a[0]) }, new(func(any) string)),
		lang.Function("join", func(a ...any) (any, error) { return u.join(a) }, new(func(any, string) string), new(func(any) string)),
		lang.Function("replace", func(a ...any) (any, error) { return u.replace(a[0], a[1], a[2]) }, new(func(string, string, string) string)),
		lang.Function("flatten", func(a ...any) (any, error) { return u.flatten(a[0]) }, new(func(any) []any)),
		lang.Function("uniq", func(a ...any) (any, error) { return u.uniq(a[0]) }, new(func(any) []any)),
		lang.Function(callAddText, add, new(func(string, string) string)),
		lang.Function(callAddAny, add, new(func(any, any) any)),
		lang.Function(callEqual, func(a ...any) (any, error) { return u.equal(a[0], a[1]) }, new(func(any, any) bool)),
		lang.Function(callUnequal, func(a ...any) (any, error) {
			same, err := u.equal(a[0], a[1])
			return !same, err
		}, new(func(any, any) bool)),
		lang.Function(callIn, func(a ...any) (any, error) { return u.in(a[0], a[1]) }, new(func(any, any) bool)),
		lang.Function(callTick, func(...any) (any, error) { return true, u.step() }, new(func() bool)),
		lang.Patch(operators{}), lang.Patch(loops{}),
	)
}

// loops makes every loop body count its runs.
type loops struct{}

func (loops) Visit(node *ast.Node) {
	p, ok := (*node).(*ast.PredicateNode)
	if !ok {
		return
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

// operators turns the operators whose cost depends on their operands into calls
// that count it: a + that may join texts, and comparisons that may go through
// lists. One list may stand in many places of another, so that a small value can
// have very many elements.
type operators struct{}

func (operators) Visit(node *ast.Node) {
	b, ok := (*node).(*ast.BinaryNode)
	if !ok {
		return
	}
	l, r := KindOf(b.Left), KindOf(b.Right)
	nested := mayNest(l) && mayNest(r) && (l == r || l == reflect.Interface || r == reflect.Interface)
	name, result := "", reflect.TypeFor[bool]()
	switch b.Operator {
	case "+":
		switch {
		case l == reflect.String && r == reflect.String:
			name, result = callAddText, reflect.TypeFor[string]()
		case mayBeText(l) && mayBeText(r):
			name, result = callAddAny, nil
		}
	case "==":
		if nested {
			name = callEqual
		}
	case "!=":
		if nested {
			name = callUnequal
		}
	case "in":
		if mayNest(l) && mayNest(r) {
			name = callIn
		}
	}
	if name == "" {
		return
	}
	call := &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: []ast.Node{b.Left, b.Right}}
	if result != nil {
		call.SetType(result)
	}
	call.Callee.SetLocation(b.Location())
	ast.Patch(node, call)
}

func mayBeText(k reflect.Kind) bool { return k == reflect.String || k == reflect.Interface }

func mayNest(k reflect.Kind) bool {
	return k == reflect.Interface || k == reflect.Slice || k == reflect.Array || k == reflect.Map
}

// KindOf is the kind of values that a node of the syntax tree gives;
// [reflect.Interface] where that is not known.
func KindOf(n ast.Node) reflect.Kind {
	if t := n.Type(); t != nil {
		return t.Kind()
	}
	return reflect.Interface
}

func (u *usage) add(a, b any) (sum any, err error) {
	x, ok := a.(string)
	y, too := b.(string)
	if ok && too {
		if err := u.grow(len(x) + len(y)); err != nil {
			return nil, err
		}
		return x + y, nil
	}
	defer func() { // the library reports types that do not add up by a panic
		if r := recover(); r != nil {
			sum, err = nil, fmt.Errorf("%v", r)
		}
	}()
	return runtime.Add(a, b), nil
}

func (u *usage) equal(a, b any) (bool, error) {
	if err := u.step(); err != nil {
		return false, err
	}
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	switch {
	case isList(x) && isList(y):
		if x.Len() != y.Len() {
			return false, nil
		}
		for i := range x.Len() {
			if same, err := u.equal(x.Index(i).Interface(), y.Index(i).Interface()); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case x.Kind() == reflect.Map && x.Type() == reflect.TypeOf(b):
		if x.Len() != y.Len() {
			return false, nil
		}
		for _, k := range x.MapKeys() {
			other := y.MapIndex(k)
			if !other.IsValid() {
				return false, nil
			}
			if same, err := u.equal(x.MapIndex(k).Interface(), other.Interface()); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	}
	return runtime.Equal(a, b), nil
}

func (u *usage) in(a, b any) (is bool, err error) {
	if list := reflect.ValueOf(b); isList(list) {
		for i := range list.Len() {
			if same, err := u.equal(a, list.Index(i).Interface()); err != nil || same {
				return same, err
			}
		}
		return false, nil
	}
	defer func() { // the library reports what holds nothing by a panic
		if r := recover(); r != nil {
			is, err = false, fmt.Errorf("%v", r)
		}
	}()
	return runtime.In(a, b), nil
}

func (u *usage) replace(a, b, c any) (string, error) {
	s, ok1 := a.(string)
	old, ok2 := b.(string)
	with, ok3 := c.(string)
	if !ok1 || !ok2 || !ok3 {
		return "", errors.New("replace takes three texts")
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
	list, err := listOf("join", args[0])
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i := range list.Len() {
		s, err := ToText(list.Index(i).Interface())
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

// flatten gives the elements of a list and of the lists in it. One list may stand
// in many places, so that a small value can become very long.
func (u *usage) flatten(a any) ([]any, error) {
	if _, err := listOf("flatten", a); err != nil {
		return nil, err
	}
	out := []any{}
	var walk func(v any) error
	walk = func(v any) error {
		list := reflect.ValueOf(v)
		if !isList(list) {
			out = append(out, v)
			return nil
		}
		for i := range list.Len() {
			if err := u.step(); err != nil {
				return err
			}
			if err := walk(list.Index(i).Interface()); err != nil {
				return err
			}
		}
		return nil
	}
	return out, walk(a)
}

// uniq gives the elements of a list that equal none before them.
func (u *usage) uniq(a any) ([]any, error) {
	list, err := listOf("uniq", a)
	if err != nil {
		return nil, err
	}
	out := []any{}
	seen := map[any]bool{} // scalars
	var others []any
	for i := range list.Len() {
		v := list.Index(i).Interface()
		known := false
		if key := scalarKey(v); key != nil {
			known, seen[key] = seen[key], true
		} else {
			if known, err = u.in(v, others); err != nil {
				return nil, err
			}
			if !known {
				others = append(others, v)
			}
		}
		if !known {
			out = append(out, v)
		}
	}
	return out, nil
}

// scalarKey is equal for texts, numbers and truth values that are; it is nil for
// other values.
func scalarKey(v any) any {
	switch x := v.(type) {
	case string, bool, int:
		return x
	case float64:
		if n := int(x); float64(n) == x {
			return n
		}
		return x
	}
	return nil
}

func listOf(function string, a any) (reflect.Value, error) {
	list := reflect.ValueOf(a)
	if !isList(list) {
		return list, fmt.Errorf("%s takes a list, not %s", function, Describe(reflect.TypeOf(a)))
	}
	return list, nil
}

func isList(v reflect.Value) bool { return v.Kind() == reflect.Slice || v.Kind() == reflect.Array }

// ToText is a value as text, as the function string and templates give it.
func ToText(a any) (string, error) {
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
	if isList(reflect.ValueOf(a)) {
		return "", errors.New(`a list cannot become text; use join(list, ", ")`)
	}
	return "", fmt.Errorf("%s cannot become text", Describe(reflect.TypeOf(a)))
}
