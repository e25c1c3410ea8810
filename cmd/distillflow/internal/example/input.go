// Package example shows a training example as the model sees it.
package example

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/suggest"
	"github.com/distillflow/distillflow/stages/train"
)

// Stage finds the stage to show an example of.
func Stage(g *graph.Graph, name string) (*graph.Node, error) {
	var all, can []string
	for _, n := range g.Nodes {
		all = append(all, n.Name)
		if slices.Contains(train.RenderTypes(), n.Type.Type) {
			can = append(can, n.Name)
		}
	}
	possible := "this recipe has none"
	if len(can) > 0 {
		possible = "possible here: " + strings.Join(can, ", ")
	}
	n := g.Node(name)
	switch {
	case n == nil:
		if s := suggest.Near(name, all); s != "" {
			return nil, fmt.Errorf("the recipe has no stage %q; did you mean %q?", name, s)
		}
		return nil, fmt.Errorf("the recipe has no stage %q; %s", name, possible)
	case !slices.Contains(can, name):
		return nil, fmt.Errorf("stage %s is %s: render shows stages of %s; %s", name, n.Type.Type, strings.Join(train.RenderTypes(), " and "), possible)
	}
	return n, nil
}

// Input finds the paths of a stage in the store, or says how they get there. file is
// the recipe.
func Input(p *plan.Plan, n *graph.Node, file string) (graph.Source, store.Digest, error) {
	src := n.Inputs[0].Sources[0]
	if n.Skip {
		return src, "", fmt.Errorf("the recipe leaves stage %s out: its when: is false", n.Name)
	}
	step := p.Steps[src.Node.Index()]
	if step.Status == plan.Hit {
		return src, step.Outputs[src.Port.Name].Digest, nil
	}
	if step.Status == plan.Skip {
		return src, "", fmt.Errorf("stage %s has no input: the recipe leaves stage %s out (%s)", n.Name, src.Node.Name, step.Reason)
	}
	how := fmt.Sprintf("'distillflow run %s', with the same flags, makes it", file)
	if p.Free()[src.Node] {
		how = fmt.Sprintf("'distillflow plan --estimate %s', with the same flags, makes it without a paid call", file)
	}
	return src, "", fmt.Errorf("the input of stage %s is not in the store: %s %s (%s)\n%s", n.Name, src.Node.Name, verb(step.Status), step.Reason, how)
}

func verb(s plan.Status) string {
	if s == plan.Wait {
		return "has to wait"
	}
	return "has to run"
}
