package recipe

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/diag"
)

// stages decodes all stages; legs are those of the recipe's own `matrix:`.
func (d *decoder) stages(v *Value, ev *evaluator, legs []leg) {
	if v.broken || v.Kind != Map {
		d.wrongType(v, "`stages` maps stage names to stages")
		return
	}
	for _, en := range v.Entries {
		if !isStageName(en.Key) {
			d.diags.Add(diag.Errorf(en.KeyPos, "bad-name", "%q cannot be the name of a stage", en.Key).
				Over(utf8.RuneCountInString(en.Key)).WithHelp("%s", stageHelp))
		}
		if en.Val.Kind != Map {
			if en.Val.IsNull() {
				d.missingUses(en)
			} else {
				d.wrongType(en.Val, "a stage is a map with `uses:`")
			}
			continue
		}
		if !d.expand(en, ev, legs) {
			return
		}
	}
	if len(v.Entries) == 0 {
		d.diags.Add(diag.Errorf(v.Pos, "missing-key", "the recipe has no stages").WithHelp("%s", topExample))
	}
}

// expand decodes a stage once for each of its legs. It is false if there are too
// many of them.
func (d *decoder) expand(en Entry, ev *evaluator, legs []leg) bool {
	failed := d.matrixFailed
	if m := en.Val.Lookup("matrix"); !m.IsNull() {
		if m.Kind == Bool && !m.Bool {
			legs, failed = nil, false // stands outside the recipe's matrix, to gather its legs
		} else {
			own, ok := d.matrix(m, ev)
			if ok {
				legs, ok = d.combine(m, legs, own)
			}
			failed = failed || !ok
		}
	}
	if failed {
		// Its expressions cannot be judged without the axes; the name stays
		// known to those who refer to it.
		s := &Stage{Name: en.Key, Base: en.Key, NamePos: en.KeyPos, WithPos: en.KeyPos, Broken: true}
		d.recipe.Stages = append(d.recipe.Stages, s)
		return true
	}
	if max(len(legs), 1) > d.opts.MaxNodes-len(d.recipe.Stages) {
		d.tooManyNodes(en.KeyPos, utf8.RuneCountInString(en.Key), "the recipe has more than %d stages")
		return false
	}
	if len(legs) == 0 {
		d.recipe.Stages = append(d.recipe.Stages, d.stage(en, ev))
		return true
	}
	lev := ev.withMatrix(legs)
	each := en.Val.size()
	if m := en.Val.Lookup("matrix"); m != nil {
		each -= m.size()
	}
	if d.legValues += each * len(legs); d.legValues > maxMatrixValues {
		d.diags.Add(diag.Errorf(en.KeyPos, "limit", "with stage %s, the legs of the recipe's matrices have more than %d values", en.Key, maxMatrixValues).
			Over(utf8.RuneCountInString(en.Key)))
		return false
	}
	for _, l := range legs {
		lev.setLeg(l)
		before := len(*d.diags)
		s := d.stage(en, lev)
		s.Leg, s.Name = l, s.Base+l.suffix()
		d.diags.Of(before, diag.Leg{Stage: s.Base, Name: s.Name, Number: len(d.recipe.Stages)})
		d.recipe.Stages = append(d.recipe.Stages, s)
	}
	return true
}

func (d *decoder) tooManyNodes(pos diag.Pos, width int, format string) {
	d.diags.Add(diag.Errorf(pos, "limit", format, d.opts.MaxNodes).Over(width).
		WithHelp("if you mean that, give the recipe a higher `max_nodes:`"))
}

// combine multiplies the recipe's legs by a stage's own; false after a report.
func (d *decoder) combine(m *Value, outer, own []leg) ([]leg, bool) {
	if len(outer) == 0 {
		return own, true
	}
	for _, e := range own[0] {
		if outer[0].lookup(e.Key) != nil {
			d.diags.Errorf(m.Pos, "bad-matrix", "the recipe's matrix has an axis %s already", e.Key)
			return nil, false
		}
	}
	if len(outer) > d.opts.MaxNodes/len(own) {
		d.tooManyNodes(m.Pos, 1, "the matrix has more than %d legs")
		return nil, false
	}
	legs := make([]leg, 0, len(outer)*len(own))
	for _, o := range outer {
		for _, l := range own {
			legs = append(legs, slices.Concat(o, l))
		}
	}
	return legs, true
}

func (d *decoder) missingUses(en Entry) {
	d.diags.Add(diag.Errorf(en.KeyPos, "missing-key", "stage %s does not say what it `uses:`", en.Key).
		Over(utf8.RuneCountInString(en.Key)).
		WithHelp("add uses: TYPE; `distillflow stages` lists the types"))
}

// stage decodes one stage. It gives a Stage even when parts of it are wrong, so
// that references to it do not become errors of their own.
func (d *decoder) stage(en Entry, ev *evaluator) *Stage {
	s := &Stage{Name: en.Key, Base: en.Key, NamePos: en.KeyPos, WithPos: en.KeyPos}
	hasUses, hasRetries, before := false, false, len(*d.diags)
	for _, f := range en.Val.Entries {
		switch f.Key {
		case "uses":
			hasUses = true
			if v := ev.value(f.Val); d.want(v, String, "`uses` names a stage type") {
				s.Uses, s.UsesPos = v.Str, f.Val.Pos
			}
		case "from":
			s.FromPos = f.Val.Pos
			d.from(s, ev.value(f.Val))
		case "with":
			s.WithPos = f.KeyPos
			if v := ev.value(f.Val); !v.IsNull() && d.want(v, Map, "`with` maps config fields to values") {
				s.With = v
			}
		case "save":
			if v := ev.value(f.Val); !v.IsNull() && d.want(v, String, "`save` is a file or folder") {
				s.Save, s.SavePos, s.SaveDir = v.Str, f.Val.Pos, v.BaseDir
			}
		case "when":
			if f.Val.IsNull() {
				continue
			}
			s.When = strings.TrimSpace(f.Val.Str)
			if on, ok := ev.condition(f.Val); ok {
				s.Skip = !on
			}
		case "matrix": // see expand
		case "stream":
			d.stream(s, ev.value(f.Val), f.Val.Pos)
		case "timeout":
			d.timeout(s, ev.value(f.Val))
		case "retries":
			hasRetries = true
			d.retries(s, ev.value(f.Val))
		case "shards":
			d.shards(s, ev.value(f.Val), f.Val.Pos)
		case "resources":
			d.resources(s, ev.value(f.Val))
		case "retry":
			d.growth(s, ev.value(f.Val))
		case "executor":
			if v := ev.value(f.Val); !v.IsNull() && d.want(v, String, "`executor` names what runs the stage, such as local or slurm") {
				s.Executor, s.ExecutorPos = v.Str, f.Val.Pos
			}
		default:
			dg := d.unknownKey(f, "a stage", stageKeys)
			if dg.Suggestion == "" {
				dg = dg.WithHelp("the keys of a stage are %s; config fields belong under `with:`", strings.Join(stageKeys, ", "))
			}
			d.diags.Add(dg)
		}
	}
	if !hasUses {
		d.missingUses(en)
	}
	if s.Growth != (Growth{}) && !hasRetries {
		s.Retries = growthRetries
	}
	s.Broken = len(*d.diags) > before
	return s
}

// from decodes the edges of a stage: a reference, a list of references, or a
// map from input ports to those.
func (d *decoder) from(s *Stage, v *Value) {
	switch v.Kind {
	case Map:
		for _, en := range v.Entries {
			if !isStageName(en.Key) {
				d.diags.Add(diag.Errorf(en.KeyPos, "bad-edge", "%q cannot be the name of a port", en.Key).Over(utf8.RuneCountInString(en.Key)).
					WithHelp("write from: {PORT: STAGE.PORT}"))
				continue
			}
			d.refs(s, en.Key, en.KeyPos, en.Val)
		}
	case Null:
		if !v.broken {
			d.diags.Add(diag.Errorf(v.Pos, "bad-edge", "`from` is empty").WithHelp("name a stage, or leave `from` out"))
		}
	default:
		d.refs(s, "", diag.Pos{}, v)
	}
}

func (d *decoder) refs(s *Stage, port string, portPos diag.Pos, v *Value) {
	if v.Kind != List {
		d.ref(s, port, portPos, v, false)
		return
	}
	if len(v.Items) == 0 {
		d.diags.Errorf(v.Pos, "bad-edge", "the list of inputs is empty")
	}
	for _, it := range v.Items {
		d.ref(s, port, portPos, it, true)
	}
}

func (d *decoder) ref(s *Stage, port string, portPos diag.Pos, v *Value, inList bool) {
	if v.broken {
		return
	}
	if v.Kind != String {
		d.diags.Add(diag.Errorf(v.Pos, "bad-edge", "an input is written STAGE or STAGE.PORT, not as %s", article(v.Describe())))
		return
	}
	at := func(rune int) diag.Pos {
		if v.prov != nil {
			return v.Pos
		}
		return posIn(d.sources, v, rune)
	}
	stage, out, dotted := strings.Cut(v.Str, ".")
	e := Edge{Port: port, PortPos: portPos, Stage: stage, OutPort: out, Pos: at(0), InList: inList}
	e.OutPos = e.Pos
	if dotted {
		e.OutPos = at(utf8.RuneCountInString(stage) + 1)
	}
	if port == "" {
		e.PortPos = e.Pos
	}
	bad := func(pos diag.Pos, n int, format string, args ...any) diag.Diagnostic {
		dg := diag.Errorf(pos, "bad-edge", format, args...)
		if v.prov == nil {
			dg = dg.Over(n)
		}
		return dg.WithHelp("an input is written STAGE or STAGE.PORT")
	}
	switch {
	case v.Str == "":
		d.diags.Add(bad(v.Pos, 1, "the reference is empty"))
	case !isStageName(stage):
		dg := bad(e.Pos, utf8.RuneCountInString(v.Str), "%q does not refer to a stage", v.Str)
		for _, sep := range []string{"/", ":", "#", " "} {
			if fixed := strings.Replace(v.Str, sep, ".", 1); validRef(fixed) {
				dg.Suggestion = fixed
				break
			}
		}
		d.diags.Add(dg)
	case dotted && out == "":
		dg := bad(e.Pos, utf8.RuneCountInString(v.Str), "the output port after the dot is missing")
		dg.Suggestion = stage
		d.diags.Add(dg)
	case dotted && !isStageName(out):
		d.diags.Add(bad(e.OutPos, utf8.RuneCountInString(out), "%q cannot be the name of a port", out))
	case stage == s.Base:
		d.diags.Add(diag.Errorf(e.Pos, "cycle", "stage %s takes its own output as input", s.Name).Over(utf8.RuneCountInString(stage)))
	default:
		s.From = append(s.From, e)
	}
}

func validRef(s string) bool {
	stage, out, dotted := strings.Cut(s, ".")
	return isStageName(stage) && (!dotted || isStageName(out))
}
