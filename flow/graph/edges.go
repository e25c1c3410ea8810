package graph

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
)

// find walks a field path through a value. It returns the deepest value it
// reached, the position of the last key, and the path's text.
func find(v *recipe.Value, path []string) (*recipe.Value, diag.Pos, string) {
	var keyPos diag.Pos
	for _, p := range path {
		if v == nil {
			break
		}
		switch v.Kind {
		case recipe.Map:
			e := v.Entry(p)
			if e == nil {
				return v, keyPos, strings.Join(path, ".")
			}
			v, keyPos = e.Val, e.KeyPos
		case recipe.List:
			i, err := strconv.Atoi(p)
			if err != nil || i < 0 || i >= len(v.Items) {
				return v, keyPos, strings.Join(path, ".")
			}
			v = v.Items[i]
		}
	}
	return v, keyPos, strings.Join(path, ".")
}

func (b *builder) edges(n *Node) {
	if n.Type == nil {
		return
	}
	s := n.Stage
	sources := make([][]Source, len(n.Type.Inputs))
	broken := s.Broken // the parser has reported something of it
	for _, e := range s.From {
		at := slices.IndexFunc(n.Type.Inputs, func(p stage.Port) bool { return p.Name == e.Port })
		if e.Port == "" && len(n.Type.Inputs) > 0 {
			at = 0
		}
		if at < 0 {
			broken = true
			b.unknownInput(n, e)
			continue
		}
		in := n.Type.Inputs[at]
		src, ok := b.source(n, in, e)
		if !ok {
			broken = true
			continue
		}
		if len(sources[at]) > 0 && !in.Many {
			broken = true
			b.diags.Add(diag.Errorf(e.Pos, "edge", "input %q of %s takes one source", in.Name, s.Uses))
			continue
		}
		sources[at] = append(sources[at], src)
	}
	pos := s.NamePos
	if s.FromPos.IsValid() {
		pos = s.FromPos
	}
	missing := false
	for i, p := range n.Type.Inputs {
		if src := sources[i]; len(src) > 0 {
			n.Inputs = append(n.Inputs, Input{Port: p, Sources: src})
		} else if !p.Optional && !broken {
			missing = true
			b.diags.Add(diag.Errorf(pos, "missing-input", "stage %q: input %q of %s is not connected", s.Name, p.Name, s.Uses).
				WithHelp("%s", b.connectHelp(n, p)))
		}
	}
	if broken || missing || n.Config == nil {
		return
	}
	err := n.Config.Wired(func(input string) int {
		at := slices.IndexFunc(n.Type.Inputs, func(p stage.Port) bool { return p.Name == input })
		return len(sources[at])
	})
	for _, e := range stage.FieldErrors(err) {
		if len(e.Path) > 0 {
			b.diags.Add(fieldError(n, e)...)
		} else {
			b.diags.Add(diag.Errorf(pos, "edge", "%s: %s", s.Uses, e.Msg).WithHelp("`distillflow stages %s` shows its inputs", s.Uses))
		}
	}
}

func (b *builder) unknownInput(n *Node, e recipe.Edge) {
	if len(n.Type.Inputs) == 0 {
		b.diags.Add(diag.Errorf(e.PortPos, "edge", "%s takes no input", n.Type.Type).WithHelp("remove `from:`"))
		return
	}
	var names []string
	for _, p := range n.Type.Inputs {
		names = append(names, p.Name)
	}
	b.diags.Add(diag.Errorf(e.PortPos, "edge", "%s has no input %q", n.Type.Type, e.Port).Over(len(e.Port)).
		WithSuggestion(e.Port, names).WithHelp("its inputs are %s", strings.Join(names, ", ")))
}

func (b *builder) source(n *Node, in stage.Port, e recipe.Edge) (Source, bool) {
	from := b.g.byName[e.Stage]
	if from == nil {
		b.diags.Add(diag.Errorf(e.Pos, "edge", "there is no stage %q", e.Stage).Over(len([]rune(e.Stage))).
			WithSuggestion(e.Stage, b.otherNames(n)))
		return Source{}, false
	}
	if from.Type == nil {
		return Source{}, false // its own error says enough
	}
	out, ok := from.Type.Output(e.OutPort)
	if !ok {
		var names []string
		for _, p := range from.Type.Outputs {
			names = append(names, p.Name)
		}
		b.diags.Add(diag.Errorf(e.OutPos, "edge", "stage %q (%s) has no output %q", from.Name, from.Type.Type, e.OutPort).
			Over(len([]rune(e.OutPort))).WithSuggestion(e.OutPort, names).WithHelp("its outputs are %s", strings.Join(names, ", ")))
		return Source{}, false
	}
	if !in.Accepts(out) {
		b.diags.Add(diag.Errorf(e.Pos, "edge", "%s.%s gives %s, but input %q of %s takes %s",
			from.Name, out.Name, out.TypeName(), in.Name, n.Type.Type, in.TypeName()).
			Over(len([]rune(e.Ref()))).WithHelp("%s", b.connectHelp(n, in)))
		return Source{}, false
	}
	return Source{Node: from, Port: out}, true
}

// otherNames lists the other stages for a suggestion.
func (b *builder) otherNames(n *Node) []string {
	if !b.helpful() {
		return nil
	}
	if b.names == nil {
		for _, other := range b.g.Nodes {
			b.names = append(b.names, other.Name)
		}
	}
	i := slices.Index(b.names, n.Name)
	return slices.Concat(b.names[:i], b.names[i+1:])
}

// connectHelp names the outputs of the recipe that would fit.
func (b *builder) connectHelp(n *Node, in stage.Port) string {
	if !b.helpful() {
		return "`distillflow stages` shows what each type gives"
	}
	var fit []string
	for _, other := range b.g.Nodes {
		if other == n || other.Type == nil {
			continue
		}
		for _, out := range other.Type.Outputs {
			if !in.Accepts(out) {
				continue
			}
			if len(fit) == 8 {
				return "these outputs fit: " + strings.Join(fit, ", ") + ", ..."
			}
			fit = append(fit, other.Name+"."+out.Name)
		}
	}
	if len(fit) == 0 {
		return fmt.Sprintf("no stage of this recipe gives %s", in.TypeName())
	}
	return "these outputs fit: " + strings.Join(fit, ", ")
}

// sort orders the nodes so that each stands behind its sources; among those
// that could come next, the one written first does. It reports cycles.
func (b *builder) sort() {
	nodes := b.g.Nodes
	state := make(map[*Node]int, len(nodes)) // 1: on the way, 2: placed
	order := make([]*Node, 0, len(nodes))
	type frame struct {
		n    *Node
		deps []*Node
	}
	for _, root := range nodes {
		if state[root] != 0 {
			continue
		}
		// An explicit stack: a recipe of 100,000 stages in a row must not
		// exhaust anything.
		state[root] = 1
		stack := []frame{{root, root.Deps()}}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.deps) == 0 {
				state[top.n] = 2
				top.n.index = len(order)
				order = append(order, top.n)
				stack = stack[:len(stack)-1]
				continue
			}
			d := top.deps[0]
			top.deps = top.deps[1:]
			switch state[d] {
			case 0:
				state[d] = 1
				stack = append(stack, frame{d, d.Deps()})
			case 1:
				var chain []string
				at := slices.IndexFunc(stack, func(f frame) bool { return f.n == d })
				for _, f := range stack[at:] {
					chain = append(chain, f.n.Name)
				}
				b.cycle(top.n, d, append(chain, d.Name))
			}
		}
	}
	b.g.Nodes = order
}

func (b *builder) cycle(n, dep *Node, chain []string) {
	pos := n.Stage.FromPos
	for _, e := range n.Stage.From {
		if e.Stage == dep.Name {
			pos = e.Pos
		}
	}
	b.diags.Add(diag.Errorf(pos, "cycle", "the stages wait for each other: %s", strings.Join(chain, " <- ")).
		Over(len([]rune(dep.Name))).WithHelp("remove one of these edges"))
}
