package plan

import (
	"context"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// Asker is what estimating needs beside the plan.
type Asker struct {
	Memo   stage.Memo
	Getenv func(string) string
	// Open gives the file with the rows of an output in the store.
	Open func(store.Digest) (string, error)
}

// Estimate fills in the estimates of a plan's steps: exact ones for what is cached,
// and for the others what their stage types say. A failed estimate leaves its error
// in the step; the returned error can only be ctx's.
func (p *Plan) Estimate(ctx context.Context, a Asker) error {
	for i := range p.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := &p.Steps[i]
		switch s.Status {
		case Skip:
		case Hit:
			s.Estimate = free
			s.Estimate.Seconds = zero
			s.Estimate.Rows = map[string]*stage.Range{}
			for _, port := range s.Node.Type.Outputs {
				if port.Kind == stage.RowsPort {
					s.Estimate.Rows[port.Name] = stage.Exactly(float64(s.Outputs[port.Name].Rows))
				}
			}
		default:
			p.ask(ctx, s, a)
		}
	}
	return ctx.Err()
}

// free is the estimate of a stage that makes no paid call. All steps share its
// ranges, and nobody changes them.
var (
	zero = stage.Exactly(0)
	free = stage.Estimate{MemoHits: zero, Requests: zero, Tokens: zero, USD: zero}
)

func (p *Plan) ask(ctx context.Context, s *Step, a Asker) {
	n := s.Node
	if !n.Config.Estimates() {
		s.Estimate = known(n, stage.Estimate{})
		return
	}
	q := stage.Question{Inputs: map[string][]stage.Expected{}, Memo: a.Memo, Getenv: a.Getenv}
	for _, in := range n.Inputs {
		for _, src := range in.Sources {
			e, ok := p.expected(src, a)
			if ok {
				q.Inputs[in.Port.Name] = append(q.Inputs[in.Port.Name], e)
			}
		}
	}
	est, err := n.Config.Estimate(ctx, q)
	if err != nil {
		est, s.EstimateError = stage.Estimate{}, err
	}
	s.Estimate = known(n, est)
}

// known adds what follows from a stage's class: one whose inputs determine its
// result makes no paid call.
func known(n *graph.Node, e stage.Estimate) stage.Estimate {
	if c := n.Type.Class; c != stage.Pure && c != stage.Seeded {
		return e
	}
	f := free
	f.Rows, f.Seconds = e.Rows, e.Seconds
	return f
}

// expected is what is known of a source; false for a source that is skipped.
func (p *Plan) expected(src graph.Source, a Asker) (stage.Expected, bool) {
	s := &p.Steps[src.Node.Index()]
	if s.Status == Skip {
		return stage.Expected{}, false
	}
	e := stage.Expected{Rows: s.Estimate.Rows[src.Port.Name]}
	if o, ok := s.Outputs[src.Port.Name]; ok && s.Status == Hit && a.Open != nil && src.Port.Kind == stage.RowsPort {
		if path, err := a.Open(o.Digest); err == nil { // otherwise the estimate is less exact
			e.Path = path
		}
	}
	return e, true
}

// Rows is the expected number of rows of a step's default output, or nil.
func (s *Step) Rows() *stage.Range {
	return s.Estimate.Rows[s.Node.Type.Outputs[0].Name]
}

// Free lists the stages that can run now without any paid call and on which a stage
// depends that may make such calls or take long: once they have run, the estimates
// of the others are exact.
func (p *Plan) Free() map[*graph.Node]bool {
	before := make([]bool, len(p.Steps)) // before a stage that is not free and has yet to run
	cheap := make([]bool, len(p.Steps))  // pure, and so is all before it that has to run
	for i, s := range p.Steps {
		cheap[i] = s.Status != Skip && s.Node.Type.Class == stage.Pure
		for _, d := range s.Node.Deps() {
			if st := p.Steps[d.Index()].Status; (st == Run || st == Wait) && !cheap[d.Index()] {
				cheap[i] = false
			}
		}
	}
	out := map[*graph.Node]bool{}
	for i := len(p.Steps) - 1; i >= 0; i-- {
		s := p.Steps[i]
		if s.Status != Run && s.Status != Wait {
			continue
		}
		if before[i] && cheap[i] {
			out[s.Node] = true
		}
		if before[i] || s.Node.Type.Class != stage.Pure {
			for _, d := range s.Node.Deps() {
				before[d.Index()] = true
			}
		}
	}
	return out
}
