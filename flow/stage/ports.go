package stage

import (
	"fmt"
	"reflect"
	"strings"
)

// PortKind is what flows through a port.
type PortKind string

// The kinds of ports.
const (
	RowsPort PortKind = "rows" // a JSONL file of records
	DirPort  PortKind = "dir"  // a folder
)

// Port is one input or output of a stage type.
type Port struct {
	Name     string
	Kind     PortKind
	Record   string // RowsPort: the record type, such as "problem"
	Doc      string
	Optional bool // inputs only
	Many     bool // inputs only: a list of upstream ports
	index    int
}

// TypeName is the port's type as documentation and diagnostics print it.
func (p Port) TypeName() string {
	t := string(p.Kind)
	if p.Kind == RowsPort {
		t = "rows of " + p.Record
	}
	if p.Many {
		t = "list of " + t
	}
	return t
}

// Accepts reports whether an output port may feed this input port.
func (p Port) Accepts(out Port) bool { return p.Kind == out.Kind && p.Record == out.Record }

func findPort(ports []Port, name string) (Port, bool) {
	for i, p := range ports {
		if p.Name == name || name == "" && i == 0 {
			return p, true
		}
	}
	return Port{}, false
}

// portField is implemented by every type that may be a port field.
type portField interface {
	port() Port
}

var portFieldType = reflect.TypeFor[portField]()

func portsOf(t reflect.Type, output bool) ([]Port, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("ports must be a struct, not %s", t)
	}
	var ports []Port
	for i := range t.NumField() {
		sf := t.Field(i)
		if !sf.IsExported() {
			continue
		}
		ft, many := sf.Type, false
		if ft.Kind() == reflect.Slice && !output {
			ft, many = ft.Elem(), true
		}
		if !ft.Implements(portFieldType) {
			return nil, fmt.Errorf("%s.%s: %s is not a port", t, sf.Name, sf.Type)
		}
		zero := reflect.Zero(ft)
		if ft.Kind() == reflect.Pointer {
			zero = reflect.New(ft.Elem())
		}
		p := zero.Interface().(portField).port()
		if _, isOut := zero.Interface().(outputField); isOut != output {
			return nil, fmt.Errorf("%s.%s: %s is on the wrong side", t, sf.Name, sf.Type)
		}
		opts := strings.Split(sf.Tag.Get("port"), ",")
		p.Name, p.Doc, p.Many, p.index = opts[0], sf.Tag.Get("doc"), many, i
		for _, o := range opts[1:] {
			if o != "optional" || output {
				return nil, fmt.Errorf("%s.%s: port option %q is unknown", t, sf.Name, o)
			}
			p.Optional = true
		}
		if p.Name == "" || p.Doc == "" {
			return nil, fmt.Errorf("%s.%s needs a port tag and a doc tag", t, sf.Name)
		}
		if _, dup := findPort(ports, p.Name); dup {
			return nil, fmt.Errorf("%s: two ports are called %q", t, p.Name)
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// binding is the value for one field of a port struct.
type binding struct {
	index int
	value reflect.Value
}

func bind(dst reflect.Value, bs []binding) error {
	for _, b := range bs {
		f := dst.Field(b.index)
		if !b.value.Type().AssignableTo(f.Type()) {
			return fmt.Errorf("port field %d: cannot assign %s to %s", b.index, b.value.Type(), f.Type())
		}
		f.Set(b.value)
	}
	return nil
}
