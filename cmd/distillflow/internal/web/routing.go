package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/pages"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/schema"
)

// maxDecisions bounds what one record shows of a router.
const maxDecisions = 200

// routers reports whether the run has logs of routers.
func routers(run *runrecord.Run) bool {
	for _, st := range run.Stages {
		for _, o := range st.Outputs {
			if o.Record == (schema.RouterDecision{}).RecordType() {
				return true
			}
		}
	}
	return false
}

// routingPage shows where a path was sent.
func (s *Server) routingPage(w http.ResponseWriter, r *http.Request) error {
	run, out, err := s.output(r, false)
	if err != nil {
		return err
	}
	at, err := parsePlace(r.FormValue("sel"))
	if err != nil {
		return err
	}
	rec, err := recordAt(r.Context(), run, out, at)
	if err != nil {
		return err
	}
	if !rec.Paths() {
		return notFound{"rows without paths are not routed"}
	}
	tables, err := routingOf(r.Context(), run, rec)
	if err != nil {
		return err
	}
	return s.show(w, "routing", tables)
}

// routingOf tells where the run's routers sent a path, that is one of its problem and
// style, in every epoch, with the probabilities and the losses of the students. It streams through
// the logs; most of their rows need not be decoded.
func routingOf(ctx context.Context, run *runrecord.Run, rec record) ([]pages.Table, error) {
	id, err := json.Marshal(rec.problem.ID)
	if err != nil {
		return nil, err
	}
	plain := schema.AppendString(nil, rec.problem.ID)
	style := rec.problem.Paths[rec.path].Style
	var tables []pages.Table
	for _, st := range run.Stages {
		for _, o := range st.Outputs {
			if o.Record != (schema.RouterDecision{}).RecordType() {
				continue
			}
			var list []schema.RouterDecision
			for row, err := range run.Rows(o, 0, nil) {
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					return tables, err
				}
				if !bytes.Contains(row.JSON, plain) && !bytes.Contains(row.JSON, id) {
					continue
				}
				var d schema.RouterDecision
				if err := json.Unmarshal(row.JSON, &d); err != nil {
					return tables, fmt.Errorf("%s: %w", o.Label(), err)
				}
				if d.ID == rec.problem.ID && d.Style == style && len(list) < maxDecisions {
					list = append(list, d)
				}
			}
			if len(list) > 0 {
				tables = append(tables, decisions(o.Label(), list))
			}
		}
	}
	return tables, nil
}

// decisions is the table of what a router decided on one path.
func decisions(name string, list []schema.RouterDecision) pages.Table {
	t := pages.Table{Name: "Routing, " + name, Head: []string{"Student", "Epoch", "Step"}, Words: 1}
	students := slices.Sorted(maps.Keys(list[0].Probs))
	for _, s := range students {
		t.Head = append(t.Head, "p("+s+")")
	}
	losses := len(list[0].Losses) > 0
	if losses {
		for _, s := range students {
			t.Head = append(t.Head, "loss "+s)
		}
	}
	number := func(m map[string]float64, name string) string {
		if v, ok := m[name]; ok {
			return strconv.FormatFloat(v, 'f', 3, 64)
		}
		return ""
	}
	for _, d := range list {
		row := []string{d.Student, strconv.Itoa(d.Epoch), strconv.Itoa(d.Step)}
		for _, s := range students {
			row = append(row, number(d.Probs, s))
		}
		if losses {
			for _, s := range students {
				row = append(row, number(d.Losses, s))
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
