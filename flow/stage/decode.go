package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// FieldError is a problem with one config field.
type FieldError struct {
	Path       []string // field names and list indexes, outermost first
	OnKey      bool     // the problem is the key itself, not its value
	Msg        string
	Candidates []string // what could stand there instead, for a suggestion
	Got        string   // what stands there
}

// Error implements error.
func (e FieldError) Error() string {
	if len(e.Path) == 0 {
		return e.Msg
	}
	return strings.Join(e.Path, ".") + ": " + e.Msg
}

// Invalid returns an error that points at a config field, for Validate methods.
func Invalid(path string, format string, args ...any) error {
	return FieldError{Path: strings.Split(path, "."), Msg: fmt.Sprintf(format, args...)}
}

// FieldErrors takes an error of a Validate or Externals method apart; nil gives
// none. Besides FieldError it knows errors with a method
//
//	ConfigField() (path, msg string)
//
// so that a library that does not know this package can point at a field of the
// options it lends to configs.
func FieldErrors(err error) []FieldError {
	if err == nil {
		return nil
	}
	if m, ok := err.(interface{ Unwrap() []error }); ok {
		var all []FieldError
		for _, e := range m.Unwrap() {
			all = append(all, FieldErrors(e)...)
		}
		return all
	}
	if fe, ok := asFieldError(err); ok {
		return []FieldError{fe}
	}
	return []FieldError{{Msg: err.Error()}}
}

// IsFieldError reports whether err, and each part of a joined one, says what is
// wrong with a field. Other errors say nothing against the recipe.
func IsFieldError(err error) bool {
	if m, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(m.Unwrap(), func(e error) bool { return !IsFieldError(e) })
	}
	_, ok := asFieldError(err)
	return ok
}

func asFieldError(err error) (FieldError, bool) {
	var fe FieldError
	if errors.As(err, &fe) {
		return fe, true
	}
	var named interface {
		error
		ConfigField() (path, msg string)
	}
	if errors.As(err, &named) {
		path, msg := named.ConfigField()
		return FieldError{Path: strings.Split(path, "."), Msg: msg}, true
	}
	return fe, false
}

type decoder struct {
	errs  []FieldError
	moved map[string]string // see MovedFields
}

func (d *decoder) fail(path []string, format string, args ...any) {
	d.errs = append(d.errs, FieldError{Path: slices.Clone(path), Msg: fmt.Sprintf(format, args...)})
}

// value stores tree into dst, which is settable and holds the zero value.
func (d *decoder) value(dst reflect.Value, tree any, s *Schema, path []string) {
	if s.ptr {
		if tree == nil {
			return
		}
		dst.Set(reflect.New(dst.Type().Elem()))
		dst = dst.Elem()
	}
	switch s.Kind {
	case KindStruct:
		d.structure(dst, tree, s, path)
	case KindList:
		d.list(dst, tree, s, path)
	case KindMap:
		d.mapping(dst, tree, s, path)
	case KindAny:
		if !finite(tree) {
			d.fail(path, "holds a number that is not finite")
		} else if tree != nil {
			dst.Set(reflect.ValueOf(tree))
		}
	case KindString, KindPath:
		if t, ok := tree.(string); ok {
			dst.SetString(t)
			return
		}
		d.fail(path, "must be a string, not %s", describe(tree))
	case KindBool:
		if b, ok := tree.(bool); ok {
			dst.SetBool(b)
			return
		}
		d.fail(path, "must be true or false, not %s", describe(tree))
	case KindInt:
		d.integer(dst, tree, path)
	case KindFloat:
		f, ok := number(tree)
		switch {
		case !ok:
			d.fail(path, "must be a number, not %s", describe(tree))
		case math.IsNaN(f) || math.IsInf(f, 0): // JSON has neither
			d.fail(path, "must be a finite number, not %v", f)
		case dst.OverflowFloat(f):
			d.fail(path, "%s is out of range", describe(tree))
		default:
			dst.SetFloat(f)
		}
	}
}

func (d *decoder) integer(dst reflect.Value, tree any, path []string) {
	f, ok := number(tree)
	if !ok || f != math.Trunc(f) {
		d.fail(path, "must be a whole number, not %s", describe(tree))
		return
	}
	if dst.Kind() == reflect.Uint64 {
		u, err := strconv.ParseUint(numberText(tree), 10, 64)
		if err != nil && f >= 0 && f < 1<<64 { // written as 1e6
			u, err = uint64(f), nil
		}
		if err != nil {
			d.fail(path, "must be a whole number from 0 to 2^64-1, not %s", describe(tree))
			return
		}
		dst.SetUint(u)
		return
	}
	i := int64(f)
	if n, err := strconv.ParseInt(numberText(tree), 10, 64); err == nil {
		i = n // exact beyond 2^53
	} else if math.Abs(f) >= 1<<63 {
		d.fail(path, "%s is out of range", describe(tree))
		return
	}
	if dst.OverflowInt(i) {
		d.fail(path, "%s is out of range", describe(tree))
		return
	}
	dst.SetInt(i)
}

func (d *decoder) structure(dst reflect.Value, tree any, s *Schema, path []string) {
	m, ok := tree.(map[string]any)
	if !ok && tree != nil {
		d.fail(path, "must be a map with the fields %s, not %s", strings.Join(s.Names(), ", "), describe(tree))
		return
	}
	for _, k := range sortedKeys(m) {
		if to := d.moved[k]; to != "" && len(path) == 0 {
			d.errs = append(d.errs, FieldError{Path: []string{k}, OnKey: true, Msg: fmt.Sprintf("%s is now %s", k, to)})
		} else if _, ok := s.Field(k); !ok {
			d.errs = append(d.errs, FieldError{
				Path: append(slices.Clone(path), k), OnKey: true,
				Msg: fmt.Sprintf("unknown field %q", k), Got: k, Candidates: s.Names(),
			})
		}
	}
	for _, f := range s.Fields {
		fv := dst.FieldByIndex(f.index)
		v, given := m[f.Name]
		if !given || v == nil {
			if f.Required {
				d.errs = append(d.errs, FieldError{Path: slices.Clone(path), Msg: fmt.Sprintf("field %q is required: %s", f.Name, f.Doc)})
				continue
			}
			if f.def != nil || f.Schema.Kind == KindStruct && !f.Schema.ptr {
				d.value(fv, f.def, f.Schema, append(slices.Clone(path), f.Name))
			}
			continue
		}
		before, fp := len(d.errs), append(slices.Clone(path), f.Name)
		d.value(fv, v, f.Schema, fp)
		if len(d.errs) == before {
			d.constraints(f, fv, fp)
		}
	}
}

func (d *decoder) constraints(f Field, v reflect.Value, path []string) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if len(f.Choices) > 0 {
		check := func(got string, p []string) {
			if !slices.Contains(f.Choices, got) {
				d.errs = append(d.errs, FieldError{Path: p, Msg: fmt.Sprintf("%q is not one of %s", got, strings.TrimPrefix(strings.Join(f.Choices, ", "), ", ")), Got: got, Candidates: f.Choices})
			}
		}
		switch v.Kind() {
		case reflect.String:
			check(v.String(), path)
		case reflect.Slice:
			for i := range v.Len() {
				if v.Index(i).Kind() == reflect.String {
					check(v.Index(i).String(), append(slices.Clone(path), strconv.Itoa(i)))
				}
			}
		}
	}
	x, ok := 0.0, true
	switch {
	case v.CanInt():
		x = float64(v.Int())
	case v.CanUint():
		x = float64(v.Uint())
	case v.CanFloat():
		x = v.Float()
	default:
		ok = false
	}
	if ok && (math.IsNaN(x) || f.Min != nil && x < *f.Min || f.Max != nil && x > *f.Max) {
		d.fail(path, "%v is out of range: %s", x, rangeText(f))
	}
}

func rangeText(f Field) string {
	switch {
	case f.Min != nil && f.Max != nil:
		return fmt.Sprintf("from %v to %v", *f.Min, *f.Max)
	case f.Min != nil:
		return fmt.Sprintf("at least %v", *f.Min)
	case f.Max != nil:
		return fmt.Sprintf("at most %v", *f.Max)
	}
	return "a number"
}

func (d *decoder) list(dst reflect.Value, tree any, s *Schema, path []string) {
	items, ok := tree.([]any)
	if one, single := tree.(string); single && s.Single {
		items, ok = []any{one}, true
	}
	if !ok {
		d.fail(path, "must be a %s, not %s", kindOfList(s), describe(tree))
		return
	}
	out := reflect.MakeSlice(dst.Type(), len(items), len(items))
	for i, it := range items {
		d.value(out.Index(i), it, s.Elem, append(slices.Clone(path), strconv.Itoa(i)))
	}
	dst.Set(out)
}

func kindOfList(s *Schema) string {
	if s.Single {
		return "string or a list"
	}
	return "list"
}

func (d *decoder) mapping(dst reflect.Value, tree any, s *Schema, path []string) {
	m, ok := tree.(map[string]any)
	if !ok {
		d.fail(path, "must be a map, not %s", describe(tree))
		return
	}
	out := reflect.MakeMapWithSize(dst.Type(), len(m))
	for _, k := range sortedKeys(m) {
		e := reflect.New(dst.Type().Elem()).Elem()
		d.value(e, m[k], s.Elem, append(slices.Clone(path), k))
		out.SetMapIndex(reflect.ValueOf(k).Convert(dst.Type().Key()), e)
	}
	dst.Set(out)
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func numberText(tree any) string {
	if n, ok := tree.(json.Number); ok {
		return n.String()
	}
	return fmt.Sprint(tree)
}

func number(tree any) (float64, bool) {
	switch n := tree.(type) {
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	case float64:
		return n, true
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	}
	return 0, false
}

// finite reports whether a tree is free of NaN and infinities.
func finite(tree any) bool {
	switch t := tree.(type) {
	case float64:
		return !math.IsNaN(t) && !math.IsInf(t, 0)
	case []any:
		return !slices.ContainsFunc(t, func(v any) bool { return !finite(v) })
	case map[string]any:
		for _, v := range t {
			if !finite(v) {
				return false
			}
		}
	}
	return true
}

func describe(tree any) string {
	switch t := tree.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("the string %q", t)
	case bool:
		return fmt.Sprintf("%v", t)
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return "the number " + numberText(tree)
}
