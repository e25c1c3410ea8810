package recipe

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/types"

	"github.com/distillflow/distillflow/flow/diag"
)

// axis is one dimension of a matrix.
type axis struct {
	name   string
	values []*Value
}

// leg is one point of a matrix, in the order of its axes.
type leg []Entry

func (l leg) lookup(name string) *Value {
	for _, e := range l {
		if e.Key == name {
			return e.Val
		}
	}
	return nil
}

var plainLegText = regexp.MustCompile(`^[\pL\pN._/:+@-]+$`)

// suffix names a leg: [task=gsm8k,seed=1].
func (l leg) suffix() string {
	if len(l) == 0 {
		return ""
	}
	parts := make([]string, len(l))
	for i, e := range l {
		text := e.Val.text()
		if !plainLegText.MatchString(text) {
			text = strconv.Quote(text)
		}
		parts[i] = e.Key + "=" + text
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// matrix decodes a `matrix:`: a map from axes to lists of scalars, and the keys
// exclude (patterns of legs to leave out) and include (legs to add). ok is
// false when something was reported.
func (d *decoder) matrix(v *Value, ev *evaluator) (legs []leg, ok bool) {
	before := len(*d.diags)
	v = ev.value(v)
	if !d.want(v, Map, "`matrix` maps axes to lists of values") {
		return nil, false
	}
	var axes []axis
	for _, en := range v.Entries {
		if en.Key != "exclude" && en.Key != "include" {
			if a, good := d.axis(en); good {
				axes = append(axes, a)
			}
		}
	}
	if len(*d.diags) > before {
		return nil, false
	}
	total := 1
	for _, a := range axes {
		if total > d.opts.MaxNodes/len(a.values) {
			d.tooManyNodes(v.Pos, 1, "the matrix has more than %d legs")
			return nil, false
		}
		total *= len(a.values)
	}
	if len(axes) > 0 {
		legs = product(axes)
	}
	if ex := v.Lookup("exclude"); !ex.IsNull() && d.want(ex, List, "`exclude` lists legs") {
		good := make([]*Value, 0, len(ex.Items))
		for _, pattern := range ex.Items {
			if d.pattern(pattern, axes) {
				good = append(good, pattern)
			}
		}
		legs = without(legs, good)
	}
	if in := v.Lookup("include"); !in.IsNull() && d.want(in, List, "`include` lists legs") {
		have := make(map[string]bool, len(legs))
		for _, l := range legs {
			have[l.suffix()] = true
		}
		for _, extra := range in.Items {
			if l, good := d.included(extra, axes); good && !have[l.suffix()] {
				have[l.suffix()] = true
				legs = append(legs, l)
			}
		}
		if len(legs) > d.opts.MaxNodes {
			d.tooManyNodes(in.Pos, 1, "the matrix has more than %d legs")
		}
	}
	if len(*d.diags) > before {
		return nil, false
	}
	if len(legs) == 0 {
		d.diags.Errorf(v.Pos, "bad-matrix", "the matrix has no legs")
		return nil, false
	}
	return legs, true
}

func (d *decoder) axis(en Entry) (axis, bool) {
	fail := func(pos diag.Pos, n int, format string, args ...any) (axis, bool) {
		d.diags.Add(diag.Errorf(pos, "bad-matrix", format, args...).Over(n))
		return axis{}, false
	}
	if !paramName.MatchString(en.Key) {
		return fail(en.KeyPos, utf8.RuneCountInString(en.Key), "%q cannot be the name of an axis; use letters, digits and _", en.Key)
	}
	if !d.want(en.Val, List, "an axis is a list of values") {
		return axis{}, false
	}
	if len(en.Val.Items) == 0 {
		return fail(en.Val.Pos, 1, "axis %s has no values", en.Key)
	}
	seen := make(map[string]bool, len(en.Val.Items))
	for _, it := range en.Val.Items {
		if it.broken {
			return axis{}, false
		}
		if it.Kind == List || it.Kind == Map || it.Kind == Null {
			return fail(it.Pos, 1, "a value of axis %s is a text, number or bool, not %s", en.Key, article(it.Kind.String()))
		}
		if seen[it.text()] {
			return fail(it.Pos, it.width(), "axis %s has the value %s twice", en.Key, it.text())
		}
		seen[it.text()] = true
	}
	return axis{name: en.Key, values: en.Val.Items}, true
}

// pattern checks an entry of `exclude`.
func (d *decoder) pattern(v *Value, axes []axis) bool {
	if !d.want(v, Map, "an entry of `exclude` maps axes to values") {
		return false
	}
	names := make([]string, len(axes))
	for i, a := range axes {
		names[i] = a.name
	}
	ok := len(v.Entries) > 0
	if !ok {
		d.diags.Errorf(v.Pos, "bad-matrix", "an empty entry would exclude every leg")
	}
	for _, e := range v.Entries {
		i := slices.Index(names, e.Key)
		switch {
		case i < 0:
			d.diags.Add(diag.Errorf(e.KeyPos, "bad-matrix", "the matrix has no axis %q", e.Key).
				Over(utf8.RuneCountInString(e.Key)).WithSuggestion(e.Key, names))
		case !slices.ContainsFunc(axes[i].values, e.Val.Equal):
			d.diags.Add(diag.Errorf(e.Val.Pos, "bad-matrix", "axis %s has no value %s", e.Key, e.Val.text()).Over(e.Val.width()))
		default:
			continue
		}
		ok = false
	}
	return ok
}

// included turns an entry of `include` into a leg. It names every axis, since a
// leg with fewer could not be told apart; without axes it names its own.
func (d *decoder) included(v *Value, axes []axis) (leg, bool) {
	if !d.want(v, Map, "an entry of `include` maps axes to values") {
		return nil, false
	}
	for _, e := range v.Entries {
		if _, ok := d.axis(Entry{Key: e.Key, KeyPos: e.KeyPos, Val: &Value{Kind: List, Pos: e.Val.Pos, Items: []*Value{e.Val}}}); !ok {
			return nil, false
		}
	}
	if len(axes) == 0 {
		return leg(v.Entries), true
	}
	var out leg
	for _, a := range axes {
		e := v.Entry(a.name)
		if e == nil {
			d.diags.Errorf(v.Pos, "bad-matrix", "the included leg gives no value for axis %s", a.name)
			return nil, false
		}
		out = append(out, *e)
	}
	for _, e := range v.Entries {
		if out.lookup(e.Key) == nil {
			d.diags.Add(diag.Errorf(e.KeyPos, "bad-matrix", "the matrix has no axis %q", e.Key).Over(utf8.RuneCountInString(e.Key)))
			return nil, false
		}
	}
	return out, true
}

// product gives all combinations; the last axis varies fastest.
func product(axes []axis) []leg {
	legs := []leg{nil}
	for _, a := range axes {
		next := make([]leg, 0, len(legs)*len(a.values))
		for _, l := range legs {
			for _, v := range a.values {
				next = append(next, append(slices.Clip(l), Entry{Key: a.name, KeyPos: v.Pos, Val: v}))
			}
		}
		legs = next
	}
	return legs
}

// withMatrix gives an evaluator that knows the axes of the legs.
func (e *evaluator) withMatrix(legs []leg) *evaluator {
	c := *e
	c.programs, c.envs = map[program]compiled{}, map[string]map[string]any{}
	c.types = maps.Clone(e.types)
	axes := types.Map{}
	for _, l := range legs {
		for _, en := range l {
			t := (&Param{Type: inferType(en.Val), Value: en.Val}).exprType()
			if old, seen := axes[en.Key]; seen && !old.Equal(t) {
				t = types.Any
			}
			axes[en.Key] = t
		}
	}
	c.types["matrix"] = axes
	c.names = append(slices.Clip(e.names), "matrix")
	return &c
}

// setLeg sets the leg that expressions see.
func (e *evaluator) setLeg(l leg) {
	e.matrix = make(map[string]*Value, len(l))
	for _, en := range l {
		e.matrix[en.Key] = en.Val
	}
	clear(e.envs)
}
