package recipe

import (
	"slices"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/diag"
)

// maxEdges limits the edges that matrices may make, as a multiple of the limit
// on stages. Legs that gather legs multiply.
const maxEdges = 10

// connect replaces references to stages with a matrix by references to their
// legs. Legs are matched on the axes that both ends have; an axis that only the
// producer has is gathered: all its legs feed the port.
func (d *decoder) connect() {
	groups := map[string]*legIndex{}
	for _, s := range d.recipe.Stages {
		if len(s.Leg) > 0 {
			g := groups[s.Base]
			if g == nil {
				g = &legIndex{}
				groups[s.Base] = g
			}
			g.add(s)
		}
	}
	if len(groups) == 0 {
		return
	}
	edges, limit := 0, maxEdges*d.opts.MaxNodes
	for _, s := range d.recipe.Stages {
		if !slices.ContainsFunc(s.From, func(e Edge) bool { return groups[e.Stage] != nil }) {
			continue
		}
		out := make([]Edge, 0, len(s.From))
		for _, e := range s.From {
			group := groups[e.Stage]
			if group == nil {
				out = append(out, e)
				continue
			}
			before := len(out)
			edges += len(group.shapes) - 1 // each is a look-up
			for _, producer := range group.matching(s.Leg) {
				le := e
				le.Stage, le.Gather = producer.Name, !leg(s.Leg).covers(producer.Leg)
				le.InList = e.InList || le.Gather
				if out = append(out, le); edges+len(out) > limit {
					break
				}
			}
			if len(out) == before {
				d.diags.Add(diag.Errorf(e.Pos, "bad-edge", "%s has no leg that matches %s", e.Stage, s.Name).
					WithHelp("check `exclude` of both matrices"))
				s.Broken = true
			}
		}
		if edges += len(out); edges > limit {
			d.diags.Errorf(s.FromPos, "limit", "the matrix makes more than %d edges", limit)
			return
		}
		s.From = out
	}
}

// legIndex finds the legs of one stage that agree with a leg of another without
// looking at all of them: 100,000 legs that each read their counterpart are
// 100,000 look-ups, not their square.
type legIndex struct {
	shapes []*legShape // nearly always one: all legs of a matrix have the same axes
	by     map[string]*legShape
	count  int
}

// legShape holds the legs with one set of axes.
type legShape struct {
	axes  []string
	legs  []placed
	index map[string]map[string][]placed // by names of axes, then by their values
}

type placed struct {
	*Stage
	at int // among all legs of the stage
}

func (x *legIndex) add(s *Stage) {
	names := make([]string, len(s.Leg))
	for i, e := range s.Leg {
		names[i] = e.Key
	}
	sig := strings.Join(names, ",")
	shape := x.by[sig]
	if shape == nil {
		if x.by == nil {
			x.by = map[string]*legShape{}
		}
		shape = &legShape{axes: names, index: map[string]map[string][]placed{}}
		x.by[sig] = shape
		x.shapes = append(x.shapes, shape)
	}
	shape.legs = append(shape.legs, placed{s, x.count})
	x.count++
}

// matching gives the legs that have the values of l on all axes that both have,
// in their order.
func (x *legIndex) matching(l leg) []placed {
	var out []placed
	for _, shape := range x.shapes {
		found := shape.matching(l)
		if len(x.shapes) == 1 {
			return found
		}
		out = append(out, found...)
	}
	slices.SortFunc(out, func(a, b placed) int { return a.at - b.at })
	return out
}

func (s *legShape) matching(l leg) []placed {
	var common []string
	for _, a := range s.axes {
		if l.lookup(a) != nil {
			common = append(common, a)
		}
	}
	if len(common) == 0 {
		return s.legs
	}
	sig := strings.Join(common, ",")
	index := s.index[sig]
	if index == nil {
		index = make(map[string][]placed, len(s.legs))
		for _, p := range s.legs {
			k := leg(p.Leg).key(common)
			index[k] = append(index[k], p)
		}
		s.index[sig] = index
	}
	return index[l.key(common)]
}

// key is a text that two legs have in common exactly if they have equal values
// on the named axes.
func (l leg) key(axes []string) string {
	var b strings.Builder
	for _, a := range axes {
		v := l.lookup(a)
		if v == nil {
			b.WriteString("-,")
			continue
		}
		switch v.Kind {
		case Int:
			b.WriteByte('n')
			if f := float64(v.Int); int64(f) == v.Int {
				b.WriteString(formatFloat(f)) // equal to a float of the same number
			} else {
				b.WriteString(strconv.FormatInt(v.Int, 10))
			}
		case Float:
			b.WriteByte('n')
			b.WriteString(formatFloat(v.Float))
		case Bool:
			b.WriteString(strconv.FormatBool(v.Bool))
		default:
			b.WriteString(strconv.Quote(v.Str))
		}
		b.WriteByte(',')
	}
	return b.String()
}

func (l leg) covers(other leg) bool {
	for _, e := range other {
		if l.lookup(e.Key) == nil {
			return false
		}
	}
	return true
}

// patterns are the entries of `exclude`, by the axes they name.
type patterns struct {
	axes []string
	keys map[string]bool
}

// without gives the legs that no entry of `exclude` matches. legs is used up.
func without(legs []leg, exclude []*Value) []leg {
	var groups []*patterns
	by := map[string]*patterns{}
	for _, p := range exclude {
		names := p.Keys()
		slices.Sort(names)
		sig := strings.Join(names, ",")
		g := by[sig]
		if g == nil {
			g = &patterns{axes: names, keys: map[string]bool{}}
			by[sig] = g
			groups = append(groups, g)
		}
		g.keys[leg(p.Entries).key(names)] = true
	}
	return slices.DeleteFunc(legs, func(l leg) bool {
		return slices.ContainsFunc(groups, func(g *patterns) bool { return g.keys[l.key(g.axes)] })
	})
}
