package recipe

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/diag"
)

// Kind is the type of a Value.
type Kind uint8

// The kinds of values.
const (
	Null Kind = iota
	Bool
	Int
	Float
	String
	List
	Map
)

// String gives the name of the kind as error messages use it.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "bool"
	case Int:
		return "int"
	case Float:
		return "float"
	case String:
		return "string"
	case List:
		return "list"
	case Map:
		return "map"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Value is a value of a recipe with its position. A Value handed out by Parse
// is shared and must not be changed.
type Value struct {
	Kind  Kind
	Bool  bool
	style style // how a scalar was written, for positions inside it

	// broken marks the stand-in for a value that could not be computed; the
	// reason was reported, so that nothing further is said about it.
	broken bool

	Pos diag.Pos

	Int     int64
	Float   float64
	Str     string   // for String: the value; for other scalars: the text as written
	Items   []*Value // for List
	Entries []Entry  // for Map, in file order, keys unique

	// BaseDir is the folder that relative paths in this value resolve against.
	BaseDir string

	prov *provenance // nil for a value written as it stands
}

// provenance says how a computed value came about.
type provenance struct {
	param    string
	paramPos diag.Pos
	expr     string
}

// FromParam is the name of the param whose value this is, when it was written as
// one whole ${{ params.NAME }}, else "". ParamPos tells where that value was
// given; Pos stays at the place of use.
func (v *Value) FromParam() string {
	if v == nil || v.prov == nil {
		return ""
	}
	return v.prov.param
}

// ParamPos is where the value of the param FromParam was given: its default,
// the profile, a params file or --set.
func (v *Value) ParamPos() diag.Pos {
	if v == nil || v.prov == nil {
		return diag.Pos{}
	}
	return v.prov.paramPos
}

// Expr is the text with ${{ }} that the value was computed from, or "".
func (v *Value) Expr() string {
	if v == nil || v.prov == nil {
		return ""
	}
	return v.prov.expr
}

// Entry is one key of a Map.
type Entry struct {
	Key    string
	KeyPos diag.Pos
	Val    *Value
}

// Lookup gives the value under key of a Map, or nil.
func (v *Value) Lookup(key string) *Value {
	if e := v.Entry(key); e != nil {
		return e.Val
	}
	return nil
}

// Entry gives the entry under key of a Map, or nil.
func (v *Value) Entry(key string) *Entry {
	if v == nil || v.Kind != Map {
		return nil
	}
	for i := range v.Entries {
		if v.Entries[i].Key == key {
			return &v.Entries[i]
		}
	}
	return nil
}

// Keys gives the keys of a Map in file order.
func (v *Value) Keys() []string {
	if v == nil {
		return nil
	}
	keys := make([]string, len(v.Entries))
	for i, e := range v.Entries {
		keys[i] = e.Key
	}
	return keys
}

// IsNull reports whether v is nil or Null.
func (v *Value) IsNull() bool { return v == nil || v.Kind == Null }

// Broken reports whether v stands in for a value that could not be computed.
// The reason is among the diagnostics of Parse, so that a checker should say
// nothing more about v. A list or map is broken when a part of it is.
func (v *Value) Broken() bool {
	if v == nil {
		return false
	}
	if v.broken {
		return true
	}
	return slices.ContainsFunc(v.Items, (*Value).Broken) ||
		slices.ContainsFunc(v.Entries, func(e Entry) bool { return e.Val.Broken() })
}

// Interface gives the value as nil, bool, int64, float64, string, []any or
// map[string]any.
func (v *Value) Interface() any {
	if v == nil {
		return nil
	}
	switch v.Kind {
	case Bool:
		return v.Bool
	case Int:
		return v.Int
	case Float:
		return v.Float
	case String:
		return v.Str
	case List:
		out := make([]any, len(v.Items))
		for i, it := range v.Items {
			out[i] = it.Interface()
		}
		return out
	case Map:
		out := make(map[string]any, len(v.Entries))
		for _, e := range v.Entries {
			out[e.Key] = e.Val.Interface()
		}
		return out
	}
	return nil
}

// Path gives a String as a path: unchanged when it is empty, absolute or a
// locator with a scheme (hf://...), otherwise joined to BaseDir.
func (v *Value) Path() string {
	if v == nil || v.Kind != String {
		return ""
	}
	return resolvePath(v.BaseDir, v.Str)
}

// article puts "a" or "an" before the name of a kind or type.
func article(name string) string {
	if name == "null" {
		return name
	}
	if name != "" && strings.ContainsRune("aeiou", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// Describe gives a short text for error messages: the kind and, for scalars,
// the value.
func (v *Value) Describe() string {
	if v == nil {
		return "nothing"
	}
	switch v.Kind {
	case Null:
		return "null"
	case Bool:
		return "bool " + strconv.FormatBool(v.Bool)
	case Int:
		return "int " + strconv.FormatInt(v.Int, 10)
	case Float:
		return "float " + formatFloat(v.Float)
	case String:
		s := []rune(v.Str)
		if len(s) > 40 {
			return "string " + strconv.Quote(string(s[:37])+"...")
		}
		return "string " + strconv.Quote(v.Str)
	case List:
		return fmt.Sprintf("list of %d", len(v.Items))
	case Map:
		return fmt.Sprintf("map of %d", len(v.Entries))
	}
	return v.Kind.String()
}

// size counts the values below v, itself included.
func (v *Value) size() int {
	n := 1
	for _, it := range v.Items {
		n += it.size()
	}
	for _, e := range v.Entries {
		n += e.Val.size()
	}
	return n
}

// Equal compares values without positions. An Int equals a Float of the same
// number; the order of map keys does not matter.
func (v *Value) Equal(w *Value) bool {
	if v.IsNull() || w.IsNull() {
		return v.IsNull() && w.IsNull()
	}
	if v.Kind != w.Kind {
		if v.Kind == Int && w.Kind == Float {
			return float64(v.Int) == w.Float
		}
		return v.Kind == Float && w.Kind == Int && v.Float == float64(w.Int)
	}
	switch v.Kind {
	case Bool:
		return v.Bool == w.Bool
	case Int:
		return v.Int == w.Int
	case Float:
		return v.Float == w.Float
	case String:
		return v.Str == w.Str
	case List:
		return slices.EqualFunc(v.Items, w.Items, (*Value).Equal)
	}
	index := func(v *Value) map[string]*Value {
		m := make(map[string]*Value, len(v.Entries))
		for _, e := range v.Entries {
			m[e.Key] = e.Val
		}
		return m
	}
	return maps.EqualFunc(index(v), index(w), (*Value).Equal)
}

func formatFloat(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func endsInSlash(s string) bool { return strings.HasSuffix(s, "/") }

// hasScheme reports whether s is a locator such as hf://owner/name.
func hasScheme(s string) bool {
	i := strings.Index(s, "://")
	if i < 1 {
		return false
	}
	for _, r := range s[:i] {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+-.", r)) {
			return false
		}
	}
	return true
}

func resolvePath(base, p string) string {
	if p == "" || base == "" || filepath.IsAbs(p) || hasScheme(p) {
		return p
	}
	return filepath.Join(base, p)
}
