package expr

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"github.com/distillflow/distillflow/internal/base/text"
)

// Kind is what sort of mistake an [Error] is.
type Kind int

// The kinds of mistakes.
const (
	Syntax  Kind = iota // not an expression
	Type                // an operation or a result of the wrong type
	Unknown             // a name that is not known
	Limit               // too long
	Failed              // the expression is well-formed, but not for these values
)

// Error is a mistake in an expression, or what went wrong when it ran.
type Error struct {
	Kind Kind
	Msg  string
	// From and To bound the characters of the source that are meant, counted
	// from 0; both are 0 where it is the whole.
	From, To     int
	Line, Column int    // of From, counted from 1; 0 where the whole is meant
	Name         string // of Unknown: the name
	Of           string // of Unknown: what the name is looked for in, as written; "" where it stands alone
	Suggestion   string // what was probably meant; "" where that is not known
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Msg
	switch {
	case e.Line > 1:
		s = fmt.Sprintf("line %d, column %d of the expression: %s", e.Line, e.Column, s)
	case e.Column > 0:
		s = fmt.Sprintf("column %d of the expression: %s", e.Column, s)
	}
	if e.Suggestion != "" {
		s += fmt.Sprintf("; did you mean %q?", e.Suggestion)
	}
	return s
}

// At sets the place that an error means.
func (e *Error) At(src string, from, to int) *Error {
	e.From, e.To = from, to
	e.Line, e.Column = 1, 1
	for i, r := range []rune(src) {
		if i >= from {
			break
		}
		e.Column++
		if r == '\n' {
			e.Line, e.Column = e.Line+1, 1
		}
	}
	return e
}

var (
	badToken     = regexp.MustCompile(`^unexpected token (\w+)(?:\("(.*)"\))?`)
	unknownName  = regexp.MustCompile(`^unknown name (\S+)$`)
	unknownField = regexp.MustCompile(`^unknown field (\S+)$`)
	mismatch     = regexp.MustCompile(`\(mismatched types (.+) and (.+)\)$`)
	conversion   = regexp.MustCompile(`^interface conversion: interface \{\} is (\S+), not (\S+)$`)
)

// compileError words an error of the library's compiler.
func compileError(src string, err error) *Error {
	e := worded(src, err)
	if e.Kind == Unknown {
		return e
	}
	e.Kind = Type
	if _, err := parser.Parse(src); err != nil {
		e.Kind = Syntax
	}
	if strings.Contains(e.Msg, "exceeds maximum allowed nodes") {
		e.Kind, e.Msg = Limit, fmt.Sprintf("the expression has too many parts; at most %d nodes of its syntax are allowed", maxNodes)
	}
	return e
}

// runError words an error of the library's machine.
func (p *Program) runError(err error) *Error {
	e := worded(p.src, err)
	e.Kind = Failed
	switch {
	case strings.Contains(e.Msg, "memory budget exceeded"):
		e.Msg = fmt.Sprintf("the expression makes lists of more than %d elements", p.used.bounds.Elements)
	case strings.Contains(e.Msg, "null"):
		e.Msg += ": a value is missing; give it a default, as in (name ?? 0)"
	}
	return e
}

// worded says what the library says in the words of recipes.
func worded(src string, err error) *Error {
	e := &Error{Msg: text.FirstLine(err.Error())}
	var at *file.Error
	if errors.As(err, &at) {
		e.Msg = text.FirstLine(at.Message)
		last := utf8.RuneCountInString(src)
		from := min(max(at.From, 0), last)
		e.At(src, from, min(max(at.To, from), last))
	}
	e.Msg = strings.ReplaceAll(e.Msg, "<nil>", "null")
	if m := badToken.FindStringSubmatch(e.Msg); m != nil {
		e.Msg = fmt.Sprintf("unexpected %q", m[2])
		if m[1] == "EOF" {
			e.Msg = "the expression ends too early"
		}
	}
	if m := unknownName.FindStringSubmatch(e.Msg); m != nil {
		e.Kind, e.Name, e.Msg = Unknown, m[1], fmt.Sprintf("unknown name %q", m[1])
	}
	if m := unknownField.FindStringSubmatch(e.Msg); m != nil {
		e.Kind, e.Name, e.Msg = Unknown, m[1], fmt.Sprintf("unknown field %q", m[1])
		before := strings.TrimRight(string([]rune(src)[:e.From]), " \t?.[")
		e.Of = before[strings.LastIndexAny(before, " \t\n()[]{},;:?!<>=+-*/%|&^")+1:]
	}
	if m := mismatch.FindStringSubmatch(e.Msg); m != nil {
		e.Msg = strings.TrimSuffix(e.Msg, m[0]) + fmt.Sprintf("(between %s and %s)", goType(m[1]), goType(m[2]))
	}
	if m := conversion.FindStringSubmatch(e.Msg); m != nil {
		e.Msg = fmt.Sprintf("%s is needed here, not %s", goType(m[2]), goType(m[1]))
	}
	return e
}

func goType(name string) string {
	for _, v := range []any{false, "", 0, 0.0, []any{}, map[string]any{}} {
		if t := reflect.TypeOf(v); t.String() == name {
			return Describe(t)
		}
	}
	return strings.ReplaceAll(name, "nil", "null")
}

// Describe names a type as messages call it: "text", "a number", "null".
func Describe(t reflect.Type) string {
	if t == nil {
		return "null"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float64, reflect.Float32:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "a value of another kind"
}
