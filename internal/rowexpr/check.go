package rowexpr

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/types"

	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/base/suggest"
)

// wholeRow is the language's name for everything an expression sees. Only
// single fields may be taken from it, so that it is known which ones are used.
const wholeRow = "$env"

// checker walks the syntax tree. It collects the fields that an expression uses
// and finds the mistakes that the open row type hides from the library: slips
// in names, unknown functions, and comparisons with null that never hold.
//
// Nodes are told apart by address, because the library may walk the tree more
// than once.
type checker struct {
	src     string
	fields  Fields
	nested  []string // field names of the objects in a row
	locals  map[string]bool
	used    map[*ast.IdentifierNode]bool
	callees map[*ast.IdentifierNode]bool
	opened  map[*ast.IdentifierNode]string // $env -> the field taken from it
	first   *expr.Error
}

func newChecker(src string, f Fields) *checker {
	c := &checker{src: src, fields: f, locals: map[string]bool{}, used: map[*ast.IdentifierNode]bool{},
		callees: map[*ast.IdentifierNode]bool{}, opened: map[*ast.IdentifierNode]string{}}
	for _, t := range f {
		c.nested = append(c.nested, nestedNames(t)...)
	}
	return c
}

func nestedNames(t Type) []string {
	m, ok := t.(types.Map)
	if !ok {
		// The element type of a list is private to the library, its text is not.
		return listed(t.String())
	}
	var names []string
	for k, v := range m {
		if k != types.Extra {
			names = append(names, k)
			names = append(names, nestedNames(v)...)
		}
	}
	return names
}

// listed takes the field names out of a type's text, as in
// "Array{Map{label: string, text: string}}".
func listed(text string) []string {
	if !strings.Contains(text, "Map{") {
		return nil
	}
	var names []string
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("{}, ", r) }) {
		if name, ok := strings.CutSuffix(part, ":"); ok && name != types.Extra {
			names = append(names, name)
		}
	}
	return names
}

// Visit implements the library's visitor; children come before their parents.
func (c *checker) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		c.used[n] = true
	case *ast.VariableDeclaratorNode:
		c.locals[n.Name] = true
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			c.callees[id] = true
			c.function(id)
		} else {
			c.fail(n, expr.Type, "only functions can be called", "")
		}
	case *ast.MemberNode:
		c.member(n)
	case *ast.BinaryNode:
		if n.Operator == "==" || n.Operator == "!=" {
			c.nullCompare(n, n.Left, n.Right)
			c.nullCompare(n, n.Right, n.Left)
		}
	}
}

func (c *checker) fail(n ast.Node, kind expr.Kind, msg, near string) {
	at := n.Location()
	if c.first == nil || at.From < c.first.From {
		c.first = (&expr.Error{Kind: kind, Msg: msg, Suggestion: near}).At(c.src, at.From, at.To)
	}
}

func (c *checker) function(id *ast.IdentifierNode) {
	if all := expr.Functions(); !slices.Contains(all, id.Value) {
		c.fail(id, expr.Unknown, fmt.Sprintf("there is no function %q here", id.Value), suggest.Near(id.Value, all))
	}
}

func (c *checker) member(n *ast.MemberNode) {
	name, constant := n.Property.(*ast.StringNode)
	if id, ok := n.Node.(*ast.IdentifierNode); ok && id.Value == wholeRow {
		if constant {
			c.opened[id] = name.Value
		}
		return
	}
	if !constant || slices.Contains(c.nested, name.Value) {
		return
	}
	if near := suggest.Slip(name.Value, c.nested); near != "" {
		c.fail(n.Property, expr.Unknown, fmt.Sprintf("unknown field %q", name.Value), near)
	}
}

func (c *checker) nullCompare(at, value, null ast.Node) {
	if _, ok := null.(*ast.NilNode); !ok {
		return
	}
	if expr.KindOf(value) != reflect.Interface {
		c.fail(at, expr.Type, fmt.Sprintf("this is never null: it is %s", expr.Describe(value.Type())), "")
	}
}

// problem is the first mistake in the expression.
func (c *checker) problem() *expr.Error {
	for id := range c.used {
		switch _, declared := c.fields[id.Value]; {
		case declared || c.locals[id.Value] || c.callees[id]:
		case id.Value == wholeRow:
			if _, ok := c.opened[id]; !ok {
				c.fail(id, expr.Type, `$env stands for single fields only, as in $env["name"]`, "")
			}
		default:
			if near := suggest.Slip(id.Value, keys(c.fields)); near != "" {
				c.fail(id, expr.Unknown, fmt.Sprintf("unknown field %q", id.Value), near)
			}
		}
	}
	return c.first
}

// fieldNames lists the row's fields that the expression uses.
func (c *checker) fieldNames() []string {
	set := map[string]bool{}
	for id := range c.used {
		name := id.Value
		if name == wholeRow {
			name = c.opened[id]
		}
		if !c.callees[id] && !c.locals[name] {
			set[name] = true
		}
	}
	return keys(set)
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
