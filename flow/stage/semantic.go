package stage

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
)

// defaultOf gives the value of a type whose every field stands at its default.
func defaultOf(t reflect.Type, s *Schema) reflect.Value {
	v := reflect.New(t).Elem()
	d := decoder{} // complaints about required fields do not matter here
	d.value(v, nil, s, nil)
	return v
}

// flatten collects the semantic leaves of v that differ from def.
func flatten(v, def reflect.Value, s *Schema, prefix string, out map[string]json.RawMessage) error {
	for _, f := range s.Fields {
		if !f.Semantic {
			continue
		}
		fv, fd := v.FieldByIndex(f.index), def.FieldByIndex(f.index)
		name := prefix + f.Name
		switch {
		case f.Schema.Kind == KindPath:
			// Its content is in the key as an external file. Which of several
			// paths was given is not, where a stage can do without.
			if given := reflect.Indirect(fv); !f.Required && given.IsValid() && given.String() != "" {
				out[name] = json.RawMessage(`"(given)"`)
			}
		case f.Schema.Kind == KindStruct && !f.Schema.ptr:
			if err := flatten(fv, fd, f.Schema, name+".", out); err != nil {
				return err
			}
		case reflect.DeepEqual(fd.Interface(), fv.Interface()) || emptyBoth(fd, fv):
		case f.Schema.Kind == KindList && f.Schema.Elem.Kind == KindStruct && !f.Schema.Elem.ptr:
			// One entry a field, so that what changed in which element has a name.
			out[name+".len"] = json.RawMessage(strconv.Itoa(fv.Len()))
			elem := defaultOf(fv.Type().Elem(), f.Schema.Elem)
			for i := range fv.Len() {
				if err := flatten(fv.Index(i), elem, f.Schema.Elem, name+"."+strconv.Itoa(i)+".", out); err != nil {
					return err
				}
			}
		default:
			tree, err := semanticTree(fv, f.Schema)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			b, err := json.Marshal(tree)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			out[name] = b
		}
	}
	return nil
}

// emptyBoth reports whether both are lists or maps without elements: [] is no
// other config than no list at all.
func emptyBoth(a, b reflect.Value) bool {
	return (a.Kind() == reflect.Slice || a.Kind() == reflect.Map) && a.Len() == 0 && b.Len() == 0
}

// semanticTree is the part of a value that counts for the key, where flatten
// gives it no names of its own: inside maps, nested lists and pointers.
func semanticTree(v reflect.Value, s *Schema) (any, error) {
	if s.ptr {
		if v.IsNil() {
			return nil, nil
		}
		v = v.Elem()
	}
	switch s.Kind {
	case KindPath:
		return "(path)", nil
	case KindStruct:
		c := *s
		c.ptr = false
		m := map[string]json.RawMessage{}
		return m, flatten(v, defaultOf(v.Type(), &c), &c, "", m)
	case KindList:
		list := make([]any, v.Len())
		for i := range list {
			var err error
			if list[i], err = semanticTree(v.Index(i), s.Elem); err != nil {
				return nil, err
			}
		}
		return list, nil
	case KindMap:
		m := map[string]any{}
		for it := v.MapRange(); it.Next(); {
			e, err := semanticTree(it.Value(), s.Elem)
			if err != nil {
				return nil, err
			}
			m[it.Key().String()] = e
		}
		return m, nil
	}
	return v.Interface(), nil
}
