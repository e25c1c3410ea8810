package recipe

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/diag"
)

// Names under which command-line texts appear in diagnostics; the n-th --set
// is line n of the first.
const (
	setFile     = "--set"
	profileFile = "--profile"
)

// resolveParams chooses the value of each param: default, then profile, then
// param files, then --set. Every given value is checked, also those that a
// stronger one replaces, so that a mistake does not wait for its day.
func (d *decoder) resolveParams() {
	r := d.recipe
	for _, p := range r.Params {
		p.Origin = FromDefault
		if p.Default != nil {
			p.Value = d.coerce(p, p.Default)
		}
	}
	for _, prof := range r.Profiles {
		d.apply(prof.Values, FromProfile, prof.Name == d.opts.Profile)
	}
	d.useProfile()
	for _, file := range d.opts.ParamFiles {
		d.paramFile(file)
	}
	d.sets()
	for _, p := range r.Params {
		if p.Value == nil {
			d.diags.Add(diag.Errorf(p.NamePos, "missing-param", "param %s has no value", p.Name).Over(utf8.RuneCountInString(p.Name)).
				WithHelp("give it one with --set %s=VALUE, or declare a default", p.Name))
			p.Value = &Value{Pos: p.NamePos, broken: true}
		}
	}
}

func (d *decoder) useProfile() {
	want := d.opts.Profile
	if want == "" {
		return
	}
	var names []string
	for _, prof := range d.recipe.Profiles {
		names = append(names, prof.Name)
	}
	if slices.Contains(names, want) {
		d.recipe.Profile = want
		return
	}
	d.sources.Add(profileFile, []byte(want))
	dg := diag.Errorf(diag.Pos{File: profileFile, Line: 1, Col: 1}, "unknown-profile", "%s has no profile %q", d.recipe.File, want).
		Over(utf8.RuneCountInString(want)).WithSuggestion(want, names)
	if len(names) == 0 {
		dg = dg.WithHelp("the recipe declares no `profiles:`")
	} else if dg.Suggestion == "" {
		dg = dg.WithHelp("the profiles are %s", strings.Join(names, ", "))
	}
	d.diags.Add(dg)
}

// apply checks values for params and, when use is set, puts them in place.
func (d *decoder) apply(values []Entry, origin Origin, use bool) {
	ev := newEvaluator(d.sources, d.diags, nil, d.envValues)
	for _, en := range values {
		p := d.findParam(en.Key, en.KeyPos)
		if p == nil {
			continue
		}
		v := d.coerce(p, ev.value(en.Val))
		if use {
			p.Value, p.Origin = v, origin
		}
	}
}

// findParam looks a param up by name; an unknown one is reported.
func (d *decoder) findParam(name string, pos diag.Pos) *Param {
	if p := d.recipe.Param(name); p != nil {
		return p
	}
	var names []string
	for _, p := range d.recipe.Params {
		names = append(names, p.Name)
	}
	dg := diag.Errorf(pos, "unknown-param", "unknown param %q", name).Over(utf8.RuneCountInString(name)).WithSuggestion(name, names)
	switch {
	case dg.Suggestion != "":
	case len(names) == 0:
		dg = dg.WithHelp("the recipe declares no `params:`")
	default:
		dg = dg.WithHelp("the params are %s", strings.Join(names, ", "))
	}
	d.diags.Add(dg)
	return nil
}

func (d *decoder) paramFile(file string) {
	src, err := d.opts.ReadFile(file)
	if err != nil {
		d.diags.Errorf(diag.Pos{File: file}, "read", "cannot read the params file: %v", err)
		return
	}
	if !slices.ContainsFunc(d.recipe.Files, func(f File) bool { return f.Path == file }) {
		d.recipe.Files = append(d.recipe.Files, File{Path: file, Role: ParamsFile})
	}
	y := &yamlReader{file: file, baseDir: filepath.Dir(file), sources: d.sources, diags: d.diags}
	v := y.read(src, d.opts.MaxBytes)
	if v != nil && d.want(v, Map, "a params file maps param names to values") {
		d.apply(v.Entries, FromFile, true)
	}
}

// sets applies the --set overrides.
func (d *decoder) sets() {
	if len(d.opts.Set) == 0 {
		return
	}
	lines := make([]string, len(d.opts.Set))
	for i, s := range d.opts.Set {
		lines[i] = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
	}
	d.sources.Add(setFile, []byte(strings.Join(lines, "\n")))
	for i, s := range d.opts.Set {
		pos := diag.Pos{File: setFile, Line: i + 1, Col: 1}
		name, text, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			d.diags.Add(diag.Errorf(pos, "bad-set", "%q gives no value", s).Over(utf8.RuneCountInString(s)).
				WithHelp("write --set NAME=VALUE"))
			continue
		}
		p := d.findParam(name, pos)
		if p == nil {
			continue
		}
		v := d.setValue(p, text, pos.Shift(utf8.RuneCountInString(name)+1))
		p.Value, p.Origin = d.coerce(p, v), FromSet
	}
}

// setValue reads the text of a --set as YAML. For a param that holds text,
// anything that is not a YAML string is taken as it stands: an id 007 or a
// model "a: b" needs no quoting of its own inside the shell's.
func (d *decoder) setValue(p *Param, text string, pos diag.Pos) *Value {
	var problems diag.List
	y := &yamlReader{file: setFile, baseDir: d.opts.WorkDir, sources: &diag.Sources{}, diags: &problems}
	v := y.read([]byte(text), d.opts.MaxBytes)
	asText := &Value{Kind: String, Str: text, Pos: pos, BaseDir: d.opts.WorkDir}
	if p.Type == StringParam || p.Type == PathParam {
		if v != nil && v.Kind == String && len(problems) == 0 {
			asText.Str = v.Str
		}
		return asText
	}
	if len(problems) > 0 {
		if p.Type == AnyParam {
			return asText
		}
		d.diags.Add(diag.Errorf(pos, "bad-set", "the value of %s cannot be read: %s", p.Name, problems[0].Summary).
			Over(utf8.RuneCountInString(text)))
		return broken(asText)
	}
	if v == nil {
		return &Value{Pos: pos, BaseDir: d.opts.WorkDir}
	}
	return relocate(v, pos)
}

// relocate moves a value read on its own to the place where its text stands.
func relocate(v *Value, base diag.Pos) *Value {
	c := *v
	c.Pos = diag.Pos{File: base.File, Line: base.Line, Col: base.Col + max(v.Pos.Col-1, 0)}
	if len(v.Items) > 0 {
		c.Items = make([]*Value, len(v.Items))
		for i, it := range v.Items {
			c.Items[i] = relocate(it, base)
		}
	}
	if len(v.Entries) > 0 {
		c.Entries = make([]Entry, len(v.Entries))
		for i, en := range v.Entries {
			kp := diag.Pos{File: base.File, Line: base.Line, Col: base.Col + max(en.KeyPos.Col-1, 0)}
			c.Entries[i] = Entry{Key: en.Key, KeyPos: kp, Val: relocate(en.Val, base)}
		}
	}
	return &c
}
