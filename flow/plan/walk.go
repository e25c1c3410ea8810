package plan

import (
	"cmp"
	"context"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// walk calls visit for every node of the plan's graph, by its index, after all
// that it depends on: one level of the graph after the other, several nodes of a
// level at a time, since visiting one may read large files or ask a remote. After a level with
// errors it returns that of the first node, in the order of the graph.
func (p *Plan) walk(ctx context.Context, atOnce int, visit func(i int) error) error {
	for _, level := range p.levels() {
		if err := ctx.Err(); err != nil {
			return err
		}
		errs := make([]error, len(level))
		var g parallel.Group
		g.SetLimit(atOnce)
		for k, i := range level {
			g.Go(func() error { errs[k] = visit(i); return nil })
		}
		panicked := g.Wait()
		if err := cmp.Or(append(errs, panicked)...); err != nil {
			return err
		}
	}
	return nil
}

// levels are the indexes of the nodes by the length of the longest path to them.
func (p *Plan) levels() [][]int {
	depth := make([]int, len(p.Steps))
	var levels [][]int
	for i, n := range p.Graph.Nodes {
		for _, d := range n.Deps() {
			depth[i] = max(depth[i], depth[d.Index()]+1)
		}
		if depth[i] == len(levels) {
			levels = append(levels, nil)
		}
		levels[depth[i]] = append(levels[depth[i]], i)
	}
	return levels
}
