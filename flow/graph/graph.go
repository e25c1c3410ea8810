// Package graph binds a recipe to stage types: it decodes every config, checks
// every edge, and puts the stages in an order in which they can run. All
// problems of a recipe are reported at once, each at its place in the YAML.
package graph

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
)

// Graph is a bound recipe. It is static: what happened in a run is kept
// elsewhere.
type Graph struct {
	Recipe *recipe.Recipe
	Nodes  []*Node // every node stands behind those it depends on
	byName map[string]*Node
}

// Node is one stage of the graph.
type Node struct {
	Name   string
	Stage  *recipe.Stage
	Type   *stage.Type
	Config *stage.Config
	Inputs []Input
	Skip   bool // when: was false for this stage
	index  int
	deps   []*Node
}

// Input is one connected input port.
type Input struct {
	Port    stage.Port
	Sources []Source // one, but for ports that gather a list
}

// Source is the output that feeds an input.
type Source struct {
	Node *Node
	Port stage.Port
}

// Label names the source as recipes write it.
func (s Source) Label() string { return s.Node.Name + "." + s.Port.Name }

// Index is the node's place in [Graph.Nodes].
func (n *Node) Index() int { return n.index }

// Deps lists the nodes this one reads from, each once, in input order. The list
// is the graph's: do not change it.
func (n *Node) Deps() []*Node { return n.deps }

func (n *Node) setDeps() {
	if len(n.Inputs) == 1 && len(n.Inputs[0].Sources) == 1 { // most nodes of a large graph
		n.deps = []*Node{n.Inputs[0].Sources[0].Node}
		return
	}
	seen := map[*Node]bool{}
	for _, in := range n.Inputs {
		for _, s := range in.Sources {
			if !seen[s.Node] {
				seen[s.Node] = true
				n.deps = append(n.deps, s.Node)
			}
		}
	}
}

// Node returns the named node, or nil.
func (g *Graph) Node(name string) *Node { return g.byName[name] }

// Build binds a recipe. The graph is nil if the list holds an error.
func Build(r *recipe.Recipe, reg *stage.Registry) (*Graph, diag.List) {
	b := builder{reg: reg, g: &Graph{Recipe: r, byName: make(map[string]*Node, len(r.Stages)), Nodes: make([]*Node, 0, len(r.Stages))},
		hasPath: map[*stage.Type]bool{}}
	for i, s := range r.Stages {
		b.about(s, i, func() { b.node(s) })
	}
	for i, n := range b.g.Nodes {
		b.about(n.Stage, i, func() { b.edges(n) })
		n.setDeps()
	}
	b.saves()
	if b.sort(); b.diags.HasErrors() {
		b.diags.Sort()
		return nil, b.diags
	}
	return b.g, b.diags
}

type builder struct {
	reg   *stage.Registry
	g     *Graph
	diags diag.List

	hasPath map[*stage.Type]bool // a field of the type's config, at any depth, is a path
	names   []string             // of all nodes, for suggestions
}

// about says of all that f reports which leg it is about.
func (b *builder) about(s *recipe.Stage, number int, f func()) {
	before := len(b.diags)
	if f(); len(s.Leg) > 0 {
		b.diags.Of(before, diag.Leg{Stage: s.Base, Name: s.Name, Number: number})
	}
}

func (b *builder) readsPath(t *stage.Type) bool {
	has, seen := b.hasPath[t]
	if !seen {
		has = hasPath(t.Config)
		b.hasPath[t] = has
	}
	return has
}

func hasPath(s *stage.Schema) bool {
	switch s.Kind {
	case stage.KindPath:
		return true
	case stage.KindList, stage.KindMap:
		return hasPath(s.Elem)
	}
	return slices.ContainsFunc(s.Fields, func(f stage.Field) bool { return hasPath(f.Schema) })
}

// manyProblems is how many problems get all the help there is. Suggestions look
// at every stage of the recipe; a recipe of 100,000 wrong stages must end, too.
const manyProblems = 50

// typeNames lists the stage types for a suggestion.
func (b *builder) typeNames() []string {
	if !b.helpful() {
		return nil
	}
	return b.reg.Names()
}

func (b *builder) helpful() bool { return len(b.diags) < manyProblems }

func (b *builder) node(s *recipe.Stage) {
	n := &Node{Name: s.Name, Stage: s, Skip: s.Skip}
	if b.g.byName[s.Name] != nil {
		return // the recipe's parser has reported it
	}
	b.g.Nodes = append(b.g.Nodes, n)
	b.g.byName[s.Name] = n
	t, ok := b.reg.Lookup(s.Uses)
	if !ok {
		if s.Uses != "" {
			b.diags.Add(diag.Errorf(s.UsesPos, "unknown-stage", "unknown stage type %q", s.Uses).Over(len([]rune(s.Uses))).
				WithSuggestion(s.Uses, b.typeNames()).WithHelp("`distillflow stages` lists all stage types"))
		}
		return
	}
	n.Type = t
	if s.Stream != "" && !t.Class.UsesSeed() {
		d := diag.Errorf(s.StreamPos, "stream", "%s draws nothing, so stream: changes nothing", t.Type)
		d.Severity = diag.Warning
		b.diags.Add(d.WithHelp("leave it out"))
	}
	b.config(n)
	b.shards(n)
}

// config decodes with: and reports its problems where they stand.
func (b *builder) config(n *Node) {
	s := n.Stage
	var tree any
	task := b.declare(n)
	if task != nil && task.Val.Kind != recipe.Map {
		return // reported by the parser
	}
	if !s.With.IsNull() {
		if s.With.Kind != recipe.Map {
			return // reported by the parser
		}
		tree = s.With.Interface()
	}
	if b.readsPath(n.Type) {
		n.Type.MapPaths(tree, func(field []string, path string) string {
			if v, _, _ := find(s.With, field); v != nil {
				return v.Path()
			}
			return path
		})
	}
	cfg, errs := n.Type.Decode(tree)
	if len(errs) == 0 && !n.Skip && !cfg.Networked() {
		_, err := cfg.Externals(context.Background()) // a look at this machine's files
		errs = stage.FieldErrors(err)
	}
	b.configErrors(n, task, errs)
	n.Config = cfg
}

// configErrors reports what is wrong with a stage's config. A mistake in the declaration
// of its task is the task's: of the reports of all stages that name it, sorting keeps one.
func (b *builder) configErrors(n *Node, task *recipe.Entry, errs []stage.FieldError) {
	f, _ := namedField(n.Type)
	for _, e := range errs {
		switch {
		case task != nil && len(e.Path) > 0 && e.Path[0] == f.Name:
			b.diags.Add(declarationError(n.Type.Type, task, f.Name, e)...)
		case f.NamedBy != "" && len(e.Path) == 1 && e.Path[0] == f.NamedBy && len(b.g.Recipe.Tasks) > 0:
			b.diags.Add(b.unknownTask(n, e)...)
		default:
			b.diags.Add(fieldError(n, e)...)
		}
	}
}

// unknownTask reports the name of a task that the recipe does not declare.
func (b *builder) unknownTask(n *Node, e stage.FieldError) diag.List {
	const most = 12
	var names []string
	for _, t := range b.g.Recipe.Tasks {
		names = append(names, t.Key)
	}
	e.Candidates = slices.Concat(e.Candidates, names)
	if len(names) > most {
		names = append(names[:most], "...")
	}
	all := fieldError(n, e)
	for i, d := range all {
		all[i] = d.WithHelp("the recipe declares %s", strings.Join(names, ", "))
	}
	return all
}

// Resolve asks the network for what the stages name there, such as models of a
// hub. What is wrong with the names comes back as diagnostics, everything else,
// such as a network that is down, as an error.
func (g *Graph) Resolve(ctx context.Context) (diag.List, error) {
	var diags diag.List
	for i, n := range g.Nodes {
		if n.Skip || !n.Config.Networked() {
			continue
		}
		before := len(diags)
		_, err := n.Config.Externals(ctx)
		if err != nil && (ctx.Err() != nil || !stage.IsFieldError(err)) {
			return nil, fmt.Errorf("stage %s: %w", n.Name, err)
		}
		for _, e := range stage.FieldErrors(err) {
			diags.Add(fieldError(n, e)...)
		}
		if len(n.Stage.Leg) > 0 {
			diags.Of(before, diag.Leg{Stage: n.Stage.Base, Name: n.Name, Number: i})
		}
	}
	diags.Sort()
	return diags, nil
}

// namedField is the field of a stage's config that takes a task which the recipe
// declares.
func namedField(t *stage.Type) (stage.Field, bool) {
	i := slices.IndexFunc(t.Config.Fields, func(f stage.Field) bool { return f.NamedBy != "" })
	if i < 0 {
		return stage.Field{}, false
	}
	return t.Config.Fields[i], true
}

// declare gives a stage the declaration of the task that its config names, and returns
// it; nil for none. It stands in with: from then on, at its own place.
func (b *builder) declare(n *Node) *recipe.Entry {
	f, ok := namedField(n.Type)
	if !ok || n.Stage.With.Entry(f.Name) != nil {
		return nil
	}
	name := n.Stage.With.Lookup(f.NamedBy)
	if name == nil || name.Kind != recipe.String {
		return nil
	}
	e := b.g.Recipe.Task(name.Str)
	if e != nil {
		with := *n.Stage.With
		with.Entries = append(slices.Clip(with.Entries), recipe.Entry{Key: f.Name, KeyPos: e.KeyPos, Val: e.Val})
		n.Stage.With = &with
	}
	return e
}

// fieldError places what is wrong with a field in the recipe. It is empty for an
// expression that failed, which has been reported.
func fieldError(n *Node, e stage.FieldError) diag.List {
	return placed(n.Type.Type, n.Stage.With, n.Stage.WithPos, e, "`distillflow stages "+n.Type.Type+"` shows its fields")
}

// declarationError places what is wrong with the declaration of a task. What is not
// there is missed at the task's name.
func declarationError(stageType string, task *recipe.Entry, field string, e stage.FieldError) diag.List {
	said := *task.Val
	said.Pos, e.Path = task.KeyPos, e.Path[1:]
	return placed("task "+task.Key, &said, task.KeyPos, e, fmt.Sprintf("`distillflow stages %s` shows the fields of a task, under %s", stageType, field))
}

// placed reports what is wrong with a field of a map, at the deepest place that is there;
// whole is the place of a map that is not.
func placed(what string, fields *recipe.Value, whole diag.Pos, e stage.FieldError, help string) diag.List {
	v, keyPos, name := find(fields, e.Path)
	if v.Broken() {
		return nil
	}
	pos := whole
	switch {
	case e.OnKey && keyPos.IsValid():
		pos = keyPos
	case v != nil && v.Pos.IsValid():
		pos = v.Pos
	}
	msg := e.Msg
	if name != "" && !e.OnKey {
		msg = name + " " + e.Msg
	}
	d := diag.Errorf(pos, "config", "%s: %s", what, msg)
	if e.OnKey {
		d = d.Over(len([]rune(e.Got)))
	}
	if e.Got != "" {
		d = d.WithSuggestion(e.Got, e.Candidates)
	}
	if v != nil && v.FromParam() != "" && v.ParamPos().IsValid() {
		d = d.WithRelated(diag.At(v.ParamPos()), "the value of params.%s is given here", v.FromParam())
	}
	return diag.List{d.WithHelp("%s", help)}
}
