package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Class says how a stage's result depends on chance.
type Class string

// The classes.
const (
	Pure     Class = "pure"     // same inputs, same bytes
	Seeded   Class = "seeded"   // same inputs and seed, same bytes
	Sampled  Class = "sampled"  // a teacher's answers: pinned by the cache
	Volatile Class = "volatile" // same inputs and seed may differ in bits, as training on CUDA does
)

// UsesSeed reports whether the recipe's seed is part of the key.
func (c Class) UsesSeed() bool { return c == Seeded || c == Volatile }

// Spec describes a stage type.
type Spec struct {
	Type    string // as recipes write it after uses:
	Version int    // raised whenever the same inputs may give other bytes
	Class   Class
	Doc     string // first sentence: a summary; then details
	// RowByRow names the input of rows that may be shared out among several runs of the
	// stage, by shards: in a recipe; "" for none. What such a stage writes for a row, in
	// the order of the rows, depends on that row, the config, the seed and the whole of
	// its other inputs, and on no other row; and what it counts adds up. See [Whole].
	RowByRow string
	// Platform names what the numbers depend on besides the inputs (backend,
	// architecture, SIMD). Nil for stages whose bytes do not depend on it.
	Platform func() string
}

// Type is a stage type: its description and its code.
type Type struct {
	Spec
	Config  *Schema
	Inputs  []Port
	Outputs []Port

	newConfig func() reflect.Value
	defaults  reflect.Value // a C with every field at its default; only read
	inType    reflect.Type
	newOutput map[string]func() outputField
	run       func(ctx context.Context, env *Env, cfg reflect.Value, in, out []binding) error
	err       error                    // a mistake in the definition, reported by NewRegistry
	moved     func(path string) string // see Elsewhere; nil for most
	getenv    func(string) string      // see In; nil: a config has nothing from the environment
}

// Define makes a stage type. C is the config struct, I and O are structs of
// ports. Mistakes in their tags are reported by [NewRegistry].
func Define[C, I, O any](spec Spec, run func(context.Context, *Env, C, I, O) error) *Type {
	t := &Type{Spec: spec}
	cfgType := reflect.TypeFor[C]()
	t.newConfig = func() reflect.Value { return reflect.New(cfgType) }
	t.Config, t.err = schemaOf(cfgType)
	if t.err == nil {
		t.defaults = defaultOf(cfgType, t.Config)
		t.Inputs, t.err = portsOf(reflect.TypeFor[I](), false)
	}
	if t.err == nil {
		t.Outputs, t.err = portsOf(reflect.TypeFor[O](), true)
	}
	_, listed := t.newConfig().Interface().(Externals)
	if t.err == nil && t.Config.readsPath() && !listed {
		t.err = errors.New("its config has a path and no method Externals: the content there would be missing from the cache key")
	}
	if t.err == nil {
		t.err = t.checkRowByRow()
	}
	t.inType = reflect.TypeFor[I]()
	t.newOutput = map[string]func() outputField{}
	for _, p := range t.Outputs {
		ft := reflect.TypeFor[O]().Field(p.index).Type.Elem()
		t.newOutput[p.Name] = func() outputField { return reflect.New(ft).Interface().(outputField) }
	}
	t.run = func(ctx context.Context, env *Env, cfg reflect.Value, in, out []binding) error {
		var i I
		var o O
		if err := bind(reflect.ValueOf(&i).Elem(), in); err != nil {
			return err
		}
		if err := bind(reflect.ValueOf(&o).Elem(), out); err != nil {
			return err
		}
		return run(ctx, env, cfg.Elem().Interface().(C), i, o)
	}
	return t
}

// Input returns the named input port; "" is the default port.
func (t *Type) Input(name string) (Port, bool) { return findPort(t.Inputs, name) }

// Output returns the named output port; "" is the default port.
func (t *Type) Output(name string) (Port, bool) { return findPort(t.Outputs, name) }

// Environ is implemented by pointers to configs that take from the user's environment what a
// recipe leaves open, before they are validated. What they take counts from there on as if
// it stood in the recipe.
type Environ interface {
	Environ(getenv func(string) string)
}

// MovedFields is implemented by configs some of whose fields have another place than they
// had: by their old names, which are no fields any more, the dotted paths of the new ones.
type MovedFields interface {
	MovedFields() map[string]string
}

// Wired is implemented by configs that ask for inputs in ways which ports cannot tell: for
// one that a field makes necessary, or for a certain number. The recipe is checked for it,
// before anything runs.
type Wired interface {
	// Wired says what is wrong with the inputs; sources is how many sources one has.
	Wired(sources func(input string) int) error
}

// In gives the stage type as it is in a user's environment; see [Environ].
func (t *Type) In(getenv func(string) string) *Type {
	c := *t
	c.getenv = getenv
	return &c
}

// Decode checks a config given as a JSON-like tree (map[string]any, []any,
// string, bool, numbers, nil) against C and fills in defaults. All problems are
// returned at once.
func (t *Type) Decode(tree any) (*Config, []FieldError) {
	v := t.newConfig()
	d := decoder{}
	if m, ok := v.Interface().(MovedFields); ok {
		d.moved = m.MovedFields()
	}
	d.value(v.Elem(), tree, t.Config, nil)
	if len(d.errs) > 0 {
		return nil, d.errs
	}
	c := &Config{typ: t, v: v}
	if e, ok := v.Interface().(Environ); ok && t.getenv != nil {
		e.Environ(t.getenv)
	}
	if val, ok := v.Interface().(interface{ Validate() error }); ok {
		if err := val.Validate(); err != nil {
			return nil, FieldErrors(err)
		}
	}
	return c, nil
}

// Config is a decoded, checked config of one stage.
type Config struct {
	typ *Type
	v   reflect.Value // pointer to C
}

// Value returns the config as a C.
func (c *Config) Value() any { return c.v.Elem().Interface() }

// Wired says what is wrong with a stage's inputs, see [Wired].
func (c *Config) Wired(sources func(input string) int) error { return wired(c.v, sources) }

func wired(cfg reflect.Value, sources func(input string) int) error {
	if w, ok := cfg.Interface().(Wired); ok {
		return w.Wired(sources)
	}
	return nil
}

// JSON is the full config with defaults, for a [Task].
func (c *Config) JSON() (json.RawMessage, error) {
	b, err := json.Marshal(c.v.Interface())
	if err != nil {
		return nil, fmt.Errorf("encoding the config of %s: %w", c.typ.Type, err)
	}
	return b, nil
}

// Semantic returns the fields that can change the result and differ from their
// default, as a flat map from dotted path to JSON value. It is what goes into
// the action key.
func (c *Config) Semantic() (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	if err := flatten(c.v.Elem(), c.typ.defaults, c.typ.Config, "", out); err != nil {
		return nil, fmt.Errorf("config of %s: %w", c.typ.Type, err)
	}
	return out, nil
}

// External is a file outside the store that a stage reads.
type External struct {
	Name   string // stable name relative to the configured root; "" for a single named file
	Path   string // where it lies now
	Remote Remote // of a file that comes from elsewhere; zero for one that was always here
	// Aside marks a file that serves to find the others. Its content does not count,
	// and it need not be there.
	Aside bool
}

// Remote tells of a file that comes from elsewhere and is kept in a cache that other
// programs may share.
type Remote struct {
	URL   string // exact name there, such as hf://owner/model@COMMIT/model.safetensors
	Cache string // the cache's folder, in which Path lies
	// SHA256 is the content's, in hex, where that is known without the content. Then
	// the file need not be there until the stage runs and fetches it; whoever fetches
	// it checks it.
	SHA256 string
	Bytes  int64 // size, where SHA256 is known
	Heavy  bool  // too large to hand on with a run, such as the weights of a model
}

// Externals is implemented by configs whose stage reads files outside the
// store. The engine hashes them, in order, into the action key, and checks after
// the run that they are still the same. No two may share a name. A path that does
// not exist is reported as a [FieldError] on the field; other errors, such as a
// network that is down, say nothing against the recipe.
type Externals interface {
	Externals(ctx context.Context) ([]External, error)
}

// Networked is implemented by configs whose Externals may ask the network. The
// engine then asks for them when a run is planned, not when the recipe is checked.
type Networked interface {
	Networked() bool
}

// Externals lists the outside files the stage will read.
func (c *Config) Externals(ctx context.Context) ([]External, error) {
	if e, ok := c.v.Interface().(Externals); ok {
		return e.Externals(ctx)
	}
	return nil, nil
}

// Networked reports whether Externals may ask the network.
func (c *Config) Networked() bool {
	n, ok := c.v.Interface().(Networked)
	return ok && n.Networked()
}

// Requirer is implemented by configs whose stage needs something of the user's
// environment, such as an API key. The engine asks before a run has cost anything, for
// stages whose results are not cached.
type Requirer interface {
	Require(getenv func(string) string) error
}

// Require says what the stage needs of the environment and does not find there.
func (c *Config) Require(getenv func(string) string) error {
	if r, ok := c.v.Interface().(Requirer); ok {
		return r.Require(getenv)
	}
	return nil
}

// Path is a file or folder outside the store.
type Path string

// inputFields gives the Go type behind each input port; for list ports, that of
// an element.
func (t *Type) inputFields() map[string]reflect.Type {
	m := map[string]reflect.Type{}
	for _, p := range t.Inputs {
		ft := t.inType.Field(p.index).Type
		if p.Many {
			ft = ft.Elem()
		}
		m[p.Name] = ft
	}
	return m
}
