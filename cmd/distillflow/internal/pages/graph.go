package pages

import (
	"bytes"
	"html/template"
	"time"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/planview"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/internal/base/text"
)

// Graph draws the stages of a run with their states, times and rows, for the fragment
// "graph". link gives the address behind a stage; "" means none. The error says that the
// graph is too large for a picture.
func Graph(r *runrecord.Run, link func(stage string) string) (template.HTML, error) {
	index := map[*runrecord.Stage]int{}
	stages := make([]planview.Stage, len(r.Stages))
	for i, s := range r.Stages {
		index[s] = i
		p := planview.Stage{Name: s.Name, Uses: s.Type, Status: plan.Status(s.State), Reason: took(s), Takes: rows(s), Link: link(s.Name)}
		for _, in := range s.Inputs {
			e := planview.Edge{Stage: index[in.Stage], Port: in.Output}
			if o, ok := in.Stage.Output(""); ok && o.Port == in.Output {
				e.Port = ""
			}
			p.From = append(p.From, e)
		}
		stages[i] = p
	}
	var b bytes.Buffer
	if err := planview.SVG(&b, "", stages); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil // planview escapes names
}

func took(s *runrecord.Stage) string {
	switch {
	case s.State == runrecord.Failed:
		return text.FirstLine(s.Error)
	case s.Seconds > 0:
		return text.Duration(time.Duration(s.Seconds * float64(time.Second)))
	}
	return ""
}

func rows(s *runrecord.Stage) string {
	out, ok := s.Output("")
	if !ok || out.Record == "" {
		return ""
	}
	n := Count(out.Rows) + " " + map[bool]string{true: "row", false: "rows"}[out.Rows == 1]
	if len(s.Inputs) == 1 {
		if in, ok := s.Inputs[0].Stage.Output(s.Inputs[0].Output); ok && in.Record == out.Record && in.Rows > out.Rows {
			n += " of " + Count(in.Rows)
		}
	}
	return n
}
