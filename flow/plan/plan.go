// Package plan decides for each stage of a graph whether its result is cached,
// and if not, why.
package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Status is what a run would do with a stage.
type Status string

// The statuses.
const (
	Hit  Status = "hit"  // take the result from the store
	Run  Status = "run"  // run it
	Wait Status = "wait" // it depends on stages that have to run, so its key is not known yet
	Skip Status = "skip" // it does not take part
)

// Step is the plan for one stage.
type Step struct {
	Node    *graph.Node
	Status  Status
	Key     string // "" for Wait and Skip
	Reason  Reason
	More    []Reason                // further reasons, for Run
	Outputs map[string]store.Output // for Hit
	// Canonical is the preimage of Key, for publishing.
	Canonical json.RawMessage
	// Estimate is what the step is expected to take, as far as that is known;
	// [Plan.Estimate] fills it in, and EstimateError if the stage failed to tell.
	Estimate      stage.Estimate
	EstimateError error
}

// Plan is what a run would do, in the order of [graph.Graph.Nodes].
type Plan struct {
	Graph *graph.Graph
	Seed  uint64 // that it was made with
	Steps []Step
}

// Cache is what planning needs of a store.
type Cache interface {
	Hasher
	GetAction(key string) (*store.Action, bool, error)
}

// Options adjust a plan.
type Options struct {
	Seed  uint64
	Last  map[string]store.Pointer // what each stage of this recipe last was
	Force map[string]bool          // stages to run even if they are cached
	// Remote looks for a complete result of a key that the store does not have; nil if
	// there is none. It is asked for several keys at a time. Nil asks nobody.
	Remote func(ctx context.Context, key string) *store.Action
}

// atOnce is how many nodes are looked at at a time: as many as there are cores, and
// more where most of the time goes into waiting for answers.
func (o Options) atOnce() int {
	n := runtime.GOMAXPROCS(0)
	if o.Remote != nil {
		n = max(n, 16)
	}
	return n
}

// Digests gives the content of a source of a node, false for one that has none
// because it is skipped.
type Digests func(graph.Source) (store.Digest, bool)

// New makes the plan of a graph. It reads the files outside the store and looks
// results up, and changes nothing.
func New(ctx context.Context, g *graph.Graph, c Cache, opts Options) (*Plan, error) {
	p := &Plan{Graph: g, Seed: opts.Seed, Steps: make([]Step, len(g.Nodes))}
	return p, p.walk(ctx, opts.atOnce(), func(i int) error {
		n := g.Nodes[i]
		if err := p.step(ctx, n, c, opts); err != nil {
			return fmt.Errorf("stage %s: %w", n.Name, err)
		}
		return nil
	})
}

// Hits is what a run looks up before it starts: a plan in which the steps that
// are Hit or Skip hold. What could not be looked up without an error is Run, for
// the run to meet that error where it belongs, and has no reason.
func Hits(ctx context.Context, g *graph.Graph, c Cache, opts Options) *Plan {
	p := &Plan{Graph: g, Seed: opts.Seed, Steps: make([]Step, len(g.Nodes))}
	for i, n := range g.Nodes {
		p.Steps[i] = Step{Node: n, Status: Run} // should the walk end early
	}
	_ = p.walk(ctx, opts.atOnce(), func(i int) error {
		n := g.Nodes[i]
		if err := p.step(ctx, n, c, opts); err != nil {
			p.Steps[i] = Step{Node: n, Status: Run}
		}
		return ctx.Err()
	})
	return p
}

// step fills in the step of a node whose dependencies have theirs.
func (p *Plan) step(ctx context.Context, n *graph.Node, c Cache, opts Options) error {
	step := &p.Steps[n.Index()]
	*step = Step{Node: n}
	if blocked(n, func(d *graph.Node) Status { return p.Steps[d.Index()].Status }, step) {
		return nil
	}
	// The code of a config runs here; what stages do is guarded elsewhere.
	return parallel.Call(func() (err error) {
		*step, err = Evaluate(ctx, n, p.digest, c, opts)
		return err
	})
}

// digest is the [Digests] of a plan: every step that others are evaluated behind
// is a hit.
func (p *Plan) digest(src graph.Source) (store.Digest, bool) {
	o, ok := p.Steps[src.Node.Index()].Outputs[src.Port.Name]
	return o.Digest, ok
}

// blocked sets the step of a node that is skipped or has to wait.
func blocked(n *graph.Node, status func(*graph.Node) Status, step *Step) bool {
	if r, skip := Skipped(n, func(d *graph.Node) bool { return status(d) == Skip }); skip {
		step.Status, step.Reason = Skip, r
		return true
	}
	for _, d := range n.Deps() {
		if s := status(d); s == Run || s == Wait {
			step.Status, step.Reason = Wait, Reason{Code: Upstream, Field: d.Name}
			return true
		}
	}
	return false
}

// Skipped says whether a node is left out of a run: its when: is false, or an
// input that it cannot do without comes from a stage that is left out.
func Skipped(n *graph.Node, skipped func(*graph.Node) bool) (Reason, bool) {
	if n.Skip {
		return Reason{Code: WhenFalse, Field: "when", Old: n.Stage.When}, true
	}
	for _, in := range n.Inputs {
		left := 0
		for _, s := range in.Sources {
			if !skipped(s.Node) {
				left++
			}
		}
		if left == 0 && !in.Port.Optional {
			return Reason{Code: UpstreamSkip, Field: in.Sources[0].Node.Name}, true
		}
	}
	return Reason{}, false
}

// Evaluate decides hit or run for one node whose input digests are all known.
func Evaluate(ctx context.Context, n *graph.Node, digests Digests, c Cache, opts Options) (Step, error) {
	step := Step{Node: n, Status: Run}
	pre, err := NodePreimage(ctx, n, opts.Seed, digests, c)
	if err != nil {
		return step, err
	}
	if step.Key, step.Canonical, err = pre.Key(); err != nil {
		return step, err
	}
	return lookup(ctx, n, step, pre, c, opts)
}

// Lookup looks at the store again, and at nothing else, for a step that [Evaluate]
// made.
func Lookup(n *graph.Node, step Step, c Cache, opts Options) (Step, error) {
	opts.Remote = nil
	return lookup(context.Background(), n, step, nil, c, opts)
}

// lookup asks the store for the step's key. Without pre it keeps the step's
// reasons where they are not about the store.
func lookup(ctx context.Context, n *graph.Node, step Step, pre *Preimage, c Cache, opts Options) (Step, error) {
	a, ok, err := c.GetAction(step.Key)
	if err != nil {
		return step, err
	}
	cached := Cached
	if !ok && !opts.Force[n.Name] && opts.Remote != nil {
		if r := opts.Remote(ctx, step.Key); r != nil {
			a, ok, cached = r, true, CachedRemote
		}
	}
	switch {
	case ok && opts.Force[n.Name]:
		step.Reason = Reason{Code: Forced}
	case ok && complete(n, a):
		step.Status, step.Reason, step.Outputs = Hit, Reason{Code: cached}, a.Outputs
	case a != nil && a.Incomplete && a.Damage == "":
		step.Reason = Reason{Code: Incomplete}
	case pre != nil:
		why := why(n, pre, step.Key, a, opts.Last)
		step.Reason, step.More = why[0], why[1:]
	}
	return step, nil
}

// complete guards against an entry that lacks a port of this stage type.
func complete(n *graph.Node, a *store.Action) bool {
	for _, p := range n.Type.Outputs {
		if _, ok := a.Outputs[p.Name]; !ok {
			return false
		}
	}
	return true
}

func why(n *graph.Node, pre *Preimage, key string, found *store.Action, last map[string]store.Pointer) []Reason {
	if found != nil && found.Damage != "" {
		return []Reason{{Code: ResultMissing, Field: "outputs", New: found.Damage}}
	}
	ptr, ok := last[n.Name]
	if !ok {
		return []Reason{{Code: NeverRun}}
	}
	if ptr.Key == key {
		return []Reason{{Code: ResultMissing, Field: "outputs", New: "its entry is gone from the store"}}
	}
	var old Preimage
	if err := json.Unmarshal(ptr.Preimage, &old); err != nil {
		return []Reason{{Code: NeverRun}}
	}
	rs := Diff(&old, pre, func(field string) string { return n.Type.Config.DefaultOf(field) })
	if len(rs) == 0 {
		return []Reason{{Code: KeyFormat, Field: "format"}}
	}
	return rs
}
