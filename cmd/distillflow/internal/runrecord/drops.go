package runrecord

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
)

// Drop is what a stage did not pass on for one reason.
type Drop struct {
	Port   string // where to look at it
	Reason string
	Rows   int64 // rows, or lines, of which this was left out
	Paths  int64 // reasoning paths; 0 where whole rows without paths were left out
}

const (
	maxReasons  = 12   // that Drops gives
	maxDistinct = 1000 // that it tells apart: judges write their own
	otherReason = "other reasons"
)

// Drops counts what a stage did not pass on, by reason, the most frequent first: lines
// that are not rows, requests without an answer, responses without a prediction, wrong
// answers, what a judge or a filter turned down, rows without a partner. It reads the
// outputs concerned from end to end.
func (r *Run) Drops(s *Stage) ([]Drop, error) {
	var all []Drop
	_, graded := s.Output("correct")
	for _, o := range s.Outputs {
		var why func(*schema.Path) string // "" for a path that was not dropped
		row := ""                         // why rows without paths were
		switch {
		case o.Record == schema.Quarantined{}.RecordType():
			count := counter{}
			for q, err := range Stream[schema.Quarantined](r, o) {
				if err != nil {
					return nil, err
				}
				count.add(q.Error, 0)
			}
			all = append(all, count.drops(o.Port)...)
			continue
		case o.Record != problemRecord:
			continue
		case o.Port == "errors":
			why = func(p *schema.Path) string { return p.Error }
		case o.Port == "invalid":
			why = func(p *schema.Path) string {
				if p.Judge != nil {
					return "judge: " + p.Judge.Reason
				}
				return cmp.Or(p.Error, "no verdict")
			}
		case o.Port == "dropped":
			row = filterReason(s.With)
			why = func(*schema.Path) string { return row }
		case o.Port == "unmatched":
			row = "no partner"
			why = func(*schema.Path) string { return row }
		case o.Port == "all" && graded:
			why = func(p *schema.Path) string {
				if p.IsCorrect() {
					return ""
				}
				return cmp.Or(p.Reason, "not correct")
			}
		case s.Type == "extract":
			why = func(p *schema.Path) string {
				if p.Pred != "" {
					return ""
				}
				return cmp.Or(p.Reason, "no prediction")
			}
		default:
			continue
		}
		count := counter{}
		for p, err := range Stream[schema.Problem](r, o) {
			if err != nil {
				return nil, err
			}
			reasons := map[string]int64{}
			for i := range p.Paths {
				if reason := why(&p.Paths[i]); reason != "" {
					reasons[reason]++
				}
			}
			if len(p.Paths) == 0 && row != "" {
				reasons[row] = 0
			}
			for reason, paths := range reasons {
				count.add(reason, paths)
			}
		}
		all = append(all, count.drops(o.Port)...)
	}
	return all, nil
}

// filterReason is the condition of a filter, as its stage has it.
func filterReason(with json.RawMessage) string {
	var c struct{ Where, Paths string }
	if err := json.Unmarshal(with, &c); err != nil {
		return "its condition is false"
	}
	var parts []string
	if c.Where != "" {
		parts = append(parts, "where: "+c.Where)
	}
	if c.Paths != "" {
		parts = append(parts, "paths: "+c.Paths)
	}
	return "not " + strings.Join(parts, " and ")
}

// counter counts by reason.
type counter map[string]*Drop

func (c counter) add(reason string, paths int64) {
	reason = text.FirstLine(reason)
	if c[reason] == nil && len(c) >= maxDistinct {
		reason = otherReason
	}
	d := c[reason]
	if d == nil {
		d = &Drop{Reason: reason}
		c[reason] = d
	}
	d.Rows++
	d.Paths += paths
}

func (c counter) drops(port string) []Drop {
	var list []Drop
	for _, d := range c {
		list = append(list, Drop{Port: port, Reason: d.Reason, Rows: d.Rows, Paths: d.Paths})
	}
	slices.SortFunc(list, func(a, b Drop) int {
		return cmp.Or(cmp.Compare(b.Paths, a.Paths), cmp.Compare(b.Rows, a.Rows), strings.Compare(a.Reason, b.Reason))
	})
	if len(list) <= maxReasons {
		return list
	}
	rest := Drop{Port: port, Reason: otherReason}
	for _, d := range list[maxReasons-1:] {
		rest.Rows += d.Rows // of a row with several reasons, once for each
		rest.Paths += d.Paths
	}
	return append(list[:maxReasons-1], rest)
}
