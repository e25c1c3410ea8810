package stage

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
)

// Registry is the list of stage types a program knows.
type Registry struct {
	types map[string]*Type
	names []string
}

var typeName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// NewRegistry checks the given types and makes a registry of them. All mistakes
// in their definitions are reported together.
func NewRegistry(types ...*Type) (*Registry, error) {
	r := &Registry{types: map[string]*Type{}}
	var errs []error
	for _, t := range types {
		switch {
		case t.err != nil:
			errs = append(errs, fmt.Errorf("stage type %q: %w", t.Type, t.err))
		case !typeName.MatchString(t.Type):
			errs = append(errs, fmt.Errorf("stage type %q: the name must be lower-case words joined by hyphens", t.Type))
		case r.types[t.Type] != nil:
			errs = append(errs, fmt.Errorf("stage type %q is defined twice", t.Type))
		case t.Version < 1 || t.Doc == "" || t.Class == "":
			errs = append(errs, fmt.Errorf("stage type %q needs a version of at least 1, a class and a doc text", t.Type))
		case len(t.Outputs) == 0:
			errs = append(errs, fmt.Errorf("stage type %q has no output", t.Type))
		default:
			r.types[t.Type] = t
			r.names = append(r.names, t.Type)
		}
	}
	sort.Strings(r.names)
	return r, errors.Join(errs...)
}

// Lookup returns a stage type by name.
func (r *Registry) Lookup(name string) (*Type, bool) {
	t, ok := r.types[name]
	return t, ok
}

// Names lists the stage types in alphabetical order.
func (r *Registry) Names() []string { return r.names }
