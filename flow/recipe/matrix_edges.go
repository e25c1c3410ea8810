package recipe

import (
	"slices"

	"github.com/distillflow/distillflow/flow/diag"
)

// maxEdges limits the edges that matrices may make, as a multiple of the limit
// on stages. Legs that gather legs multiply.
const maxEdges = 10

// connect replaces references to stages with a matrix by references to their
// legs. Legs are matched on the axes that both ends have; an axis that only the
// producer has is gathered: all its legs feed the port.
func (d *decoder) connect() {
	groups := map[string][]*Stage{}
	for _, s := range d.recipe.Stages {
		if len(s.Leg) > 0 {
			groups[s.Base] = append(groups[s.Base], s)
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
			for _, producer := range group {
				if !leg(s.Leg).matches(producer.Leg) {
					continue
				}
				le := e
				le.Stage, le.Gather = producer.Name, !leg(s.Leg).covers(producer.Leg)
				le.InList = e.InList || le.Gather
				if out = append(out, le); edges+len(out) > limit {
					break
				}
			}
			if len(out) == before {
				d.diags.Add(diag.Errorf(e.Pos, "bad-edge", "no leg of %s matches %s", e.Stage, s.Name).
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

// matches reports whether two legs have equal values on all axes that both have.
func (l leg) matches(other leg) bool {
	for _, e := range other {
		if v := l.lookup(e.Key); v != nil && !v.Equal(e.Val) {
			return false
		}
	}
	return true
}

func (l leg) covers(other leg) bool {
	for _, e := range other {
		if l.lookup(e.Key) == nil {
			return false
		}
	}
	return true
}

// without gives the legs that no entry of `exclude` matches. legs is used up.
func without(legs []leg, exclude []*Value) []leg {
	return slices.DeleteFunc(legs, func(l leg) bool {
		return slices.ContainsFunc(exclude, func(p *Value) bool {
			return l.covers(p.Entries) && l.matches(p.Entries)
		})
	})
}
