package recipe

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/types"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/internal/base/expr"
)

// evaluator computes the ${{ }} of a recipe. Expressions are compiled against
// the declared types, so that a wrong name or type is found even where the
// expression would not be reached.
type evaluator struct {
	sources *diag.Sources
	diags   *diag.List

	names     []string // the namespaces allowed here: params, matrix, env
	params    map[string]*Param
	env       map[string]*string // allow-listed; nil for a variable that is not set
	matrix    map[string]*Value  // the axes of the present leg
	types     types.Map
	programs  map[program]compiled
	paramEnvs map[string]map[string]any // by folder, see runtimeEnv
	envs      map[string]map[string]any // the same with env and the present leg
	computed  int                       // values made by expressions
}

// newEvaluator prepares an evaluator; params may be nil where params are not
// yet known (in their own defaults).
func newEvaluator(sources *diag.Sources, diags *diag.List, params []*Param, env map[string]*string) *evaluator {
	e := &evaluator{sources: sources, diags: diags, env: env, programs: map[program]compiled{},
		paramEnvs: map[string]map[string]any{}, envs: map[string]map[string]any{}, types: types.Map{}}
	envTypes := types.Map{}
	for name, val := range env {
		envTypes[name] = types.String
		if val == nil {
			envTypes[name] = types.Any // so that `env.X ?? "default"` is allowed
		}
	}
	e.types["env"] = envTypes
	e.names = []string{"env"}
	if params != nil {
		e.params = make(map[string]*Param, len(params))
		paramTypes := types.Map{}
		for _, p := range params {
			e.params[p.Name] = p
			paramTypes[p.Name] = p.exprType()
		}
		e.types["params"] = paramTypes
		e.names = []string{"params", "env"}
	}
	return e
}

// exprType is what the checker knows of a param.
func (p *Param) exprType() types.Type {
	if p.Value.IsNull() {
		return types.Any
	}
	switch p.Type {
	case StringParam, PathParam:
		return types.String
	case IntParam:
		return types.Int
	case FloatParam:
		return types.Float64
	case BoolParam:
		return types.Bool
	case ListParam:
		return types.Array(types.Any)
	case MapParam:
		return types.TypeOf(map[string]any{})
	}
	return types.Any
}

// value evaluates every ${{ }} in v. Values without any are returned as they
// are; a value whose expression is wrong becomes a Null that is marked broken.
func (e *evaluator) value(v *Value) *Value {
	if v == nil {
		return nil
	}
	switch v.Kind {
	case String:
		if hasExpr(v.Str) {
			return e.text(v)
		}
	case List:
		items := v.Items
		for i, it := range v.Items {
			if nv := e.value(it); nv != it {
				if &items[0] == &v.Items[0] {
					items = slices.Clone(v.Items)
				}
				items[i] = nv
			}
		}
		if len(items) > 0 && &items[0] != &v.Items[0] {
			c := *v
			c.Items = items
			return &c
		}
	case Map:
		entries := v.Entries
		for i, en := range v.Entries {
			if nv := e.value(en.Val); nv != en.Val {
				if &entries[0] == &v.Entries[0] {
					entries = slices.Clone(v.Entries)
				}
				entries[i].Val = nv
			}
		}
		if len(entries) > 0 && &entries[0] != &v.Entries[0] {
			c := *v
			c.Entries = entries
			return &c
		}
	}
	return v
}

func broken(v *Value) *Value { return &Value{Pos: v.Pos, BaseDir: v.BaseDir, broken: true} }

func (e *evaluator) text(v *Value) *Value {
	pieces, unclosed := splitTemplate(v.Str)
	if unclosed >= 0 {
		e.diags.Add(diag.Errorf(posIn(e.sources, v, unclosed), "expr-syntax", "${{ is not closed").Over(len(exprOpen)).
			WithHelp("end it with }}, or write $${{ for the literal text"))
		return broken(v)
	}
	if p, ok := whole(pieces); ok {
		return e.whole(v, p)
	}
	var b strings.Builder
	ok := true
	for _, p := range pieces {
		if !p.isExpr {
			b.WriteString(p.text)
			continue
		}
		res, good := e.run(v, p, expr.Any)
		if !good {
			ok = false
			continue
		}
		s, err := expr.ToText(res)
		if err != nil {
			e.report(v, p, "expr-type", err.Error(), 0, utf8.RuneCountInString(p.text))
			ok = false
			continue
		}
		b.WriteString(s)
	}
	if !ok {
		return broken(v)
	}
	return &Value{Kind: String, Pos: v.Pos, Str: b.String(), BaseDir: v.BaseDir, prov: e.provenance(v, pieces)}
}

func (e *evaluator) provenance(v *Value, pieces []piece) *provenance {
	if len(pieces) == 0 || !slices.ContainsFunc(pieces, func(p piece) bool { return p.isExpr }) {
		return nil
	}
	return &provenance{expr: v.Str}
}

func (e *evaluator) whole(v *Value, p piece) *Value {
	if space, name, ok := strings.Cut(p.text, "."); ok && (space == "params" || space == "matrix") {
		// Where the name is declared, the value itself, with the positions and
		// folders of its parts; anything else is for the compiler to judge.
		var src *Value
		var param string
		if par := e.params[name]; space == "params" && par != nil {
			if par.Value == nil || par.Value.broken {
				return broken(v) // reported where the param was given
			}
			src, param = par.Value, par.Name
		} else if space == "matrix" {
			src = e.matrix[name]
		}
		if src != nil {
			c := *src
			c.Pos = v.Pos
			c.prov = &provenance{param: param, paramPos: src.Pos, expr: v.Str}
			return &c
		}
	}
	res, ok := e.run(v, p, expr.Any)
	if !ok {
		return broken(v)
	}
	out, err := e.fromAny(res, v.Pos, v.BaseDir, 0)
	if err != nil {
		e.report(v, p, "expr-type", err.Error(), 0, utf8.RuneCountInString(p.text))
		return broken(v)
	}
	out.prov = &provenance{expr: v.Str}
	return out
}

// condition evaluates `when:`: a bool, a ${{ }} or a bare expression. ok is
// false when it was wrong and reported.
func (e *evaluator) condition(v *Value) (result, ok bool) {
	switch v.Kind {
	case Bool:
		return v.Bool, true
	case String:
		p := piece{text: strings.TrimSpace(v.Str), isExpr: true, offset: len(v.Str) - len(strings.TrimLeft(v.Str, " \t\r\n"))}
		if hasExpr(v.Str) {
			pieces, unclosed := splitTemplate(v.Str)
			one, isWhole := whole(pieces)
			if unclosed >= 0 || !isWhole {
				e.diags.Add(diag.Errorf(posIn(e.sources, v, max(unclosed, 0)), "expr-syntax", "a condition is one expression").
					WithHelp("write it without ${{ }}: when: params.full && params.n > 1"))
				return false, false
			}
			p = one
		}
		res, good := e.run(v, p, expr.Bool)
		if !good {
			return false, false
		}
		return res.(bool), true
	}
	if !v.broken {
		e.diags.Errorf(v.Pos, "wrong-type", "`when` must be an expression or a bool, not %s", article(v.Kind.String()))
	}
	return false, false
}

// run compiles and evaluates one expression of the text v.
func (e *evaluator) run(v *Value, p piece, want expr.Want) (any, bool) {
	if strings.TrimSpace(p.text) == "" {
		e.report(v, p, "expr-syntax", "the expression is empty", 0, 1)
		return nil, false
	}
	key := program{p.text, want}
	c, seen := e.programs[key]
	if !seen {
		c.program, c.err = expr.Compile(p.text, expr.Config{Names: e.types, Want: want, Bounds: exprBounds})
		e.programs[key] = c
	}
	if c.err != nil { // reported at each place where it stands
		e.exprError(v, p, c.err)
		return nil, false
	}
	env, good := e.runtimeEnv(v.BaseDir)
	if !good {
		return nil, false
	}
	res, err := c.program.Run(env)
	if err != nil {
		e.exprError(v, p, err)
		return nil, false
	}
	return res, true
}

// exprBounds limit what an expression of a recipe may make.
var exprBounds = expr.Bounds{Elements: 10_000, Text: 64 << 10}

// program names an expression and what it has to give.
type program struct {
	text string
	want expr.Want
}

// compiled is what became of an expression: a program, or what is wrong with it.
type compiled struct {
	program *expr.Program
	err     error
}

// report adds a diagnostic for the runes [from, to) of the expression p in v.
func (e *evaluator) report(v *Value, p piece, code, summary string, from, to int) {
	e.diags.Add(e.at(v, p, code, summary, from, to))
}

func (e *evaluator) at(v *Value, p piece, code, summary string, from, to int) diag.Diagnostic {
	start := posIn(e.sources, v, p.offset+from)
	d := diag.Errorf(start, code, "%s", summary)
	if to > from+1 && start != v.Pos {
		if end := posIn(e.sources, v, p.offset+to-1); end.Line == start.Line && end.Col > start.Col {
			d = d.Over(end.Col - start.Col + 1)
		}
	}
	return d
}

// exprCodes are the codes of diagnostics for mistakes in expressions.
var exprCodes = map[expr.Kind]string{expr.Syntax: "expr-syntax", expr.Type: "expr-type", expr.Unknown: "expr-unknown",
	expr.Limit: "limit", expr.Failed: "expr-eval"}

// exprError reports what is wrong with an expression, at its place.
func (e *evaluator) exprError(v *Value, p piece, err error) {
	var wrong *expr.Error
	if !errors.As(err, &wrong) {
		e.report(v, p, "expr-eval", err.Error(), 0, utf8.RuneCountInString(p.text))
		return
	}
	from, to := wrong.From, wrong.To
	if wrong.Line == 0 && wrong.Kind != expr.Limit {
		to = utf8.RuneCountInString(p.text)
	}
	d := e.at(v, p, exprCodes[wrong.Kind], wrong.Msg, from, to)
	switch {
	case wrong.Kind != expr.Unknown:
	case wrong.Of == "":
		d = e.unknownName(d, wrong.Name)
	default:
		d = e.unknownField(d, wrong.Name, wrong.Of)
	}
	e.diags.Add(d)
}

func (e *evaluator) unknownName(d diag.Diagnostic, name string) diag.Diagnostic {
	d.Summary += " in the expression"
	if e.params[name] != nil {
		return d.WithHelp("write params.%s", name)
	}
	if name == "params" {
		return d.WithHelp("params cannot be used here: they are only known once all of them are read")
	}
	if name == "matrix" {
		return d.WithHelp("this place has no `matrix:`")
	}
	d = d.WithSuggestion(name, slices.Concat(e.names, expr.Functions()))
	if d.Suggestion == "" {
		d = d.WithHelp("an expression here sees %s; text needs quotes", strings.Join(e.names, ", "))
	}
	return d
}

func (e *evaluator) unknownField(d diag.Diagnostic, field, of string) diag.Diagnostic {
	switch of {
	case "params":
		d.Code, d.Summary = "unknown-param", fmt.Sprintf("unknown param %q", field)
		if d = d.WithSuggestion(field, slices.Sorted(maps.Keys(e.params))); d.Suggestion == "" {
			d = d.WithHelp("declare it under `params:`")
		}
	case "env":
		d.Summary = fmt.Sprintf("the environment variable %q is not open to this recipe", field)
		d = d.WithHelp("list it at the top of the recipe: env: [%s]", field)
	case "matrix":
		d.Summary = fmt.Sprintf("unknown matrix axis %q", field)
		d = d.WithSuggestion(field, slices.Sorted(maps.Keys(e.matrix)))
	}
	return d
}

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
