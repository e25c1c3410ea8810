package exec

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/graph"
)

// Here is the name of this machine as an executor.
const Here = "local"

// Executors says which stages run elsewhere. The zero value runs all of them here.
type Executors struct {
	Default string // of stages whose recipe names none; "" is [Here]
	Runners map[string]Runner
}

// Elsewhere gives the runner of a node that another machine runs, and nil for one that
// runs here. What runs elsewhere takes nothing of this machine: it counts against
// neither Jobs nor Limits, and its runner sees to its timeout, which does not begin
// before the task does.
func (e Executors) Elsewhere(n *graph.Node) (Runner, error) {
	name := cmp.Or(n.Stage.Executor, e.Default, Here)
	if name == Here {
		return nil, nil
	}
	r, ok := e.Runners[name]
	if !ok {
		known := slices.Sorted(maps.Keys(e.Runners))
		return nil, fmt.Errorf("there is no executor %q; there are %s", name, strings.Join(append([]string{Here}, known...), ", "))
	}
	reacher, ok := r.(Reacher)
	if !ok {
		return r, nil
	}
	for _, path := range n.Config.LocalPaths() {
		if reacher.Reaches(path) {
			continue
		}
		if n.Stage.Executor == "" {
			return nil, nil
		}
		return nil, fmt.Errorf("executor %s does not see %s: mount it there, or run the stage here with executor: %s", name, path, Here)
	}
	return r, nil
}

// Reacher is a runner whose tasks do not see all files of this machine. A stage that reads
// others runs here, or fails where its recipe wants it elsewhere.
type Reacher interface{ Reaches(path string) bool }
