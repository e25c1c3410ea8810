package chat

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
)

// list is a list whose only element can also be reached from its end: the
// library's own knows x[-1] of two elements and more.
type list []any

// GetItem implements the library's look-up.
func (l list) GetItem(key any) (*exec.Value, bool) {
	i, ok := key.(int)
	if i < 0 {
		i += len(l)
	}
	if !ok || i < 0 || i >= len(l) {
		return exec.AsValue(nil), false
	}
	return exec.AsValue(l[i]), true
}

// toList is the list filter.
func toList(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	out := list{}
	in.Iterate(func(_, _ int, v, _ *exec.Value) bool {
		out = append(out, v.Interface())
		return true
	}, func() {})
	return exec.AsValue(out)
}

// stringMethods are the library's, with lists of ours.
func stringMethods() *exec.MethodSet[string] {
	set := map[string]exec.Method[string]{}
	for name := range strings.FieldsSeq(`capitalize count endswith find format isalnum isalpha isdigit islower isspace
		isupper join ljust lower lstrip partition removeprefix removesuffix replace rfind rjust rpartition rsplit rstrip
		split splitlines startswith strip title upper`) {
		method, ok := builtins.Methods.Str.Get(name)
		if !ok {
			continue
		}
		set[name] = func(self string, v *exec.Value, args *exec.VarArgs) (any, error) {
			in, with := exec.AsValue(self), args
			if name == "join" && len(args.Args) == 1 { // the list is the argument, and self stands between
				in, with = args.Args[0], &exec.VarArgs{Args: []*exec.Value{in}}
			}
			if name == "replace" && len(args.Args) == 2 && len(args.KwArgs) == 0 { // the library demands a count
				args = &exec.VarArgs{Args: append(args.Args[:2:2], exec.AsValue(-1))}
			}
			if err := growth(name, in, with); err != nil {
				return nil, err
			}
			out, err := method(self, v, args)
			if parts := reflect.ValueOf(out); err == nil && parts.Kind() == reflect.Slice {
				l := make(list, parts.Len())
				for i := range l {
					l[i] = fmt.Sprint(parts.Index(i).Interface())
				}
				return l, nil
			}
			return out, err
		}
	}
	return exec.NewMethodSet(set)
}
