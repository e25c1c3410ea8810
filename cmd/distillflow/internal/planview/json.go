package planview

import (
	"io"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/stage"
)

// jsonStage is a stage in `plan --format json`. Fields are only ever added.
type jsonStage struct {
	Name   string        `json:"name"`
	Uses   string        `json:"uses"`
	Status plan.Status   `json:"status"`
	Key    string        `json:"key"` // "" while it is not known
	From   []string      `json:"from"`
	Reason plan.Reason   `json:"reason"`
	More   []plan.Reason `json:"more,omitempty"` // further reasons

	Shards   int          `json:"shards,omitempty"` // that the recipe asks for
	Rows     *stage.Range `json:"rows"`             // of the default output
	MemoHits *stage.Range `json:"memo_hits"`
	Requests *stage.Range `json:"requests"`
	Tokens   *stage.Range `json:"tokens"`
	USD      *stage.Range `json:"usd"`
	Seconds  *stage.Range `json:"seconds"`
}

func writeJSON(w io.Writer, p *plan.Plan) error {
	out := struct {
		Stages []jsonStage `json:"stages"`
	}{Stages: []jsonStage{}}
	for _, s := range p.Steps {
		out.Stages = append(out.Stages, jsonStage{
			Name: s.Node.Name, Uses: s.Node.Type.Type, Status: s.Status, Key: s.Key,
			From: sources(s), Reason: s.Reason, More: s.More,
			Shards: s.Node.Stage.Shards, Rows: s.Rows(), MemoHits: s.Estimate.MemoHits, Requests: s.Estimate.Requests,
			Tokens: s.Estimate.Tokens, USD: s.Estimate.USD, Seconds: s.Estimate.Seconds,
		})
	}
	return view.Indented(w, out)
}

func sources(s plan.Step) []string {
	from := []string{}
	for _, in := range s.Node.Inputs {
		for _, src := range in.Sources {
			from = append(from, src.Label())
		}
	}
	return from
}
