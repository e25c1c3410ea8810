package flow

import (
	"context"
	"errors"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/store"
)

// ErrNoErrors refuses a run of [RunOptions.OnlyErrors] that has nothing to do.
var ErrNoErrors = errors.New("no result here lacks answers: there is nothing to ask for again")

// onlyErrors reopens the results that lack answers and says which stages may run.
// A failed request is an attempt: it is in no memo, and so it is all that the stage will
// ask for.
func (e *Engine) onlyErrors(ctx context.Context, g *graph.Graph, st *store.Store, o RunOptions) (func(*graph.Node) bool, error) {
	last, err := st.LastAll(recipeID(g))
	if err != nil {
		return nil, err
	}
	p, err := plan.New(ctx, g, st, plan.Options{Seed: o.seed(g), Last: last})
	if err != nil {
		return nil, err
	}
	may := map[*graph.Node]bool{}
	for _, s := range p.Steps { // each behind those that it depends on
		for _, d := range s.Node.Deps() {
			if may[d] {
				may[s.Node] = true
			}
		}
		key := s.Key
		if s.Status == plan.Wait {
			key = last[s.Node.Name].Key
		}
		if key == "" {
			continue
		}
		a, _, err := st.GetAction(key)
		if err != nil {
			return nil, err
		}
		if a == nil || !a.Incomplete && (a.Meta.Stats["requests"] == 0 || a.Meta.Stats["failed"] == 0) {
			continue
		}
		unlock, err := st.LockKey(ctx, key, nil)
		if err != nil {
			return nil, err
		}
		err = st.Reopen(key)
		unlock()
		if err != nil {
			return nil, err
		}
		may[s.Node] = true
	}
	if len(may) == 0 {
		return nil, ErrNoErrors
	}
	return func(n *graph.Node) bool { return may[n] }, nil
}
