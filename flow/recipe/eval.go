package recipe

import (
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
