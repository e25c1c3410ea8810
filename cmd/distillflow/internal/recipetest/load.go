package recipetest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/expr"
	"github.com/distillflow/distillflow/internal/base/paths"
)

// Suite is the tests of one recipe.
type Suite struct {
	recipe string
	file   *File
	cases  []*boundCase
}

// Load reads and checks the test files that args name: recipes, test files, or
// folders of them. A case belongs to the tests if only matches its name. What is
// wrong with the files is rendered to problems and comes back as a [diag.List].
func Load(args []string, only *regexp.Regexp, reg *stage.Registry, problems io.Writer) ([]*Suite, error) {
	var suites []*Suite
	var wrong diag.List
	for _, p := range args {
		tests, err := testFiles(p)
		if err != nil {
			return nil, err
		}
		for _, test := range tests {
			s := &Suite{recipe: RecipeFile(test)}
			if TestFile(p) == test {
				s.recipe = p // its name may end in .yml
			}
			var diags diag.List
			s.file, diags = Read(test)
			for _, c := range s.file.Cases {
				if !only.MatchString(c.Name) {
					continue
				}
				b, more, src := bindCase(s, c, reg)
				for _, d := range more { // snippets of the recipe too
					if text, ok := src.Text(d.Span.Start.File); ok {
						s.file.Sources.Add(d.Span.Start.File, []byte(text))
					}
				}
				diags.Add(more...)
				s.cases = append(s.cases, b)
			}
			if len(diags) > 0 {
				if len(wrong) > 0 {
					fmt.Fprintln(problems)
				}
				if err := diags.Render(problems, s.file.Sources); err != nil {
					return nil, err
				}
				wrong.Add(diags...)
			}
			suites = append(suites, s)
		}
	}
	if wrong.HasErrors() {
		return nil, wrong.Err()
	}
	if !slices.ContainsFunc(suites, func(s *Suite) bool { return len(s.cases) > 0 }) {
		return nil, fmt.Errorf("no case has a name that matches %q", only)
	}
	return suites, nil
}

// Graphs lists what the cases of suites run.
func Graphs(suites []*Suite) []*graph.Graph {
	var out []*graph.Graph
	for _, s := range suites {
		for _, c := range s.cases {
			out = append(out, c.graph)
		}
	}
	return out
}

// testFiles finds the tests that an argument names: a recipe, a test file or a folder.
func testFiles(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	if err != nil {
		return nil, fmt.Errorf("no recipe %s: %w", arg, paths.Cause(err))
	}
	if !info.IsDir() {
		if !strings.HasSuffix(arg, Suffix) {
			arg = TestFile(arg)
		}
		if _, err := os.Stat(arg); err != nil {
			return nil, fmt.Errorf("no tests: %s: %w", arg, paths.Cause(err))
		}
		return []string{arg}, nil
	}
	var found []string
	err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != arg && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, Suffix):
			found = append(found, path)
		}
		return nil
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no tests (*%s) below %s", Suffix, arg)
	}
	return found, err
}

// boundCase is a case with the part of its recipe that it runs.
type boundCase struct {
	*Case
	graph  *graph.Graph
	checks []expected
}

// bindCase loads the recipe as a case wants it and leaves in it what the case needs.
func bindCase(s *Suite, c *Case, reg *stage.Registry) (*boundCase, diag.List, *diag.Sources) {
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
func relocate(diags diag.List, c *Case) {
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
func (b *boundCase) find(r *recipe.Recipe, name Name, diags *diag.List) []target {
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
func (b *boundCase) bind(check Check, targets []target, diags *diag.List) {
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
			var e *expr.Error
			if errors.As(err, &e) && e.Suggestion != "" {
				d.Summary, d.Suggestion = string(check.Kind)+": "+e.Msg, e.Suggestion
			}
			diags.Add(d)
			return
		}
		b.checks = append(b.checks, expected{check, n.Name, port})
	}
}

// expected is a check and the port that it looks at.
type expected struct {
	check Check
	node  string
	port  stage.Port
}
