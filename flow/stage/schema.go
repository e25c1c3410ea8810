package stage

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// FieldKind is the kind of a config value.
type FieldKind string

// The kinds.
const (
	KindString FieldKind = "string"
	KindBool   FieldKind = "bool"
	KindInt    FieldKind = "int"
	KindFloat  FieldKind = "float"
	KindPath   FieldKind = "path"
	KindList   FieldKind = "list"
	KindMap    FieldKind = "map"
	KindStruct FieldKind = "object"
	KindAny    FieldKind = "any"
)

// Schema describes one config value; for structs, its fields.
type Schema struct {
	Kind   FieldKind
	Fields []Field // KindStruct
	Elem   *Schema // KindList and KindMap
	Single bool    // KindList of strings that may also be written as one string
	ptr    bool    // the Go field is a pointer: nil means not given
}

// Field is one option of a stage.
type Field struct {
	Name     string
	Doc      string
	Schema   *Schema
	Default  string // as written in the tag; "" where there is none
	HasDef   bool
	Choices  []string
	Min, Max *float64
	Required bool
	Semantic bool
	NamedBy  string // the field whose value names the recipe's task that stands here; "" for others
	def      any    // Default, parsed
	index    []int  // for reflect.Value.FieldByIndex
}

// Field returns the named field.
func (s *Schema) Field(name string) (Field, bool) {
	for _, f := range s.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// Names lists the field names.
func (s *Schema) Names() []string {
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = f.Name
	}
	return names
}

// TypeName is the kind as documentation prints it, such as "list of string".
func (s *Schema) TypeName() string {
	switch s.Kind {
	case KindList:
		if s.Single {
			return "string or list of string"
		}
		return "list of " + s.Elem.TypeName()
	case KindMap:
		return "map of " + s.Elem.TypeName()
	}
	return string(s.Kind)
}

// Names is the type of config fields that take one name or several: a recipe may
// write a string in place of a list of one.
type Names []string

var (
	pathType  = reflect.TypeFor[Path]()
	namesType = reflect.TypeFor[Names]()
)

func schemaOf(t reflect.Type) (*Schema, error) {
	if t == pathType {
		return &Schema{Kind: KindPath}, nil
	}
	if t == namesType {
		return &Schema{Kind: KindList, Elem: &Schema{Kind: KindString}, Single: true}, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		s, err := schemaOf(t.Elem())
		if err != nil {
			return nil, err
		}
		c := *s
		c.ptr = true
		return &c, nil
	case reflect.String:
		return &Schema{Kind: KindString}, nil
	case reflect.Bool:
		return &Schema{Kind: KindBool}, nil
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint64:
		return &Schema{Kind: KindInt}, nil
	case reflect.Float64, reflect.Float32:
		return &Schema{Kind: KindFloat}, nil
	case reflect.Interface:
		return &Schema{Kind: KindAny}, nil
	case reflect.Slice, reflect.Map:
		e, err := schemaOf(t.Elem())
		if err != nil {
			return nil, err
		}
		if t.Kind() == reflect.Slice {
			return &Schema{Kind: KindList, Elem: e}, nil
		}
		if t.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("map keys of %s must be strings", t)
		}
		return &Schema{Kind: KindMap, Elem: e}, nil
	case reflect.Struct:
		return structSchema(t)
	}
	return nil, fmt.Errorf("a config cannot hold a %s", t)
}

func structSchema(t reflect.Type) (*Schema, error) {
	s := &Schema{Kind: KindStruct}
	add := func(f Field) error {
		// encoding/json would drop both or prefer one, depending on their depth.
		if _, dup := s.Field(f.Name); dup {
			return fmt.Errorf("%s has two fields called %q", t, f.Name)
		}
		s.Fields = append(s.Fields, f)
		return nil
	}
	for i := range t.NumField() {
		sf := t.Field(i)
		embedded := sf.Anonymous && sf.Type.Kind() == reflect.Struct
		if !sf.IsExported() {
			if embedded { // encoding/json would see its fields, reflection cannot set them
				return nil, fmt.Errorf("%s embeds %s, which must be exported", t, sf.Type)
			}
			continue
		}
		if embedded { // its fields count as ours, as in encoding/json
			if tag, ok := sf.Tag.Lookup("json"); ok {
				return nil, fmt.Errorf("%s embeds %s with the json tag %q: drop the tag, or the embedding", t, sf.Type, tag)
			}
			e, err := structSchema(sf.Type)
			if err != nil {
				return nil, err
			}
			for _, f := range e.Fields {
				f.index = append([]int{i}, f.index...)
				if err := add(f); err != nil {
					return nil, err
				}
			}
			continue
		}
		// Options such as omitempty would change a config on its way to a worker:
		// a zero would come back as the default.
		name, option, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if option != "" {
			return nil, fmt.Errorf("%s.%s: the json tag must be a name only, without %q", t, sf.Name, option)
		}
		f := Field{
			Name: name, Doc: sf.Tag.Get("doc"),
			Required: sf.Tag.Get("required") == "true", Semantic: sf.Tag.Get("semantic") != "false", NamedBy: sf.Tag.Get("task"), index: []int{i},
		}
		if f.Name == "" || f.Name == "-" {
			return nil, fmt.Errorf("%s.%s needs a json tag", t, sf.Name)
		}
		if f.Doc == "" {
			return nil, fmt.Errorf("%s.%s needs a doc tag", t, sf.Name)
		}
		var err error
		if f.Schema, err = schemaOf(sf.Type); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, sf.Name, err)
		}
		f.Default, f.HasDef = sf.Tag.Lookup("default")
		if c := sf.Tag.Get("choices"); c != "" {
			f.Choices = strings.Split(c, "|")
		}
		for tag, dst := range map[string]**float64{"min": &f.Min, "max": &f.Max} {
			if txt, ok := sf.Tag.Lookup(tag); ok {
				x, err := strconv.ParseFloat(txt, 64)
				if err != nil {
					return nil, fmt.Errorf("%s.%s: %s tag: %w", t, sf.Name, tag, err)
				}
				*dst = &x
			}
		}
		if f.def, err = f.parseDefault(); err != nil {
			return nil, fmt.Errorf("%s.%s: default %q: %w", t, sf.Name, f.Default, err)
		}
		if err := add(f); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readsPath reports whether a path is among the fields that can change the
// result.
func (s *Schema) readsPath() bool {
	switch s.Kind {
	case KindPath:
		return true
	case KindList, KindMap:
		return s.Elem.readsPath()
	}
	for _, f := range s.Fields {
		if f.Semantic && f.Schema.readsPath() {
			return true
		}
	}
	return false
}

// parseDefault reads the default tag; nil where there is none.
func (f Field) parseDefault() (any, error) {
	if !f.HasDef {
		return nil, nil
	}
	if f.Schema.Kind == KindString || f.Schema.Kind == KindPath {
		return f.Default, nil
	}
	var v any
	d := json.NewDecoder(strings.NewReader(f.Default))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

// DefaultOf is the default of a field given by its dotted path, as JSON; "" where
// there is none.
func (s *Schema) DefaultOf(path string) string {
	name, rest, nested := strings.Cut(path, ".")
	if s.Kind == KindList {
		return s.Elem.DefaultOf(rest) // name is an index
	}
	f, ok := s.Field(name)
	switch {
	case !ok:
		return ""
	case nested:
		return f.Schema.DefaultOf(rest)
	case !f.HasDef:
		return ""
	case f.Schema.Kind == KindString:
		return strconv.Quote(f.Default)
	}
	return f.Default
}
