package plan

import (
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// slower bounds how much a stage's time differs from what it took the last time for as
// many rows or requests: as much faster, or as much slower.
const slower = 2

// alike is how much the work may differ from the last time's for its time to tell
// anything.
const alike = 10

// EstimateSeconds estimates the time of steps whose stages did not tell theirs, by what
// the same stage of the recipe took the last time. It reads one record a stage.
func (p *Plan) EstimateSeconds(c Cache, last map[string]store.Pointer) error {
	for i := range p.Steps {
		s := &p.Steps[i]
		ptr, ok := last[s.Node.Name]
		if !ok || s.Estimate.Seconds != nil || s.Status != Run && s.Status != Wait {
			continue
		}
		a, _, err := c.GetAction(ptr.Key)
		if err != nil {
			return err
		}
		if a != nil && a.Type == s.Node.Type.Type && a.Meta.Seconds > 0 {
			s.Estimate.Seconds = secondsLike(s, a)
		}
	}
	return nil
}

// secondsLike scales the time of an earlier result to the work that is expected now: the
// requests of a stage that asks models, and else its rows. Nil if they cannot be compared.
func secondsLike(s *Step, a *store.Action) *stage.Range {
	def := s.Node.Type.Outputs[0]
	was, now := 1.0, stage.Exactly(1) // a folder: as long as the last time
	switch {
	case s.Node.Type.Class == stage.Sampled:
		was, now = a.Meta.Stats["requests"]-a.Meta.Stats["memo_hits"], s.Estimate.Requests
	case def.Kind == stage.RowsPort:
		was, now = float64(a.Outputs[def.Name].Rows), s.Rows()
	}
	if now == nil || was <= 0 || now.Max > alike*was || now.Min*alike < was {
		return nil
	}
	return now.Times(a.Meta.Seconds/was/slower, a.Meta.Seconds/was*slower)
}
