package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/expect"
	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/rowexpr"
)

// boundCase is a case with the part of its recipe that it runs.
type boundCase struct {
	*expect.Case
	graph  *graph.Graph
	checks []expected
}

// bindCase loads the recipe as a case wants it and leaves in it what the case needs.
func bindCase(s *suite, c *expect.Case, reg *stage.Registry) (*boundCase, diag.List, *diag.Sources) {
	opts := recipe.Options{Profile: c.Profile, WorkDir: filepath.Dir(s.file.Path)}
	for _, p := range c.Params {
		opts.Set = append(opts.Set, p.Name.Text+"="+p.Text)
	}
	r, diags := recipe.Load(s.recipe, opts)
	if text, ok := s.file.Sources.Text(s.file.Path); ok {
		r.Sources.Add(s.file.Path, []byte(text))
	}
	relocate(diags, c)
	if diags.HasErrors() {
		return nil, diags, r.Sources
	}
	b := &boundCase{Case: c}
	wanted := map[*recipe.Stage]bool{}
	var targets [][]target
	for _, check := range c.Checks {
		t := b.find(r, check.Port, &diags)
		targets = append(targets, t)
		for _, t := range t {
			wanted[t.stage] = true
		}
	}
	for _, name := range c.Until {
		for _, t := range b.find(r, name, &diags) {
			wanted[t.stage] = true
		}
	}
	if diags.HasErrors() {
		return nil, diags, r.Sources
	}
	prune(r, wanted)
	g, more := graph.Build(r, reg)
	relocate(more, c)
	diags.Add(more...)
	if g == nil {
		return nil, diags, r.Sources
	}
	b.graph = g
	for i, check := range c.Checks {
		b.bind(check, targets[i], &diags)
	}
	return b, diags, r.Sources
}

// relocate moves what is said of the overrides to their place in the test file.
func relocate(diags diag.List, c *expect.Case) {
	move := func(s *diag.Span) {
		switch {
		case s.Start.File == "--set" && s.Start.Line >= 1 && s.Start.Line <= len(c.Params):
			p := c.Params[s.Start.Line-1]
			at := p.Pos
			if s.Start.Col == 1 {
				at = p.Name.Pos
			}
			*s = diag.At(at)
		case s.Start.File == "--profile":
			*s = diag.At(c.Pos)
		}
	}
	for i := range diags {
		move(&diags[i].Span)
		for k := range diags[i].Related {
			move(&diags[i].Related[k].Span)
		}
	}
}

// target is a stage that a name in a test file means, and its port.
type target struct {
	stage *recipe.Stage
	port  string // "" for the default one
}

// find resolves stage or stage.port. The name of a matrix stage means each of its legs.
func (b *boundCase) find(r *recipe.Recipe, name expect.Name, diags *diag.List) []target {
	legs := func(stage, port string) (out []target) {
		for _, s := range r.Stages {
			if s.Name == stage || s.Base == stage {
				out = append(out, target{s, port})
			}
		}
		return out
	}
	found := legs(name.Text, "")
	if i := strings.LastIndexByte(name.Text, '.'); len(found) == 0 && i > 0 {
		found = legs(name.Text[:i], name.Text[i+1:])
	}
	if len(found) == 0 {
		var names []string
		for _, s := range r.Stages {
			names = append(names, s.Name)
		}
		base, _, _ := strings.Cut(name.Text, ".")
		diags.Add(diag.Errorf(name.Pos, "unknown-stage", "the recipe has no stage %q", base).
			Over(utf8.RuneCountInString(base)).WithSuggestion(base, names))
	}
	return found
}

// prune leaves the wanted stages in a recipe and those that they read from. Nothing is
// saved.
func prune(r *recipe.Recipe, wanted map[*recipe.Stage]bool) {
	var need func(s *recipe.Stage)
	needed := map[*recipe.Stage]bool{}
	need = func(s *recipe.Stage) {
		if s == nil || needed[s] {
			return
		}
		needed[s] = true
		for _, e := range s.From {
			need(r.Stage(e.Stage))
		}
	}
	for s := range wanted {
		need(s)
	}
	r.Stages = slices.DeleteFunc(r.Stages, func(s *recipe.Stage) bool { return !needed[s] })
	for _, s := range r.Stages {
		s.Save = ""
	}
}

// bind finds the ports of a check and looks whether it suits them.
func (b *boundCase) bind(check expect.Check, targets []target, diags *diag.List) {
	for _, t := range targets {
		n := b.graph.Node(t.stage.Name)
		port, ok := n.Type.Output(t.port)
		if !ok {
			var names []string
			for _, p := range n.Type.Outputs {
				names = append(names, p.Name)
			}
			diags.Add(diag.Errorf(check.Port.Pos, "unknown-port", "%s (%s) has no output %q", n.Name, n.Type.Type, t.port).
				Over(utf8.RuneCountInString(check.Port.Text)).WithSuggestion(t.port, names).WithHelp("it has %s", strings.Join(names, ", ")))
			return
		}
		if err := check.CheckPort(port); err != nil {
			d := diag.Errorf(check.Pos, "expect", "%s: %v", check.Kind, err)
			var e *rowexpr.Error
			if errors.As(err, &e) && e.Suggestion != "" {
				d.Summary, d.Suggestion = string(check.Kind)+": "+e.Msg, e.Suggestion
			}
			diags.Add(d)
			return
		}
		b.checks = append(b.checks, expected{check, n.Name, port})
	}
}
