package recipe

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/distillflow/distillflow/flow/diag"
)

// runtimeEnv gives the values of params, env and matrix for an expression that
// stands in a text of folder dir. A relative path param is handed over as seen
// from dir, so that "${{ params.data }}/x" means the same file wherever the
// param's value was given. ok is false when a param has no usable value, which
// was reported where it was given.
func (e *evaluator) runtimeEnv(dir string) (env map[string]any, ok bool) {
	if env, ok = e.envs[dir]; ok {
		return env, true
	}
	env = map[string]any{}
	vars := make(map[string]any, len(e.env))
	for name, val := range e.env {
		vars[name] = nil
		if val != nil {
			vars[name] = *val
		}
	}
	env["env"] = vars
	if e.params != nil {
		params, seen := e.paramEnvs[dir]
		if !seen {
			params = make(map[string]any, len(e.params))
			for name, p := range e.params {
				if p.Value == nil || p.Value.broken {
					params = nil
					break
				}
				params[name] = native(p.Value)
				if p.Type == PathParam && p.Value.BaseDir != dir {
					params[name] = absolute(p.Value.Path())
				}
			}
			e.paramEnvs[dir] = params
		}
		if params == nil {
			return nil, false
		}
		env["params"] = params
	}
	if e.matrix != nil {
		axes := make(map[string]any, len(e.matrix))
		for name, v := range e.matrix {
			axes[name] = native(v)
		}
		env["matrix"] = axes
	}
	e.envs[dir] = env // expressions cannot change it
	return env, true
}

func absolute(p string) string {
	if p == "" || hasScheme(p) {
		return p
	}
	if abs, err := filepath.Abs(p); err == nil {
		return abs
	}
	return p
}

// native is Interface with the Go types that expressions compute with.
func native(v *Value) any {
	switch v.Kind {
	case Int:
		return int(v.Int)
	case List:
		out := make([]any, len(v.Items))
		for i, it := range v.Items {
			out[i] = native(it)
		}
		return out
	case Map:
		out := make(map[string]any, len(v.Entries))
		for _, en := range v.Entries {
			out[en.Key] = native(en.Val)
		}
		return out
	}
	return v.Interface()
}

// fromAny turns the result of an expression into a Value; all its parts are at
// the place of the expression.
func (e *evaluator) fromAny(a any, pos diag.Pos, dir string, depth int) (*Value, error) {
	if e.computed++; e.computed > maxValues || depth > maxDepth {
		return nil, errors.New("the expression gives too many values")
	}
	v := &Value{Pos: pos, BaseDir: dir}
	r := reflect.ValueOf(a)
	switch r.Kind() {
	case reflect.Invalid:
	case reflect.Bool:
		v.Kind, v.Bool = Bool, r.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.Kind, v.Int = Int, r.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.Kind, v.Int = Int, int64(r.Uint())
	case reflect.Float32, reflect.Float64:
		v.Kind, v.Float = Float, r.Float()
	case reflect.String:
		v.Kind, v.Str = String, r.String()
	case reflect.Slice, reflect.Array:
		v.Kind = List
		for i := range r.Len() {
			item, err := e.fromAny(r.Index(i).Interface(), pos, dir, depth+1)
			if err != nil {
				return nil, err
			}
			v.Items = append(v.Items, item)
		}
	case reflect.Map:
		v.Kind = Map
		keys := map[string]reflect.Value{}
		var names []string
		for _, k := range r.MapKeys() {
			name := fmt.Sprint(k.Interface())
			keys[name] = r.MapIndex(k)
			names = append(names, name)
		}
		slices.Sort(names) // Go's order of maps is random
		for _, name := range names {
			val, err := e.fromAny(keys[name].Interface(), pos, dir, depth+1)
			if err != nil {
				return nil, err
			}
			v.Entries = append(v.Entries, Entry{Key: name, KeyPos: pos, Val: val})
		}
	default:
		return nil, fmt.Errorf("the expression gives a %s, which a recipe cannot hold", r.Type())
	}
	return v, nil
}
